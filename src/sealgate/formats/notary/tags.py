"""Which roles decide about a tag, and whether they name the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sealgate.clocks import earliest
from sealgate.errors import VerificationError
from sealgate.findings import SeenSignature
from sealgate.formats.notary.errors import MissingRoleError, UnusableFileError
from sealgate.formats.notary.wire.metadata import TARGETS
from sealgate.formats.signers import each_once
from sealgate.messages import name_accepted
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sealgate.formats.interface import CheckKey
    from sealgate.formats.notary.pins import AcceptedKey
    from sealgate.formats.notary.reader import TrustReader
    from sealgate.formats.notary.targets import TargetsFile
    from sealgate.formats.notary.wire.keys import MetadataKey
    from sealgate.formats.notary.wire.metadata import FileHashes
    from sealgate.references import Digest

RELEASES = "targets/releases"


@dataclass(frozen=True, slots=True)
class Statement:
    """What one role, signed by a key that the policy accepts, says about tags.

    Attributes:
        targets: the role's file.
        signers: those of its signers that count.
        valid_until: when the first of the policy's certificates ends by which they count; None if by none.
    """

    targets: TargetsFile
    signers: tuple[MetadataKey, ...]
    valid_until: datetime | None = None


class Roles(Protocol):
    """Which roles an authenticator asks."""

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...] | None:
        """Return the signers that the policy accepts; see `sealgate.formats.interface.Check`."""

    def statements(self, reader: TrustReader, seen: list[SeenSignature], now: datetime) -> tuple[Statement, ...]:
        """Read the files of the roles; every signature goes into `seen`.

        Raises:
            VerificationError: a role that must be there is not, or is not signed as the policy asks.
            UnavailableError: something could not be fetched.
        """

    def deciding(self, statements: tuple[Statement, ...], tag: str) -> tuple[Statement, ...]:
        """Return those of the statements that decide about a tag; each must name it. Empty: no role names it."""


@dataclass(frozen=True, slots=True)
class RequiredRole:
    """A role that must name the tag.

    Attributes:
        name: of the role.
        accepted: the policy's own list of keys, one of which must have signed; None for the role's own list alone.
    """

    name: str
    accepted: tuple[AcceptedKey, ...] | None


@dataclass(frozen=True, slots=True)
class RequiredRoles:
    """Roles that must all name the tag with the same digest, as UCP asks of its teams."""

    roles: tuple[RequiredRole, ...]

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...] | None:
        """Return the accepted signers of all roles; None if one is not known by its fingerprint.

        Where none of a role's listed keys counts any more, these are all: no signer of another role makes up for it.
        """
        found: list[CheckKey] = []
        known = True
        for role in self.roles:
            accepted = role.accepted or ()
            keys = [one.check_key(one.fingerprint, now) for one in accepted if one.fingerprint is not None]
            complete = role.accepted is not None and len(keys) == len(accepted)
            if keys and complete and all(key.reason is not Reason.VERIFIED for key in keys):
                return each_once(keys)
            known = known and complete
            found += keys
        return each_once(found) if known else None

    def statements(self, reader: TrustReader, seen: list[SeenSignature], now: datetime) -> tuple[Statement, ...]:
        """Read every role; each must be signed by one of its accepted keys."""
        return tuple(self._statement(role, reader, seen, now) for role in self.roles)

    def deciding(self, statements: tuple[Statement, ...], tag: str) -> tuple[Statement, ...]:
        """Return all of them: each must name the tag."""
        del tag
        return statements

    def _statement(
        self, role: RequiredRole, reader: TrustReader, seen: list[SeenSignature], now: datetime
    ) -> Statement:
        targets = reader.targets(role.name)
        if role.accepted is None:
            seen += targets.signers.seen
            return Statement(targets, targets.signers.keys)
        # Who may sign for the role is the repository owner's choice; who counts is the policy's.
        counted, ends, refusal = [], [], None
        for key in targets.signers.keys:
            try:
                ends.append(_check_accepted(key, role.name, role.accepted, now))
            except VerificationError as error:
                refusal = refusal or error
            else:
                counted.append(key)
        fingerprints = {key.fingerprint for key in counted}
        seen += [_as_counted(signature, fingerprints, role.name) for signature in targets.signers.seen]
        if not counted:
            raise refusal or VerificationError(f"{role.name} is not signed", reason=Reason.NO_SIGNATURE)
        return Statement(targets, tuple(counted), earliest(*ends))


@dataclass(frozen=True, slots=True)
class DockerOrder:
    """Docker's own order: `targets/releases`, then `targets` for tags that it does not name.

    Every signer counts that the repository's owner allows.
    """

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...] | None:
        """Return None: the repository's owner chooses the signers."""
        del now
        return None  # noqa: RET501 - None is a value here

    def statements(self, reader: TrustReader, seen: list[SeenSignature], now: datetime) -> tuple[Statement, ...]:
        """Read both; as docker does, pass over releases that are absent, expired or signed by too few."""
        del now
        found = [reader.targets(TARGETS)]
        try:
            found.insert(0, reader.targets(RELEASES))
        except (MissingRoleError, UnusableFileError) as error:
            seen += error.signatures
        for targets in found:
            seen += targets.signers.seen
        return tuple(Statement(targets, targets.signers.keys) for targets in found)

    def deciding(self, statements: tuple[Statement, ...], tag: str) -> tuple[Statement, ...]:
        """Return the first that names the tag."""
        return next(((statement,) for statement in statements if statement.targets.entry(tag) is not None), ())


