"""What a certificate says about its own keys: the self-signatures that count, and what they say together.

The rules are those of gpg 2.2 wherever gpg refuses, and stricter where it is lenient:

- A self-signature counts only if the primary key made it, not before that key existed, with an accepted hash, and if it
  names no other maker and marks nothing as critical that is not understood here (RFC 4880, 5.2.3.1). One that the
  primary key may have made and that does not count cannot give anything, but it can take away: what it says of expiry
  and key flags is met as well.
- Of the self-signatures about one user id, one subkey, or the primary key itself, the newest decides. Once it has
  expired, the older ones do not come back. Several that were made in the same second must all agree.
- A self-signature that is dated in the future can take away and cannot give: a key must be good with it and without it.
- One that can be read in two ways, that is not to be exported, that marks something critical where no signature covers
  it, or that lets a subkey sign which does not agree (the back-signature), makes the key unusable while it is newest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.keys.openpgp.packets import Subpacket, read_signature
from sealgate.keys.openpgp.signatures import genuine, is_accepted_hash
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealgate.keys.openpgp.packets import SignatureFields
    from sealgate.keys.openpgp.signatures import KeyPacket

#: How far ahead of ours a signer's clock may be.
CLOCK_SKEW = timedelta(minutes=5)

_PRIMARY_BINDING = 0x19
_MAY_SIGN = 0x02
#: Later than the last time that a signature can say.
_END_OF_TIME = datetime(2200, 1, 1, tzinfo=UTC)
#: Subpackets that may be marked critical; any other might forbid what is not understood here. Notations are missing
#: because none is known, and the signer's user id because gpg does not take it for understood.
_UNDERSTOOD = frozenset(Subpacket) - {Subpacket.NOTATION, Subpacket.SIGNERS_USER_ID, Subpacket.EXPORTABLE}


@dataclass(frozen=True, slots=True)
class SelfSignature:
    """A signature by which a primary key says something about its certificate.

    Attributes:
        fields: the signature.
        counts: whether it verifies and everything critical in it is understood, so that it can give something.
        sound: whether it is unambiguous, and the subkey agrees where it must.
        ends: when it, or the agreement of the subkey, ends; None when neither does.
    """

    fields: SignatureFields
    counts: bool
    sound: bool
    ends: datetime | None

    @property
    def may_sign(self) -> bool:
        """Whether it lets the key sign; one without key flags leaves that to the OpenPGP library."""
        return flags_let_sign(self.fields)

    @property
    def key_period(self) -> timedelta | None:
        """How long after its creation the key ends; None when it does not."""
        seconds = int.from_bytes(self.fields.hashed.get(Subpacket.KEY_EXPIRES, b""), "big")
        return timedelta(seconds=seconds) if seconds else None

    def has_ended(self, now: datetime) -> bool:
        """Return whether it, or the agreement of the subkey, has expired."""
        return self.ends is not None and self.ends <= now


@dataclass(frozen=True, slots=True)
class Statements:
    """The self-signatures about one user ID or key, newest first."""

    signatures: tuple[SelfSignature, ...]

    @property
    def counting(self) -> Statements:
        """Those that can give something."""
        return Statements(tuple(found for found in self.signatures if found.counts))

    def current(self, at: datetime) -> tuple[SelfSignature, ...]:
        """Return those that decide at a time: the newest that were there, several if they are equally new."""
        held = [found for found in self.signatures if found.fields.created <= at]
        return tuple(found for found in held if found.fields.created == held[0].fields.created)

    def readings(self, now: datetime) -> tuple[Statements, ...]:
        """Return what these may be taken for: all of them, or without those that do not count or have ended."""
        unended = Statements(tuple(found for found in self.signatures if not found.has_ended(now)))
        return self, self.counting, unended, unended.counting

    def periods(self, at: datetime, now: datetime) -> list[timedelta]:
        """Return how long the key lives by those that decide at a time, in every reading."""
        deciding = [found for reading in self.readings(now) for found in reading.current(at)]
        return [found.key_period for found in deciding if found.key_period is not None]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of a certificate that may sign messages.

    Attributes:
        key: the key.
        primary: whether it is the certificate's primary key.
        own: the self-signatures about the key itself: a subkey's bindings, the primary key's direct-key signatures.
        user_ids: the certifications of each user id; none of a subkey.
        revoked: whether there is a revocation of it, for any reason.
    """

    key: KeyPacket
    primary: bool
    own: Statements
    user_ids: tuple[Statements, ...]
    revoked: bool

    @property
    def endorsements(self) -> tuple[SelfSignature, ...]:
        """Every self-signature about the key and its user ids, newest first."""
        everything = [found for statements in (self.own, *self.user_ids) for found in statements.signatures]
        return tuple(sorted(everything, key=lambda found: found.fields.created, reverse=True))

    @property
    def created(self) -> datetime:
        """When the key was made."""
        return datetime.fromtimestamp(self.key.created, UTC)

    @property
    def is_ahead(self) -> bool:
        """Whether the key is endorsed, but only as of a time to come: its owner's clock is ahead of this machine's.

        Going by this machine's clock, as the library does, which then finds no endorsement at all.
        """
        return bool(self.endorsements) and not self.is_endorsed(datetime.now(UTC))

    @property
    def ever_signs(self) -> bool:
        """Whether the primary key ever let it sign."""
        return any(found.counts and found.sound and found.may_sign for found in self.endorsements)

    def is_endorsed(self, at: datetime) -> bool:
        """Return whether the certificate says anything about the key as of a time."""
        return any(found.counts and found.fields.created <= at for found in self.endorsements)

    def expires(self, now: datetime) -> datetime | None:
        """Return when the key ends, by what holds now and what is dated ahead; None when it does not."""
        periods = [period for at in _views(now) for period in self._periods(at, now)]
        return self.created + min(periods) if periods else None

    def require_endorsed(self, now: datetime) -> None:
        """Refuse a key that the certificate does not hold to be its own now.

        Raises:
            VerificationError: no self-signature counts, the newest has expired, or it can be read in two ways.
        """
        for at in _views(now):
            found = [about.counting.current(at) for about in (self.user_ids if self.primary else (self.own,))]
            if not any(_is_good(current, now) for current in found):
                raise self._not_endorsed([one for current in found for one in current], now)
            latest = self.own.current(at)
            if not self.primary and any(one.has_ended(now) for one in latest):
                raise self._not_endorsed(list(latest), now)
            readings = [reading for about in (self.own, *self.user_ids) for reading in about.readings(now)]
            if not all(one.sound for reading in readings for one in reading.current(at)):
                raise self._not_endorsed([], now)

    def changes(self, now: datetime) -> Iterator[datetime]:
        """Yield the moments after now at which a self-signature begins to decide, or ends."""
        for found in self.endorsements:
            begins = found.fields.created - CLOCK_SKEW
            yield from (at for at in (begins, found.ends) if at is not None and at > now)

    def require_signing(self, now: datetime) -> None:
        """Refuse a key that may not sign now.

        Raises:
            VerificationError: something that decides about it does not let it sign.
        """
        for at in _views(now):
            if not all(found.may_sign for found in self._deciding(at, now)):
                raise _invalid(f"OpenPGP key {self.key.fingerprint} may not sign")

    def _deciding(self, at: datetime, now: datetime) -> list[SelfSignature]:
        """Return what says whether the key may sign, in every reading: about itself, and by the newest user ids."""
        deciding = [found for reading in self.own.readings(now) for found in reading.current(at)]
        for about in zip(*(one.readings(now) for one in self.user_ids), strict=True):
            groups = [current for one in about if (current := one.current(at))]
            flagged = [group for group in groups if any(Subpacket.KEY_FLAGS in one.fields.hashed for one in group)]
            deciding += [found for some in (groups, flagged) for group in _newest(some) for found in group]
        return deciding

    def _periods(self, at: datetime, now: datetime) -> list[timedelta]:
        own = self.own.periods(at, now)
        # The primary key's own signatures come first; where one that may decide says nothing, a user id does.
        groups = [reading.current(at) for reading in self.own.readings(now)]
        settled = all(group and all(one.key_period is not None for one in group) for group in groups)
        if not self.primary or settled:
            return own
        # Of the user ids the one decides that was certified last and says anything about it (as gpg has it).
        for about in zip(*(one.readings(now) for one in self.user_ids), strict=True):
            saying = [one for one in about if one.periods(at, now)]
            latest = max((one.current(at)[0].fields.created for one in saying), default=None)
            chosen = [one for one in saying if one.current(at)[0].fields.created == latest]
            own += [period for one in chosen for period in one.periods(at, now)]
        return own

    def _not_endorsed(self, current: list[SelfSignature], now: datetime) -> VerificationError:
        name = self.key.fingerprint
        ended = [found.ends for found in current if found.ends is not None and found.ends <= now]
        if ended:
            what = "user id" if self.primary else "binding"
            when = f"{max(ended):%Y-%m-%d %H:%M}"
            return VerificationError(
                f"the self-signature over the {what} of OpenPGP key {name} expired at {when}", reason=Reason.EXPIRED
            )
        why = "it has no self-signature that counts, or the newest one is ambiguous"
        return _invalid(f"OpenPGP key {name} may not sign: {why}")


