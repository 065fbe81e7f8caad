"""Whether a certificate of a chain is revoked ("Certificate Revocation Evaluation").

The addresses of revocation lists and OCSP responders are in certificates, so signers choose them. Only those on hosts
that the policy names are requested, and only after the signature, the trust store and the identity were checked; each
certificate is asked about once in a verification, however many signatures bring it. Verifications share answers for a
minute, and requests are within the budget of their host (`sealgate.formats.service_answers`).

The offline rule: without such hosts nothing is requested. Lists that the policy has decide then; a certificate that
names where its status can be asked for, and whose status is not known from there, refuses the signature, unless the
policy accepts that (`acceptUnknown`). A certificate that names nothing, and whose issuer has no list in the policy,
cannot be revoked. What is revoked is refused always, whenever the signature was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding

from sealgate.clocks import earliest
from sealgate.errors import DeadlineError, RateLimitedError, UnavailableError, UnreachableError, VerificationError
from sealgate.formats.notation import crl, ocsp
from sealgate.formats.notation.certificates import UNREADABLE, fingerprint_of, name_of
from sealgate.formats.notation.crl import RevocationList, UnknownStatusError
from sealgate.formats.service_answers import Answer, NoSlotError
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.http.urls import parse_url
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from datetime import datetime
    from typing import NoReturn

    from cryptography import x509

    from sealgate.formats.interface import Sources

    # Until when a certificate is known not to be revoked, None if that does not end; or why it does not count.
    _Outcome = datetime | VerificationError | UnavailableError | None

V = TypeVar("V")

#: Addresses of one kind that are asked about one certificate, at most.
MAX_ADDRESSES = 3
#: Seconds that one address has to answer. Most networks that forbid a request drop it, and the next address, or what
#: the policy accepts, decides then; a registry's share of workers is not to be held for as long as it takes at most.
ASK_SECONDS = 3.0
#: Seconds for which verifications share an answer, within its validity: long enough for all images of one signer that
#: start together, and short beside the time for which a finding counts, which a revocation has to wait for anyway.
KEPT_SECONDS = 60.0
#: The same for a failure, a silent address, and a certificate that is revoked.
FAILURE_SECONDS = 10.0
_OK = 200


@dataclass(frozen=True, slots=True)
class RevocationRules:
    """What a policy says about revocation.

    Attributes:
        lists: revocation lists at hand.
        hosts: `host[:port]` of responders and lists that may be asked; nothing else is.
        accept_unknown: whether a certificate counts whose status is not known.
    """

    lists: tuple[RevocationList, ...]
    hosts: frozenset[str]
    accept_unknown: bool


class RevocationChecks:
    """The certificates of one verification, each checked once. Not thread-safe.

    Args:
        rules: what the policy says.
        sources: the clock, and how hosts are asked.
    """

    def __init__(self, rules: RevocationRules, sources: Sources) -> None:
        self._rules = rules
        self._sources = sources
        self._outcomes: dict[tuple[x509.Certificate, x509.Certificate], _Outcome] = {}

    def check(self, chain: Sequence[x509.Certificate]) -> datetime | None:
        """Check every certificate of a chain but the last, that one's side first.

        Args:
            chain: verified, the signer's certificate first.

        Returns:
            When the first source ends that says so; None if none was needed.

        Raises:
            VerificationError: a certificate is revoked, or its status is not known and that is not accepted.
            UnavailableError: a status is not known, and a host that the policy names could not be asked.
        """
        ends: datetime | None = None
        for pair in reversed(list(pairwise(chain))):
            if pair not in self._outcomes:
                self._outcomes[pair] = self._outcome(*pair)
            outcome = self._outcomes[pair]
            if isinstance(outcome, VerificationError | UnavailableError):
                raise outcome
            ends = earliest(ends, outcome)
        return ends

    def _outcome(self, certificate: x509.Certificate, issuer: x509.Certificate) -> _Outcome:
        try:
            return self._ask(certificate, issuer)
        except (VerificationError, UnavailableError) as error:
            return error

    def _ask(self, certificate: x509.Certificate, issuer: x509.Certificate) -> datetime | None:
        try:
            return _Inquiry(self._rules, certificate, issuer, self._sources).run()
        except UnknownStatusError as error:
            if not self._rules.accept_unknown:
                msg = (
                    f"whether {name_of(certificate)} is revoked is not known: {error}; name the host in "
                    "revocation.hosts, or give the list in revocation.lists"
                )
                raise VerificationError(msg, reason=Reason.REVOCATION_UNKNOWN) from error
        except (DeadlineError, UnreachableError) as error:
            if isinstance(error, DeadlineError) or not self._rules.accept_unknown:
                # As they are, these would say that the registry is unreachable, so that a finding from before the
                # revocation could stand in for this one (`cache.staleTagSeconds`).
                raise UnavailableError(error.message, reason=error.reason) from error
        except NoSlotError:
            # The budget is sealgate's own: requests for other signers must not make a status unknown, and accepted.
            raise
        except UnavailableError:
            if not self._rules.accept_unknown:
                raise
        return None


@dataclass(frozen=True, slots=True)
class _Inquiry:
    """The status of one certificate.

    Attributes:
        rules: what the policy says.
        certificate: the certificate.
        issuer: its issuer.
        sources: the clock, and how hosts are asked.
    """

    rules: RevocationRules
    certificate: x509.Certificate
    issuer: x509.Certificate
    sources: Sources

    def run(self) -> datetime | None:
        """Return until when the certificate is known not to be revoked; None if it cannot be revoked.

        Raises:
            VerificationError: it is revoked.
            UnknownStatusError: no source says that it is not.
            UnavailableError: the same, and a source could not be asked.
        """
        try:
            attempts = list(self._attempts())
            named = bool(ocsp.responders(self.certificate)) or crl.names_lists(self.certificate)
        except UNREADABLE as error:
            raise UnknownStatusError("where its status can be asked for cannot be read") from error
        unknown: UnknownStatusError | None = None
        unavailable: UnavailableError | None = None
        for attempt in attempts:
            try:
                return attempt()
            except UnknownStatusError as error:
                unknown = error
            except DeadlineError:
                raise
            except UnavailableError as error:
                # A used-up budget says more: that other hosts could not be asked may be accepted.
                unavailable = unavailable if isinstance(unavailable, NoSlotError) else error
        if unavailable is not None:
            raise unavailable
        if unknown is not None:
            raise unknown
        if named:
            raise UnknownStatusError("it names where to ask, and that is on no host that the policy names")
        return None

    def _attempts(self) -> Iterator[Callable[[], datetime]]:
        """Yield the ways to find the status: lists at hand, then OCSP, then lists elsewhere."""
        known = [each for each in self.rules.lists if each.is_for(self.issuer)]
        if known:
            yield partial(self._check_known, known)
        for url in self._allowed(ocsp.responders(self.certificate)):
            yield partial(self._ask_responder, url)
        for url in self._allowed(crl.distribution_points(self.certificate)):
            yield partial(self._ask_list, url)

    def _check_known(self, lists: Sequence[RevocationList]) -> datetime:
        """Check lists of one issuer: one that revokes counts, however many others do not."""
        unknown: UnknownStatusError | None = None
        ends: list[datetime] = []
        for known in lists:
            try:
                ends.append(known.check(self.certificate, self.issuer, self.sources.clock.now()))
            except UnknownStatusError as error:
                unknown = error
        if unknown is not None and not ends:
            raise unknown
        return min(ends)

    def _allowed(self, urls: Sequence[str]) -> list[str]:
        return [url for url in urls if _host_of(url) in self.rules.hosts][:MAX_ADDRESSES]

    def _ask_responder(self, url: str) -> datetime:
        request = ocsp.build_request(self.certificate, self.issuer)

        def ask() -> Answer[datetime]:
            data = self._fetch("POST", url, request, ocsp.MAX_RESPONSE_BYTES)
            now = self.sources.clock.now()
            ends = ocsp.check_response(data, self.certificate, self.issuer, now)
            return Answer(ends, min(KEPT_SECONDS, (ends - now).total_seconds()))

        return self._answer(("ocsp", url, _fingerprint(self.certificate), _fingerprint(self.issuer)), url, ask)

    def _ask_list(self, url: str) -> datetime:
        def ask() -> Answer[RevocationList]:
            data = self._fetch("GET", url, None, MAX_RESPONSE_BYTES)
            found = crl.read_list(data)
            if not found.is_for(self.issuer):
                raise UnknownStatusError("the revocation list at its address is not by its issuer")
            # One that has ended, or does not say when it ends, proves nothing: the next may.
            left = 0.0 if found.ends is None else (found.ends - self.sources.clock.now()).total_seconds()
            return Answer(found, min(KEPT_SECONDS, left) if left > 0 else FAILURE_SECONDS, len(data))

        found = self._answer(("list", url, _fingerprint(self.issuer)), url, ask)
        return found.check(self.certificate, self.issuer, self.sources.clock.now())

    def _answer(self, key: Hashable, url: str, ask: Callable[[], Answer[V]]) -> V:
        """Return the answer to a question, which another verification may have asked.

        Raises:
            VerificationError: the certificate is revoked.
            UnknownStatusError: the answer proves nothing.
            UnavailableError: there is no answer.
        """

        def fetch() -> Answer[V | _Failure]:
            try:
                return Answer[V | _Failure](*ask())
            except (DeadlineError, RateLimitedError):
                raise  # of this verification alone; and the HTTP client keeps the pauses that hosts ask for
            except (VerificationError, UnavailableError, UnknownStatusError) as error:
                return Answer(_Failure.of(error), FAILURE_SECONDS)

        answers = self.sources.answers
        silent = answers.get(("silent", url))
        found = (
            silent if isinstance(silent, _Failure) else answers.ask(key, _host_of(url), self.sources.deadline, fetch)
        )
        if isinstance(found, _Failure):
            found.throw()
        return found

    def _fetch(self, method: str, url: str, body: bytes | None, limit: int) -> bytes:
        self.sources.deadline.check("asking whether a certificate is revoked")
        headers = {} if body is None else {"Content-Type": ocsp.REQUEST_TYPE}
        try:
            response = self.sources.services.request(
                method, url, headers=headers, body=body, limit=limit, seconds=ASK_SECONDS
            )
        except DeadlineError as error:
            self.sources.deadline.check("asking whether a certificate is revoked")
            unanswered = UnreachableError(f"{quote(url, 200)} did not answer within {ASK_SECONDS:g} seconds")
            # For every question there: most networks that forbid a request drop it.
            self.sources.answers.put(("silent", url), Answer(_Failure.of(unanswered), FAILURE_SECONDS))
            raise unanswered from error
        except VerificationError as error:
            raise UnknownStatusError(error.message) from error
        if response.status != _OK:
            raise UnavailableError(f"{quote(url, 200)} is answered with status {response.status}")
        return response.body


@dataclass(frozen=True, slots=True)
class _Failure:
    """What came of a question instead of an answer.

    Attributes:
        make: makes the error; a new one each time, since raising an error changes it.
    """

    make: Callable[[], VerificationError | UnavailableError | UnknownStatusError]

    @classmethod
    def of(cls, error: VerificationError | UnavailableError | UnknownStatusError) -> _Failure:
        if isinstance(error, UnknownStatusError):
            return cls(partial(UnknownStatusError, str(error)))
        kinds = (VerificationError, UnreachableError, UnavailableError)
        kind = next(each for each in kinds if isinstance(error, each))
        return cls(partial(kind, error.message, reason=error.reason))

    def throw(self) -> NoReturn:
        raise self.make()


def _fingerprint(certificate: x509.Certificate) -> str:
    return fingerprint_of(certificate.public_bytes(Encoding.DER))


def _host_of(url: str) -> str:
    """Return the `host[:port]` of an address; empty for one that is never asked."""
    try:
        return parse_url(url).origin.authority
    except UnavailableError:
        return ""
