"""The check of one `notary` authenticator: is the image's tag signed in Notary v1 as the policy asks?"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.clocks import earliest
from sealgate.errors import SealgateError, UnavailableError, VerificationError
from sealgate.findings import Verified
from sealgate.formats.notary.errors import RootChangedError
from sealgate.formats.notary.limits import LIMITS
from sealgate.formats.notary.locations import NotaryServer, one_spelling
from sealgate.formats.notary.pins import read_pin, read_signers
from sealgate.formats.notary.reader import TrustReader
from sealgate.formats.notary.tags import (
    DockerOrder,
    ReleasesOnly,
    RequiredRole,
    RequiredRoles,
    Statement,
    find_tag,
    tags_naming,
)
from sealgate.formats.notary.trusted_metadata import TrustedMetadata
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sealgate.api.v1alpha1.notary import NotarySpec
    from sealgate.findings import SeenSignature
    from sealgate.formats.interface import CheckKey, Image, Sources
    from sealgate.formats.notary.pins import RootPin
    from sealgate.formats.notary.tags import Roles
    from sealgate.formats.notary.wire.metadata import FileHashes
    from sealgate.keys.resolvers import KeyResolver
    from sealgate.trusted_state.records import TrustKey, TrustRecord

# Part of `content`: raise it when the same keys and options come to mean something else.
_RULES_VERSION = 2


@dataclass(frozen=True, slots=True)
class NotaryCheck:
    """One authenticator's rules; see `sealgate.formats.interface.Check`.

    Attributes:
        content: hash of everything that decides.
        server: the notary server.
        pin: what a repository's root must be.
        roles: which roles are asked, and whose signatures count.
        allow_any_tag: whether a reference without a tag may be met by any.
    """

    content: str
    server: NotaryServer
    pin: RootPin
    roles: Roles
    allow_any_tag: bool

    @property
    def format(self) -> str:
        """The format's field name."""
        return "notary"

    @property
    def depends_on_tag(self) -> bool:
        """What Notary signs are tags."""
        return True

    @property
    def named_hosts(self) -> frozenset[str]:
        """None: what it names is a server, not a registry."""
        return frozenset()

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...] | None:
        """Return the accepted signers of the required roles; None if the repository's owner chooses the signers."""
        return self.roles.keys_at(now)

    def budget_host(self, image: Image) -> str:
        """Return the notary server's host."""
        return self.server.host_of(image.reference.repository)

    def verify(self, image: Image, sources: Sources) -> Verified:
        """Verify that the image's tag is signed, and store the versions of the trusted files that decide it.

        Raises:
            VerificationError: it is not, or what is there is not to be trusted.
            UnavailableError: it could not be found out.
        """
        return self.read(image, sources, [])

    def read(self, image: Image, sources: Sources, readers: list[TrustReader]) -> Verified:
        """Verify as `verify` does, and keep what was read.

        Args:
            image: the image.
            sources: where trust data is.
            readers: gets the reader of the trust data; stays empty if root, timestamp or snapshot are not trusted.

        Raises:
            VerificationError: see `verify`.
            UnavailableError: see `verify`.
        """
        seen: list[SeenSignature] = []
        try:
            return self._verify(image, sources, seen, readers)
        except VerificationError as error:
            signatures = (*seen, *(signature for signature in error.signatures if signature not in seen))
            message = error.message
            if error.reason is Reason.ROLLBACK:
                record = sources.state.describe(self._key(image))
                message += f"; if the repository was recreated on purpose, remove its trusted state ({record})"
            raise VerificationError(message, reason=error.reason, signatures=signatures) from error

    def _verify(
        self, image: Image, sources: Sources, seen: list[SeenSignature], readers: list[TrustReader]
    ) -> Verified:
        if image.reference.effective_tag is None and not self.allow_any_tag:
            msg = "the reference has no tag, and what Notary signs are tags: write one, or allow any (allowAnyTag)"
            raise VerificationError(msg, reason=Reason.NO_SIGNATURE)
        key = self._key(image)
        for _ in range(LIMITS.attempts):
            sources.deadline.check(f"verifying the trust data of {image.reference.name}")
            seen.clear()
            record = sources.state.load(key)
            reader = self._read(image, sources, record)
            readers[:] = [reader]
            try:
                verified = self._find(image, sources, reader, seen)
            except SealgateError:
                # Trusted files that refuse count as seen: one that withdraws a tag must not be rolled back either.
                with suppress(UnavailableError):
                    _store_versions(sources, key, record, reader.record)
                raise
            if _store_versions(sources, key, record, reader.record):
                return verified
        msg = f"the trust data of {image.reference.name} keeps changing while it is read; try again"
        raise UnavailableError(msg)

    def _read(self, image: Image, sources: Sources, record: TrustRecord) -> TrustReader:
        repository = image.reference.repository

        def fetch(name: str, limit: int) -> bytes:
            return self.server.fetch(sources.registry, repository, name, limit)

        try:
            return self._start(fetch, repository.name, record, sources)
        except RootChangedError:
            # Something may just have been published, between the two requests.
            return self._start(fetch, repository.name, record, sources)

    def _start(
        self, fetch: Callable[[str, int], bytes], gun: str, record: TrustRecord, sources: Sources
    ) -> TrustReader:
        reader = TrustReader(fetch, TrustedMetadata(gun, self.pin, record, sources.clock.now()))
        reader.start()
        return reader

    def _find(self, image: Image, sources: Sources, reader: TrustReader, seen: list[SeenSignature]) -> Verified:
        statements = self.roles.statements(reader, seen, sources.clock.now())
        deciding, entries = self._deciding(image, statements)
        manifest = sources.registry.manifest(image.reference.repository, image.digest)
        for entry in entries:
            entry.check(manifest.body, f"the manifest {image.digest}")
        fingerprints = dict.fromkeys(key.fingerprint for statement in deciding for key in statement.signers)
        ends = earliest(reader.valid_until, *(statement.valid_until for statement in statements))
        return Verified(tuple(fingerprints), tuple(seen), ends)

    def _deciding(
        self, image: Image, statements: tuple[Statement, ...]
    ) -> tuple[tuple[Statement, ...], tuple[FileHashes, ...]]:
        tag = image.reference.effective_tag
        if tag is not None:
            return find_tag(self.roles, statements, tag, image.digest)
        for candidate in tags_naming(statements, image.digest):
            try:
                return find_tag(self.roles, statements, candidate, image.digest)
            except VerificationError:
                continue
        msg = f"no tag that names {image.digest} is signed"
        raise VerificationError(msg, reason=Reason.NO_SIGNATURE)

    def _key(self, image: Image) -> TrustKey:
        return self.server.key_of(image.reference.repository)


