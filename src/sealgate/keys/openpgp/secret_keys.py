"""OpenPGP secret keys in files, as `gpg --export-secret-keys` writes them.

A file holds one certificate with the secret halves of its keys, or of some: a primary key that is kept offline is a
stub, and so is a key on a card. Which key signs is decided here, by the rules that verification has, and the library is
handed the secret of that key and of no other.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

import pysequoia

from sealgate.errors import InvalidKeyError, SigningError, VerificationError
from sealgate.keys.openpgp.certificates import LibraryError, library_errors
from sealgate.keys.openpgp.keyring import MAX_KEYRING_BYTES, load_keyring
from sealgate.keys.openpgp.packets import Packet, armored_blocks, read_packets
from sealgate.keys.openpgp.signing import choose_signing_key, only_once
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sealgate.clocks import Deadline
    from sealgate.keys.openpgp.keyring import Keyring
    from sealgate.keys.openpgp.signing import PassphraseSource

_SECRET_KEY, _PUBLIC_KEY, _SECRET_SUBKEY, _PUBLIC_SUBKEY = 5, 6, 7, 14
_PUBLIC_TAGS = {_SECRET_KEY: _PUBLIC_KEY, _SECRET_SUBKEY: _PUBLIC_SUBKEY}
_PACKET_MARK = 0x80
_MAX_PACKETS = 20_000
#: Octets after the public half of a key (RFC 4880, 5.5.3): 0 for a secret that is not encrypted; usage 253 to 255, the
#: cipher and the way to make a key of a passphrase for one that is. 101 there is gpg's mark of a stub.
_PLAIN = 0
_ENCRYPTED = frozenset({253, 254, 255})
_STUB = 101


class _Secret(Enum):
    """What a file holds of the secret half of a key."""

    PLAIN = auto()
    ENCRYPTED = auto()
    MISSING = auto()


@dataclass(frozen=True, slots=True)
class _KeyInFile:
    """One key of the file: where it is, its fingerprint, its public half and what there is of its secret."""

    position: int
    fingerprint: str
    public: bytes
    secret: _Secret


class SecretKeyFile:
    """An OpenPGP secret key that was read from a file; see `sealgate.keys.openpgp.signing.OpenPGPSigner`.

    Args:
        data: the file's content, armored or binary.
        name: of the key for a person.
        now: the time at which the key must be valid, timezone-aware.
        passphrase: is called when the key is first used, if it is encrypted.

    Attributes:
        keyring: the public half.
        fingerprint: of the primary key or subkey that signs.
        name: of the key for a person.

    Raises:
        InvalidKeyError: it is not the secret key of one certificate, the certificate is one that verification refuses,
            or no key of it can sign now.
    """

    def __init__(self, data: bytes, name: str, now: datetime, passphrase: PassphraseSource) -> None:
        self.name = name
        packets = _read_secret_packets(data, name)
        public = _public_half(packets, name)
        self.keyring: Keyring = load_keyring(public)
        keys = _keys_in_file(packets, public)
        present = {key.fingerprint for key in keys if key.secret is not _Secret.MISSING}
        self.fingerprint = choose_signing_key(self.keyring, present, now, name).fingerprint
        self._encrypted = any(key.fingerprint == self.fingerprint and key.secret is _Secret.ENCRYPTED for key in keys)
        self._only_signer = _without_other_secrets(packets, keys, self.fingerprint)
        self._passphrase = only_once(passphrase)
        self._unlocked: pysequoia.PySigner | None = None
        self._lock = threading.Lock()

    def sign(self, payload: bytes, deadline: Deadline) -> bytes:
        """Return a binary signed message; see `OpenPGPSigner.sign`.

        Raises:
            SigningError: the key is encrypted, and the passphrase is missing or is not the right one.
        """
        deadline.check("signing")
        with self._lock:
            if self._unlocked is None:
                self._unlocked = self._unlock()
            try:
                with library_errors():
                    return pysequoia.sign(self._unlocked, payload, armor=False)
            except LibraryError as error:
                raise SigningError(f"{quote(self.name)} cannot sign: {quote(error)}") from error

    def _unlock(self) -> pysequoia.PySigner:
        passphrase = self._passphrase() if self._encrypted else None
        if self._encrypted and passphrase is None:
            msg = (
                f"{quote(self.name)} is protected by a passphrase, and none was given; give it with --passphrase-file, "
                "or sign on a terminal, where it is asked for"
            )
            raise SigningError(msg)
        try:
            with library_errors():
                return pysequoia.Tsk.from_bytes(self._only_signer).signer(passphrase)
        except LibraryError:
            # The library's own text differs from cipher to cipher, and none of it is about the passphrase.
            why = "the passphrase is not the right one" if self._encrypted else "its secret half cannot be read"
            raise SigningError(f"{quote(self.name)} cannot sign: {why}") from None


def _read_secret_packets(data: bytes, name: str) -> list[Packet]:
    if len(data) > MAX_KEYRING_BYTES:
        raise InvalidKeyError(f"{quote(name)} is larger than {MAX_KEYRING_BYTES} bytes")
    try:
        binary = data
        if not data[:1] or not data[0] & _PACKET_MARK:
            blocks = [content for kind, content in armored_blocks(data) if kind == "PRIVATE KEY BLOCK"]
            binary = b"".join(blocks)
        packets = read_packets(binary, _MAX_PACKETS)
    except VerificationError as error:
        raise InvalidKeyError(f"{quote(name)} cannot be read: {error.message}") from None
    if not any(packet.tag == _SECRET_KEY for packet in packets):
        msg = f"{quote(name)} is not an OpenPGP secret key; write what `gpg --export-secret-keys FINGERPRINT` prints"
        raise InvalidKeyError(msg)
    if sum(packet.tag == _SECRET_KEY for packet in packets) > 1:
        raise InvalidKeyError(f"{quote(name)} holds several secret keys; export the one that is to sign")
    return packets


def _public_half(packets: Sequence[Packet], name: str) -> bytes:
    try:
        with library_errors():
            secret = pysequoia.Tsk.from_bytes(b"".join(map(bytes, packets)))
            return bytes(secret.extract_certificate())
    except LibraryError:
        # What the library says about it may quote the file.
        raise InvalidKeyError(f"{quote(name)} is not a certificate that can be read; export the key again") from None


def _keys_in_file(packets: Sequence[Packet], public: bytes) -> list[_KeyInFile]:
    """Return the keys of the file; a secret key packet begins with the body of the public one (RFC 4880, 5.5.3)."""
    bodies = [packet.body for packet in read_packets(public, _MAX_PACKETS) if packet.tag in _PUBLIC_TAGS.values()]
    found = []
    for position, packet in enumerate(packets):
        for body in bodies if packet.tag in _PUBLIC_TAGS else ():
            if packet.body.startswith(body):
                hashed = b"\x99" + len(body).to_bytes(2, "big") + body
                fingerprint = hashlib.sha1(hashed, usedforsecurity=False).hexdigest().upper()
                found.append(_KeyInFile(position, fingerprint, body, _secret_of(packet.body[len(body) :])))
    return found


def _secret_of(material: bytes) -> _Secret:
    usage, method = material[:1], material[2:3]
    if usage == bytes([_PLAIN]):
        return _Secret.PLAIN
    if not usage or usage[0] not in _ENCRYPTED or method == bytes([_STUB]):
        return _Secret.MISSING
    return _Secret.ENCRYPTED


def _without_other_secrets(packets: Sequence[Packet], keys: Sequence[_KeyInFile], fingerprint: str) -> bytes:
    """Return the certificate with the secret half of that key alone, so that the library signs with no other."""
    written = list(packets)
    for key in keys:
        if key.fingerprint != fingerprint:
            written[key.position] = Packet(_PUBLIC_TAGS[packets[key.position].tag], key.public)
    return b"".join(map(bytes, written))