def flags_let_sign(signature: SignatureFields) -> bool:
    """Return whether the key flags in a signature let the key sign; without any, that is left to the library."""
    flags = signature.hashed.get(Subpacket.KEY_FLAGS)
    return flags is None or bool(flags[:1] and flags[0] & _MAY_SIGN)


def only_understood(signature: SignatureFields) -> bool:
    """Return whether everything that is marked critical in a signature is understood here."""
    return signature.critical | signature.loose <= _UNDERSTOOD


def read_statements(
    primary: KeyPacket, signatures: Iterable[SignatureFields], data: bytes, subkey: KeyPacket | None = None
) -> Statements:
    """Return the self-signatures about one user ID or key that count.

    Args:
        primary: the primary key.
        signatures: all signatures in the certificate about it, by any key.
        data: what they are over.
        subkey: whose bindings they are; None if they are not bindings.
    """
    made = datetime.fromtimestamp(primary.created, UTC)
    own = [found for found in signatures if found.created >= made]
    verified = genuine(primary, own, data)
    # What cannot be verified here for its hash is believed where it takes away, as revocations are.
    makers = {primary.fingerprint, primary.fingerprint[-16:]}
    claimed = [one for one in own if not is_accepted_hash(one) and (not one.issuers or one.issuers & makers)]
    found = [
        _self_signature(one, data, subkey, counts=one.critical <= _UNDERSTOOD and one.issuers <= makers)
        for one in verified
    ]
    found += [_self_signature(one, data, subkey, counts=False) for one in claimed]
    return Statements(tuple(sorted(found, key=lambda one: one.fields.created, reverse=True)))


