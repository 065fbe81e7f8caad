"""Seals: values in the shared cache are bound by an HMAC to their name and expiry. Pure.

The server is not trusted, and neither is any other client of it. A name is a keyed hash of everything that
decides about its value, so it shows no image and no credentials. A sealed value is

    version (1 byte) | expiry in ms since 1970 (8 bytes, big-endian) | HMAC-SHA-256 (32 bytes) | payload

and the HMAC covers the name, the version, the expiry and the payload. A value that was copied to another name, changed,
made without the key, or kept beyond its expiry is rejected. Each purpose has a key of its own, derived from the one in
the Secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.registry.credentials import Credentials

#: What a value is: part of its name, so that a value of one kind is never read as another.
Kind = Literal["finding", "tag", "lease", "budget"]
#: A part of a name.
Part = str | None | tuple[str, ...]

#: Raise it when values of the same name come to mean something else.
VERSION: Final = 2
#: Prefix of all names, for the ACL of the server's user.
PREFIX: Final = "sealgate:"
MIN_SECRET_BYTES: Final = 32
#: Maximum bytes of a sealed value; a finding with a few signatures takes less than 2 KiB.
MAX_VALUE_BYTES: Final = 16 << 10

_EXPIRY_BYTES = 8
_MAC_BYTES = 32
_PAYLOAD_AT = 1 + _EXPIRY_BYTES + _MAC_BYTES


class RejectedValueError(ValueError):
    """A value of the server is not one that was sealed for this name, or it has expired."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A value whose seal is intact and which has not expired.

    Attributes:
        payload: what was sealed.
        expires_at: when it expires, in seconds since 1970.
    """

    payload: bytes
    expires_at: float


class SealingKey:
    """One key: makes names, seals and opens values, and hashes credentials.

    Args:
        secret: at least `MIN_SECRET_BYTES` random bytes.
        binding: whatever else decides about values, such as the version and the settings of this process. Processes
            with different bindings share nothing.

    Raises:
        ValueError: the secret is too short.
    """

    def __init__(self, secret: bytes, binding: str) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"a key of the shared cache has at least {MIN_SECRET_BYTES} bytes")
        self._names = _derive(secret, "name", binding)
        self._values = _derive(secret, "value", binding)
        self._identities = _derive(secret, "identity", binding)

    def name(self, kind: Kind, parts: Sequence[Part]) -> str:
        """Return the name of a value on the server.

        Args:
            kind: what the value is.
            parts: everything that decides about it, in a fixed order.
        """
        # JSON, because joined text would give different parts the same name.
        text = json.dumps([kind, *parts], separators=(",", ":"))
        return f"{PREFIX}{kind}:{_mac(self._names, text.encode()).hex()}"

    def seal(self, name: str, payload: bytes, expires_at: float) -> bytes:
        """Return a sealed value for one name.

        Args:
            name: as `name` returned it.
            payload: any bytes.
            expires_at: in seconds since 1970.
        """
        expiry = int(expires_at * 1000).to_bytes(_EXPIRY_BYTES, "big")
        head = bytes([VERSION]) + expiry
        return head + self._seal(name, head, payload) + payload

    def open(self, name: str, value: bytes, now: float) -> Opened:
        """Return what was sealed for a name.

        Args:
            name: the name that the value was read from.
            value: any bytes.
            now: the time, in seconds since 1970.

        Raises:
            RejectedValueError: it was not sealed for this name with this key, or has expired.
        """
        if not _PAYLOAD_AT <= len(value) <= MAX_VALUE_BYTES or value[0] != VERSION:
            raise RejectedValueError("not a sealed value of this version")
        head, seal, payload = value[: 1 + _EXPIRY_BYTES], value[1 + _EXPIRY_BYTES : _PAYLOAD_AT], value[_PAYLOAD_AT:]
        if not hmac.compare_digest(seal, self._seal(name, head, payload)):
            raise RejectedValueError("not sealed for this name")
        expires_at = int.from_bytes(head[1:], "big") / 1000
        if now >= expires_at:
            raise RejectedValueError("expired")
        return Opened(payload, expires_at)

    def identify(self, credentials: Sequence[Credentials]) -> str:
        """Return a keyed hash of the credentials that a caller has for one repository, in order; 64 hex digits."""
        parts = [each.compared for each in credentials]
        return _mac(self._identities, json.dumps(parts).encode()).hex()

    def _seal(self, name: str, head: bytes, payload: bytes) -> bytes:
        named = name.encode()
        return _mac(self._values, len(named).to_bytes(4, "big") + named + head + payload)


def _derive(secret: bytes, purpose: str, binding: str) -> bytes:
    return _mac(secret, json.dumps(["sealgate shared cache", VERSION, purpose, binding]).encode())


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, hashlib.sha256)