@dataclass(frozen=True, slots=True)
class ReleasesOnly:
    """`targets/releases` alone where the repository has delegations, `targets` where it has none.

    A releases role that is absent, expired or signed by too few is refused, where docker's order goes on to `targets`.
    Every signer counts that the repository's owner allows.
    """

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...] | None:
        """Return None: the repository's owner chooses the signers."""
        del now
        return None  # noqa: RET501 - None is a value here

    def statements(self, reader: TrustReader, seen: list[SeenSignature], now: datetime) -> tuple[Statement, ...]:
        """Read the role that decides."""
        del now
        targets = reader.targets(TARGETS)
        if targets.delegations:
            targets = reader.targets(RELEASES)
        seen += targets.signers.seen
        return (Statement(targets, targets.signers.keys),)

    def deciding(self, statements: tuple[Statement, ...], tag: str) -> tuple[Statement, ...]:
        """Return it."""
        del tag
        return statements


def find_tag(
    roles: Roles, statements: tuple[Statement, ...], tag: str, digest: Digest
) -> tuple[tuple[Statement, ...], tuple[FileHashes, ...]]:
    """Return the statements that name a tag with the digest, and what they say about it.

    Raises:
        VerificationError: the tag is not named by all that must name it, or with another digest.
    """
    deciding = roles.deciding(statements, tag)
    if not deciding:
        raise VerificationError(f"the tag {tag} is not signed", reason=Reason.NO_SIGNATURE)
    return deciding, tuple(_entry(statement.targets, tag, digest) for statement in deciding)


def tags_naming(statements: tuple[Statement, ...], digest: Digest) -> Iterator[str]:
    """Return every tag that seems to name a digest, each once."""
    found = dict.fromkeys(tag for statement in statements for tag in statement.targets.tags_naming(digest))
    return iter(found)


def _entry(targets: TargetsFile, tag: str, digest: Digest) -> FileHashes:
    entry = targets.entry(tag)
    if entry is None:
        msg = f"{targets.role.name} does not name the tag {tag}"
        raise VerificationError(msg, reason=Reason.NO_SIGNATURE)
    named = f"sha256:{entry.sha256.hex()}"
    if named != digest:
        msg = f"{targets.role.name} names {named} as {tag}, and the image is {digest}"
        raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
    return entry


def _check_accepted(
    key: MetadataKey, role: str, accepted_keys: tuple[AcceptedKey, ...], now: datetime
) -> datetime | None:
    """Return when the entry ends by which the policy accepts a key for a role; None if it does not end."""
    refusal: VerificationError | None = None
    for accepted in accepted_keys:
        if not accepted.is_key(key):
            continue
        try:
            accepted.check_dates(now)
        except VerificationError as error:
            refusal = error
        else:
            return accepted.ends
    names = name_accepted(accepted.name for accepted in accepted_keys)
    msg = f"{role} is signed by the key {key.canonical_id}, which the policy does not accept for it{names}"
    raise refusal or VerificationError(msg, reason=Reason.UNKNOWN_KEY)


def _as_counted(signature: SeenSignature, fingerprints: set[str], role: str) -> SeenSignature:
    if signature.reason is not Reason.VERIFIED or signature.fingerprint in fingerprints:
        return signature
    message = f"it is good, but the policy does not accept its key for {role}"
    return SeenSignature(signature.source, Reason.UNKNOWN_KEY, message, signature.fingerprint)
