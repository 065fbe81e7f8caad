"""Simple-signing fixtures by name, and generated messages that gpg does not produce."""

from __future__ import annotations

import bz2
import hashlib
import json
import zlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pysequoia

from sealgate.keys.openpgp.keyring import Keyring, load_keyring
from sealgate.keys.openpgp.packets import armored_blocks, read_packets
from sealgate.references import Digest

DATA = Path(__file__).parents[2] / "data" / "simple_signing"
REFERENCE = "registry.example.org/team/api:1.4"

#: When the fixtures' messages were signed is 2024-06-01; what spoils does so at 2024-07-01.
BEFORE_SPOILT = datetime(2024, 6, 20, tzinfo=UTC)
AFTER_SPOILT = datetime(2024, 7, 2, tzinfo=UTC)


def message(name: str) -> bytes:
    return (DATA / "messages" / f"{name}.sig").read_bytes()


def armored_key(name: str) -> str:
    return (DATA / "keys" / f"{name}.asc").read_text()


@cache
def keyring(*names: str) -> Keyring:
    return load_keyring("".join(map(armored_key, names)))


@cache
def subject() -> Digest:
    return Digest("sha256:" + hashlib.sha256((DATA / "manifest.json").read_bytes()).hexdigest())


def payload(digest: str | None = None, reference: str = REFERENCE) -> bytes:
    critical = {
        "type": "atomic container signature",
        "image": {"docker-manifest-digest": digest or subject()},
        "identity": {"docker-reference": reference},
    }
    return json.dumps({"critical": critical, "optional": {}}).encode()


def keyring_packets(name: str) -> list[bytes]:
    """The packets of an armored key, one by one, with plain lengths."""
    ((_, content),) = armored_blocks(armored_key(name).encode())
    return [bytes(found) for found in read_packets(content, 100)]


class Signer:
    """A key of its own that signs for real, here and now."""

    def __init__(self, validity_seconds: int | None = None) -> None:
        self._secret = pysequoia.Tsk.generate(user_id="signer <signer@example.org>", validity_seconds=validity_seconds)
        self.certificate = self._secret.extract_certificate()

    @property
    def public(self) -> str:
        return str(self.certificate)

    @property
    def secret(self) -> str:
        return str(self._secret)

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint.upper()

    def revoked(self) -> str:
        """The public key with a revocation, armored."""
        primary, *others = read_packets(bytes(self.certificate), 100)
        revocation = bytes(self.certificate.revoke(self._secret.certifier()))
        return pysequoia.armor(
            b"".join([bytes(primary), revocation, *map(bytes, others)]), pysequoia.ArmorKind.PublicKey
        )

    def sign(self, data: bytes, *, armor: bool = False) -> bytes:
        return pysequoia.sign(self._secret.signer(), data, armor=armor)

    def sign_detached(self, data: bytes) -> bytes:
        """Return an armored signature without what it is over."""
        mode = pysequoia.SignatureMode.DETACHED
        return pysequoia.sign(self._secret.signer(), data, mode=mode, armor=True)


def packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


def compressed(data: bytes, algorithm: int = 1) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = {
        0: lambda: data,
        1: lambda: deflate.compress(data) + deflate.flush(),
        2: lambda: zlib.compress(data, 9),
        3: lambda: bz2.compress(data),
    }[algorithm]()
    return packet(8, bytes([algorithm]) + packed)
