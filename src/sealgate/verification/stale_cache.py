"""Cache of answers that are used while a registry is unreachable (`stale_tag_seconds`; off by default).

It keeps which digest a tag named, and which findings were verified, for longer than the other caches do. An answer is
used only where the registry was asked by the same caller and did not answer (`is_outage`), and only until it is
`stale_tag_seconds` old: using it makes it no younger. It has the key of the answer itself, so that a changed key or
option of an authenticator ends it at once, and it is only for callers with the credentials that obtained it. A finding
of another caller is not used: the registry cannot be asked whether this caller may read the manifest.

Never kept: a refusal, and anything that the registry denied since (`is_denial`). Nothing is shared with other replicas,
and nothing outlasts the process.

A repository whose registry did not answer counts as unreachable for `UNREACHABLE_SECONDS`, for callers with the same
credentials only: neither another repository of the registry nor another tenant's credentials can bring it about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from sealgate.errors import (
    DeadlineError,
    NotFoundError,
    RateLimitedError,
    UnauthorizedError,
    UnreachableError,
    VerificationError,
)
from sealgate.findings import Outcome
from sealgate.registry.callers import OPEN, is_anonymous
from sealgate.verification.byte_cache import Key
from sealgate.verification.caches import CallerAnswers, digest_from_bytes, digest_to_bytes
from sealgate.verification.packing import pack, unpack

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.findings import Finding
    from sealgate.references import Digest
    from sealgate.registry.callers import Access
    from sealgate.verification.byte_cache import ByteCache
    from sealgate.verification.caches import FindingKey
    from sealgate.verification.repository_caller import RepositoryCaller
    from sealgate.verification.settings import VerifierSettings

V = TypeVar("V")

#: How long a repository counts as unreachable after its registry did not answer; then the next review asks again.
UNREACHABLE_SECONDS: Final = 10.0


class Stale(NamedTuple, Generic[V]):
    """An answer of a registry that may be used while it is unreachable.

    Attributes:
        value: the answer.
        since: when the registry gave it, in the clock's monotonic seconds.
        access: the credentials that it was obtained with.
    """

    value: V
    since: float
    access: Access


class StaleCache:
    """Digests of tags and verified findings, for the time while a registry is unreachable. Thread-safe.

    Args:
        settings: how old an answer may be; 0 keeps none.
        cache: where the answers are.
        clock: measures their age.
    """

    def __init__(self, settings: VerifierSettings, cache: ByteCache, clock: Clock) -> None:
        self._seconds = settings.stale_tag_seconds
        self._cache = cache
        self._clock = clock
        self._tags = CallerAnswers("stale tag", cache)
        self._findings = CallerAnswers("stale finding", cache)

    def unreachable(self, caller: RepositoryCaller) -> bool:
        """Return whether the registry of the caller's repository did not answer the caller a moment ago."""
        return bool(self._seconds) and self._cache.get(_unreachable(caller)) is not None

    def must_read(self, caller: RepositoryCaller) -> bool:
        """Return whether credentials must be read before it is known which answers the caller may use."""
        if not self._seconds or caller.cached_identities is not None:
            return False
        return self._cache.get(_private(caller)) is not None

    def observe(self, caller: RepositoryCaller, error: BaseException | None) -> None:
        """Note whether the registry answered.

        Args:
            caller: the caller that asked it.
            error: what came of it; None for success.
        """
        if not self._seconds:
            return
        if is_outage(error):
            self._cache.put(_unreachable(caller), b"", UNREACHABLE_SECONDS, OPEN, caller.namespace)
        elif error is None or is_denial(error) or isinstance(error, RateLimitedError):
            self._cache.discard(_unreachable(caller))

    def tag(self, tag: str, caller: RepositoryCaller) -> Stale[Digest] | None:
        """Return the digest that a tag of the caller's repository named; None if that is not known or too old."""
        hit = self._tags.get((caller.repository,), tag, caller)
        return None if hit is None else Stale(digest_from_bytes(hit.value), hit.expires_at - self._seconds, hit.access)

    def put_tag(self, tag: str, digest: Digest, caller: RepositoryCaller, access: Access, age: float = 0.0) -> None:
        """Keep the digest that a tag of the caller's repository names.

        Args:
            tag: the tag.
            digest: the digest.
            caller: the caller that asked the registry.
            access: the credentials that the answer was obtained with.
            age: seconds since the registry gave it.

        Raises:
            UnavailableError: the caller's credentials could not be read.
        """
        if self._seconds > age:
            seconds = self._seconds - age
            self._tags.put((caller.repository,), tag, digest_to_bytes(digest), seconds, caller, access)
            self._note_credentials(caller, access, seconds)

    def drop_tag(self, tag: str, caller: RepositoryCaller) -> None:
        """Keep no digest of a tag for a caller any longer: the registry denied it."""
        if self._seconds:
            self._tags.drop((caller.repository,), tag, caller)

    def finding(self, key: FindingKey, caller: RepositoryCaller) -> Stale[Finding] | None:
        """Return a verified finding; None if there is none for this caller, it is too old, or it has ended."""
        hit = self._findings.get(_about(key), digest_to_bytes(key.digest), caller)
        if hit is None:
            return None
        finding = unpack(hit.value, *_known(key))
        if finding.valid_until is not None and finding.valid_until <= self._clock.now():
            return None
        return Stale(finding, hit.expires_at - self._seconds, hit.access)

    def put_finding(
        self, key: FindingKey, finding: Finding, caller: RepositoryCaller, access: Access, age: float = 0.0
    ) -> None:
        """Keep a finding if it is verified and whole; see `put_tag`."""
        if self._seconds > age and finding.outcome is Outcome.VERIFIED and not finding.partial:
            packed, seconds = pack(finding, *_known(key)), self._seconds - age
            self._findings.put(_about(key), digest_to_bytes(key.digest), packed, seconds, caller, access)
            self._note_credentials(caller, access, seconds)

    def drop_finding(self, key: FindingKey, caller: RepositoryCaller) -> None:
        """Keep a finding for a caller no longer: the evidence was refused."""
        if self._seconds:
            self._findings.drop(_about(key), digest_to_bytes(key.digest), caller)

    def _note_credentials(self, caller: RepositoryCaller, access: Access, seconds: float) -> None:
        """Note that answers about a repository need credentials: a registry that is down does not ask for them."""
        if not is_anonymous(access):
            self._cache.put(_private(caller), b"", seconds, OPEN, caller.namespace)


def is_outage(error: BaseException | None) -> bool:
    """Return whether an error says that the other side is unreachable: nothing was answered, or a status of 5xx.

    A host that asks to retry later has answered (429, or 503 with Retry-After): a tenant can bring that about.
    """
    return isinstance(error, UnreachableError | DeadlineError)


def is_denial(error: BaseException | None) -> bool:
    """Return whether an error is an answer by which former answers no longer hold."""
    return isinstance(error, VerificationError | NotFoundError | UnauthorizedError)


def _unreachable(caller: RepositoryCaller) -> Key:
    return Key(("unreachable", caller.repository, caller.sharing_key), b"")


def _private(caller: RepositoryCaller) -> Key:
    return Key(("private", caller.repository), b"")


def _about(key: FindingKey) -> tuple[str | None, ...]:
    return key.authenticator, key.content, key.repository, key.tag


def _known(key: FindingKey) -> tuple[str, ...]:
    """Return what a finding repeats of its key."""
    return key.authenticator, key.repository, key.digest