def build(spec: NotarySpec, keys: KeyResolver) -> NotaryCheck:
    """Make a check from the `notary` field of an `Authenticator`.

    Args:
        spec: the field.
        keys: resolver for keys that are not in the spec itself.

    Raises:
        InvalidKeyError: a pin or a key cannot be accepted.
        UnavailableError: a key is not there (yet).
    """
    required = tuple(
        RequiredRole(role.name, None if role.any_permitted_key else read_signers(role, keys, f"notary.roles[{number}]"))
        for number, role in enumerate(spec.roles)
    )
    return NotaryCheck(
        content=_content(spec, required),
        server=NotaryServer(
            None if spec.server is None else one_spelling(spec.server), None if spec.ca is None else spec.ca.pem
        ),
        pin=read_pin(spec.root),
        roles=_roles(spec, required),
        allow_any_tag=spec.allow_any_tag,
    )


def _roles(spec: NotarySpec, required: tuple[RequiredRole, ...]) -> Roles:
    if required:
        return RequiredRoles(required)
    return ReleasesOnly() if spec.releases_only else DockerOrder()


def _content(spec: NotarySpec, required: tuple[RequiredRole, ...]) -> str:
    # The spec has everything but the keys in Secrets.
    resolved = [accepted.content for role in required for accepted in role.accepted or ()]
    return hashlib.sha256(
        "\n".join([f"notary {_RULES_VERSION}", spec.model_dump_json(), *resolved]).encode()
    ).hexdigest()


def _store_versions(sources: Sources, key: TrustKey, record: TrustRecord, current: TrustRecord) -> bool:
    """Store the versions of the trusted files; return whether no other replica has meanwhile stored newer ones."""
    if record.merged(current) == record:
        return True
    merged = sources.state.advance(key, current)
    outrun = any(merged.version(role) > version for role, version in current.versions.items())
    other_root = merged.root not in (record.root, current.root)
    return not outrun and not other_root
