"""OpenPGP certificates written by hand, each with one peculiarity, and a message that a key of each signed.

Everything is made of fixed seeds, so the same bytes come out every time. Keys are from 2024-01-01, the message is from
2024-06-01, and everything is judged at 2025-01-01.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.signers.simple_signing import packet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DAY = timedelta(days=1)
MADE = datetime(2024, 1, 1, tzinfo=UTC)
SIGNED = datetime(2024, 6, 1, tzinfo=UTC)
#: Between the message and now.
SINCE = datetime(2024, 9, 1, tzinfo=UTC)
NOW = datetime(2025, 1, 1, tzinfo=UTC)
AHEAD = datetime(2025, 7, 1, tzinfo=UTC)
PAYLOAD = b"hello"

CERTIFY, SIGN = 0x01, 0x02
BINARY, POSITIVE, BINDING, BACK, DIRECT = 0x00, 0x13, 0x18, 0x19, 0x1F
KEY_REVOCATION, SUBKEY_REVOCATION, USER_ID_REVOCATION = 0x20, 0x28, 0x30
_OID = bytes.fromhex("092b06010401da470f01")
_CREATED, _EXPIRES, _KEY_EXPIRES, _ISSUER, _NOTATION, _FLAGS, _EMBEDDED, _ISSUER_FINGERPRINT = (
    2,
    3,
    9,
    16,
    20,
    27,
    32,
    33,
)
_REVOKER, _REASON = 12, 29


def _number(value: bytes) -> bytes:
    number = int.from_bytes(value, "big")
    return number.bit_length().to_bytes(2, "big") + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _seconds(moment: datetime) -> bytes:
    return int(moment.timestamp()).to_bytes(4, "big")


def subpacket(kind: int, body: bytes, *, critical: bool = False) -> bytes:
    """Return one subpacket; only short ones and embedded signatures are needed."""
    content = bytes([kind | (0x80 if critical else 0)]) + body
    length = bytes([len(content)]) if len(content) < 192 else b"\xff" + len(content).to_bytes(4, "big")
    return length + content


def notation(name: str = "test@example.org", *, critical: bool = True) -> bytes:
    """Return a notation for people."""
    body = b"\x80\0\0\0" + len(name).to_bytes(2, "big") + b"\0\x01" + name.encode() + b"x"
    return subpacket(_NOTATION, body, critical=critical)


@dataclass(frozen=True)
class Key:
    """An Ed25519 key with its packet."""

    name: str
    made: datetime = MADE

    @cached_property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(self.name.encode()).digest())

    @cached_property
    def body(self) -> bytes:
        point = b"\x40" + self.private.public_key().public_bytes_raw()
        return b"\x04" + _seconds(self.made) + b"\x16" + _OID + _number(point)

    @property
    def hashed(self) -> bytes:
        return b"\x99" + len(self.body).to_bytes(2, "big") + self.body

    @cached_property
    def fingerprint(self) -> bytes:
        return hashlib.sha1(self.hashed, usedforsecurity=False).digest()


PRIMARY, SUBKEY, STRANGER = Key("primary"), Key("subkey"), Key("stranger")
USER_ID, OTHER_USER_ID = b"test <t@example.org>", b"other <o@example.org>"


@dataclass(frozen=True)
class Statement:
    """A signature of a certificate about itself.

    Attributes:
        made: creation time of the signature.
        flags: key flags; None for none at all.
        key_ends: when it says that the key ends; `MADE` writes a period of 0, which means never.
        ends: when the signature itself ends.
        more: further hashed subpackets.
        unhashed: further ones that are not hashed.
        back: the key's agreement to be bound; "" for a good one if the flags ask for it.
        digest: of the signature.
        maker: whose it is; None for the primary key.
        broken: whether it does not verify.
    """

    made: datetime = MADE
    flags: int | None = SIGN
    key_ends: datetime | None = None
    ends: datetime | None = None
    more: bytes = b""
    unhashed: bytes = b""
    back: tuple[Statement, ...] | None = None
    digest: str = "sha256"
    maker: Key | None = None
    broken: bool = False

    def body(self, kind: int, data: bytes, about: Key) -> bytes:
        """Return the body of the signature packet.

        Args:
            kind: type of the signature.
            data: what it is over.
            about: whose life `key_ends` is counted from.
        """
        maker = self.maker or PRIMARY
        hashed = subpacket(_CREATED, _seconds(self.made)) + subpacket(_ISSUER_FINGERPRINT, b"\x04" + maker.fingerprint)
        if self.flags is not None:
            hashed += subpacket(_FLAGS, bytes([self.flags]))
        if self.key_ends is not None:
            hashed += subpacket(_KEY_EXPIRES, int((self.key_ends - about.made).total_seconds()).to_bytes(4, "big"))
        if self.ends is not None:
            hashed += subpacket(_EXPIRES, int((self.ends - self.made).total_seconds()).to_bytes(4, "big"))
        hashed += self.more
        unhashed = subpacket(_ISSUER, maker.fingerprint[-8:]) + self.unhashed
        number = {"sha1": 2, "sha256": 8}[self.digest]
        head = bytes([4, kind, 22, number]) + len(hashed).to_bytes(2, "big") + hashed
        digest = hashlib.new(self.digest, data + head + b"\x04\xff" + len(head).to_bytes(4, "big")).digest()
        signature = maker.private.sign(digest[::-1] if self.broken else digest)
        numbers = _number(signature[:32]) + _number(signature[32:])
        return head + len(unhashed).to_bytes(2, "big") + unhashed + digest[:2] + numbers


@dataclass(frozen=True)
class Case:
    """A certificate and who signed the message."""

    bindings: tuple[Statement, ...] = ()
    user_ids: tuple[tuple[bytes, tuple[Statement, ...]], ...] = ((USER_ID, (Statement(flags=CERTIFY),)),)
    direct: tuple[Statement, ...] = ()
    revocations: tuple[Statement, ...] = ()
    subkey_revocations: tuple[Statement, ...] = ()
    user_id_revocations: tuple[Statement, ...] = ()
    signer: Key = SUBKEY
    subkey: Key = SUBKEY
    message: Statement = field(default_factory=lambda: Statement(SIGNED, flags=None))

    @cached_property
    def certificate(self) -> bytes:
        """The packets, one after another."""
        own = PRIMARY.hashed
        parts = [packet(6, PRIMARY.body)]
        parts += [packet(2, found.body(KEY_REVOCATION, own, PRIMARY)) for found in self.revocations]
        parts += [packet(2, found.body(DIRECT, own, PRIMARY)) for found in self.direct]
        for user_id, certifications in self.user_ids:
            data = own + b"\xb4" + len(user_id).to_bytes(4, "big") + user_id
            parts.append(packet(13, user_id))
            parts += [packet(2, found.body(POSITIVE, data, PRIMARY)) for found in certifications]
            parts += [packet(2, found.body(USER_ID_REVOCATION, data, PRIMARY)) for found in self.user_id_revocations]
        if self.bindings:
            data = own + self.subkey.hashed
            parts.append(packet(14, self.subkey.body))
            parts += [packet(2, found.body(SUBKEY_REVOCATION, data, self.subkey)) for found in self.subkey_revocations]
            parts += [packet(2, self._binding(found, data)) for found in self.bindings]
        return b"".join(parts)

    @cached_property
    def signed(self) -> bytes:
        """The signed message."""
        statement = replace(self.message, maker=self.signer)
        signature = statement.body(BINARY, PAYLOAD, self.signer)
        one_pass = bytes([3, BINARY, 8, 22]) + self.signer.fingerprint[-8:] + b"\x01"
        literal = b"b\0" + bytes(4) + PAYLOAD
        return packet(4, one_pass) + packet(11, literal) + packet(2, signature)

    def _binding(self, statement: Statement, data: bytes) -> bytes:
        back = statement.back
        if back is None:
            signs = statement.flags is None or statement.flags & SIGN
            back = (Statement(statement.made, flags=None),) if signs else ()
        embedded = b"".join(
            subpacket(_EMBEDDED, replace(found, maker=found.maker or self.subkey).body(BACK, data, self.subkey))
            for found in back
        )
        return replace(statement, unhashed=statement.unhashed + embedded).body(BINDING, data, self.subkey)


def _peculiar(flags: int) -> Mapping[str, Statement]:
    """Return a statement for everything that may be peculiar about a self-signature, by what it is."""
    plain = Statement(flags=flags)
    critical = {
        f"critical subpacket {kind}": replace(plain, more=subpacket(kind, body, critical=True))
        for kind, body in {
            4: b"\x01",
            7: b"\x01",
            11: b"\x09",
            21: b"\x08",
            22: b"\x02",
            23: b"\x80",
            24: b"x",
            25: b"\x01",
            26: b"x",
            28: b"t@example.org",
            30: b"\x01",
            34: b"\x02",
            100: b"x",
            6: b"x\0",
        }.items()
    }
    return {
        "good": plain,
        "signature expired since": replace(plain, ends=NOW - DAY),
        "signature expires later": replace(plain, ends=NOW + 100 * DAY),
        "critical notation": replace(plain, more=notation()),
        "critical known notation": replace(plain, more=notation("preferred-email-encoding@pgp.com")),
        "notation": replace(plain, more=notation(critical=False)),
        "critical notation not hashed": replace(plain, unhashed=notation()),
        "critical subpacket not hashed": replace(plain, unhashed=subpacket(100, b"x", critical=True)),
        "critical flags": replace(plain, flags=None, more=subpacket(_FLAGS, bytes([flags]), critical=True)),
        "key expired": replace(plain, key_ends=NOW - DAY),
        "key expires later": replace(plain, key_ends=NOW + 100 * DAY),
        "key never expires": replace(plain, key_ends=MADE),
        "flags to certify": replace(plain, flags=CERTIFY),
        "no flags": replace(plain, flags=None),
        "flags of nothing": replace(plain, flags=0),
        "two expiries": replace(plain, ends=NOW - DAY, more=subpacket(_EXPIRES, bytes([0x7F, 0, 0, 0]))),
        "two expiries, the other order": replace(
            plain, more=subpacket(_EXPIRES, bytes([0x7F, 0, 0, 0])) + subpacket(_EXPIRES, b"\0\0\0\1")
        ),
        "two key expiries": replace(plain, key_ends=NOW - DAY, more=subpacket(_KEY_EXPIRES, bytes(4))),
        "not exportable": replace(plain, more=subpacket(4, b"\0")),
        "critical revoker": replace(plain, more=subpacket(_REVOKER, b"\x80\x16" + STRANGER.fingerprint, critical=True)),
        "SHA-1": replace(plain, digest="sha1"),
        "broken": replace(plain, broken=True),
        "by a stranger": replace(plain, maker=STRANGER),
        "older than the key": replace(plain, made=MADE - DAY),
        **critical,
    }


def _backs() -> Mapping[str, Statement]:
    """Return bindings that are peculiar in how the subkey agrees."""
    plain, back = Statement(), Statement(flags=None)
    unknown = subpacket(100, b"x", critical=True)
    return {
        "no agreement": replace(plain, back=()),
        "agreement broken": replace(plain, back=(replace(back, broken=True),)),
        "agreement by a stranger": replace(plain, back=(replace(back, maker=STRANGER),)),
        "agreement by the primary": replace(plain, back=(replace(back, maker=PRIMARY),)),
        "agreement with a critical notation": replace(plain, back=(replace(back, more=notation()),)),
        "agreement with a notation": replace(plain, back=(replace(back, more=notation(critical=False)),)),
        "agreement with an unknown critical subpacket": replace(plain, back=(replace(back, more=unknown),)),
        "agreement with critical not hashed": replace(plain, back=(replace(back, unhashed=unknown),)),
        "agreement expired since": replace(plain, back=(replace(back, ends=NOW - DAY),)),
        "agreement older than the subkey": replace(plain, back=(replace(back, made=MADE - DAY),)),
        "agreement by SHA-1": replace(plain, back=(replace(back, digest="sha1"),)),
        "agreement of the future": replace(plain, back=(replace(back, made=AHEAD),)),
        "two agreements, the newer broken": replace(plain, back=(back, replace(back, made=SINCE, broken=True))),
        "two agreements, the older broken": replace(
            plain, back=(replace(back, broken=True), replace(back, made=SINCE))
        ),
    }


def _orders(odd: Statement, good: Statement) -> Iterator[tuple[str, tuple[Statement, ...]]]:
    """Yield an odd statement alone, and beside a good one, in every order of time."""

    def at(statement: Statement, moment: datetime) -> Statement:
        made = statement.made + (moment - MADE)
        ends = statement.ends and max(statement.ends, made + DAY)
        back = None if statement.back is None else tuple(at(found, moment) for found in statement.back)
        return replace(statement, made=made, ends=ends, back=back)

    yield "alone", (odd,)
    yield "alone, after the message", (at(odd, SINCE),)
    yield "alone, in the future", (at(odd, AHEAD),)
    yield "after a good one", (good, at(odd, SINCE))
    yield "before a good one", (odd, at(good, SINCE))
    yield "in the future, after a good one", (good, at(odd, AHEAD))
    yield "at the time of a good one, later in order", (good, odd)
    yield "at the time of a good one, earlier in order", (odd, good)


def _revocations() -> Iterator[tuple[str, Case]]:
    good = Case((Statement(),))
    reasons = {"no reason": None, "compromised": 2, "superseded": 1, "retired": 3}
    for name, reason in reasons.items():
        more = b"" if reason is None else subpacket(_REASON, bytes([reason]))
        for when, made in {"": SINCE, ", before the message": MADE + DAY, ", in the future": AHEAD}.items():
            found = (Statement(made, flags=None, more=more),)
            yield f"key revoked, {name}{when}", replace(good, revocations=found)
            yield f"subkey revoked, {name}{when}", replace(good, subkey_revocations=found)
            yield f"user id revoked, {name}{when}", replace(good, user_id_revocations=found)
    for what, odd in {
        "expired": Statement(SINCE, flags=None, ends=NOW - DAY),
        "critical notation": Statement(SINCE, flags=None, more=notation()),
        "broken": Statement(SINCE, flags=None, broken=True),
        "by a stranger": Statement(SINCE, flags=None, maker=STRANGER),
    }.items():
        yield f"key revocation, {what}", replace(good, revocations=(odd,))
        yield f"subkey revocation, {what}", replace(good, subkey_revocations=(odd,))
    revoker = subpacket(_REVOKER, b"\x80\x16" + STRANGER.fingerprint)
    appointed = Statement(flags=CERTIFY, more=revoker)
    yield "a revoker is appointed", replace(good, direct=(appointed,))
    yield (
        "key revoked by an appointed revoker",
        replace(good, direct=(appointed,), revocations=(Statement(SINCE, flags=None, maker=STRANGER),)),
    )
    rebound = (Statement(), Statement(SINCE + DAY))
    yield (
        "subkey bound again after its revocation",
        replace(good, bindings=rebound, subkey_revocations=(Statement(SINCE, flags=None),)),
    )


def _certificates() -> Iterator[tuple[str, Case]]:
    bindings = {**_peculiar(SIGN), **_backs()}
    for name, odd in bindings.items():
        for order, statements in _orders(odd, Statement()):
            yield f"binding: {name}, {order}", Case(statements)
    both = CERTIFY | SIGN
    for name, odd in _peculiar(both).items():
        for order, statements in _orders(odd, Statement(flags=both)):
            yield f"user id: {name}, {order}", Case(user_ids=((USER_ID, statements),), signer=PRIMARY)
            plain = (USER_ID, (Statement(flags=both),))
            yield f"direct: {name}, {order}", Case(user_ids=(plain,), direct=statements, signer=PRIMARY)
        yield (
            f"second user id: {name}",
            Case(
                user_ids=((USER_ID, (Statement(flags=both),)), (OTHER_USER_ID, (replace(odd, made=odd.made + DAY),))),
                signer=PRIMARY,
            ),
        )
        yield f"subkey under user id: {name}", Case((Statement(),), ((USER_ID, (odd,)),))
        yield f"subkey under direct: {name}", Case((Statement(),), direct=(odd,))
        yield f"no user id, direct: {name}", Case(user_ids=(), direct=(odd,), signer=PRIMARY)
        later = replace(odd, made=SINCE)
        yield (
            f"newer direct over a user id that never ends: {name}",
            Case(user_ids=((USER_ID, (Statement(flags=both, key_ends=MADE),)),), direct=(later,), signer=PRIMARY),
        )
    for name, odd in _peculiar(SIGN).items():
        message = replace(odd, made=SIGNED, flags=None, key_ends=None, maker=None)
        if name not in {"by a stranger", "older than the key"}:
            yield f"message: {name}", Case((Statement(),), message=message)
    yield "no user id and no direct signature", Case((Statement(),), user_ids=())
    yield (
        "subkey made after the message",
        Case((Statement(SINCE),), subkey=Key("late", SINCE), signer=Key("late", SINCE)),
    )
    yield from _revocations()
    yield from _mutations()


def _mutations() -> Iterator[tuple[str, Case]]:
    """Yield certificates found by random mutation that sealgate once accepted and gpg refuses."""
    both = CERTIFY | SIGN
    plain = Statement(flags=both)
    exportable = subpacket(4, b"\x01", critical=True)
    yield (
        "mutation: an end in what marks as critical that it may be exported",
        Case(
            user_ids=(
                (USER_ID, (replace(plain, key_ends=NOW - DAY, more=exportable),)),
                (OTHER_USER_ID, (replace(plain, made=SINCE, key_ends=MADE),)),
            ),
            signer=PRIMARY,
        ),
    )
    yield (
        "mutation: a newer binding by SHA-1 that does not let sign",
        Case((Statement(), Statement(SINCE, flags=0, digest="sha1"))),
    )
    yield (
        "mutation: an expired newer user id lets sign and the other does not",
        Case(
            user_ids=(
                (USER_ID, (replace(plain, flags=0),)),
                (OTHER_USER_ID, (replace(plain, made=SINCE, ends=NOW - DAY),)),
            ),
            signer=PRIMARY,
        ),
    )
    other_maker = subpacket(_ISSUER, STRANGER.fingerprint[-8:])
    yield (
        "mutation: what names another maker lets sign and the other does not",
        Case(
            user_ids=((USER_ID, (plain,)),),
            direct=(replace(plain, flags=0), replace(plain, made=SINCE, more=other_maker)),
            signer=PRIMARY,
        ),
    )
    yield (
        "mutation: the message names another maker as well",
        Case((Statement(),), message=Statement(SIGNED, flags=None, more=other_maker)),
    )
    two_ends = replace(plain, key_ends=NOW - DAY, more=subpacket(_KEY_EXPIRES, bytes(4)))
    unknown = replace(plain, made=SINCE, more=subpacket(23, b"\x80", critical=True))
    yield (
        "mutation: two ends behind a newer one that is not understood",
        Case(user_ids=((USER_ID, (two_ends, unknown)), (OTHER_USER_ID, (plain,))), signer=PRIMARY),
    )
    yield "mutation: an expiry of eight octets", Case((Statement(more=subpacket(_EXPIRES, b"\x7f" * 8)),))


@cache
def certificates() -> Mapping[str, Case]:
    """Return every case by what is peculiar about it."""
    return dict(_certificates())