def _self_signature(fields: SignatureFields, data: bytes, subkey: KeyPacket | None, *, counts: bool) -> SelfSignature:
    # gpg leaves a signature that is not to be exported out when it imports a certificate.
    sound = not fields.local and not fields.ambiguous and fields.loose <= _UNDERSTOOD
    if subkey is None or not flags_let_sign(fields) or not sound:
        return SelfSignature(fields, counts, sound, fields.expires)
    agreements = [_agreement(body, data, subkey) for body in fields.embedded]
    agreed = [agreement for agreement in agreements if agreement is not None]
    ends = [one.expires for one in (fields, *agreed) if one.expires is not None]
    return SelfSignature(fields, counts, bool(agreed) and len(agreed) == len(agreements), min(ends, default=None))


def _agreement(body: bytes, data: bytes, subkey: KeyPacket) -> SignatureFields | None:
    """Return the signature by which a subkey agrees to be the primary key's; None if it is not one."""
    try:
        found = read_signature(body)
    except VerificationError:
        return None
    old = found.created < datetime.fromtimestamp(subkey.created, UTC)
    good = found.type == _PRIMARY_BINDING and only_understood(found) and not old and subkey.endorses(found, data)
    return found if good else None


def _is_good(current: tuple[SelfSignature, ...], now: datetime) -> bool:
    return bool(current) and all(found.sound and not found.has_ended(now) for found in current)


def _newest(groups: list[tuple[SelfSignature, ...]]) -> list[tuple[SelfSignature, ...]]:
    latest = max((group[0].fields.created for group in groups), default=None)
    return [group for group in groups if group[0].fields.created == latest]


def _views(now: datetime) -> tuple[datetime, datetime]:
    """Return the times whose self-signatures must all be met: now, and the end of all time."""
    return now + CLOCK_SKEW, _END_OF_TIME


def _invalid(what: str) -> VerificationError:
    return VerificationError(what, reason=Reason.INVALID_SIGNATURE)
