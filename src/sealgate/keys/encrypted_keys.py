"""Private keys that others may have written, opened with bounded work.

The library derives the key of the encryption with as many rounds, and as much memory, as the file asks for, and no
other thread of the process runs meanwhile. A Secret of one tenant would stop a process that serves all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from sealgate.errors import InvalidKeyError
from sealgate.keys.pem import read_private_key_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

#: The most work of a key derivation: rounds of PBKDF2, or N * r * p of scrypt. Both take about a second. openssl writes
#: 2,048 and 131,072 unless it is told otherwise, and at most 262,144 for scrypt; OWASP advises up to 1,400,000 rounds.
MAX_WORK = 2_000_000
_SEQUENCE, _INTEGER, _LONG_LENGTH = 0x30, 0x02, 0x80
_ENCRYPTED = "ENCRYPTED PRIVATE KEY"
_MAX_KEY_LENGTH = 64
#: The most bytes of a number that is read; every longer one is more than `MAX_WORK`.
_NUMBER_BYTES = 16


class CostlyKeyError(InvalidKeyError):
    """To undo the encryption of a private key takes too long."""


def load_pem(pem: bytes, passphrase: bytes | None) -> PrivateKeyTypes:
    """Load the one private key of a PEM text.

    Args:
        pem: the text; what is around the one block of a private key does not matter.
        passphrase: of an encrypted key; None for one that is not encrypted.

    Raises:
        InvalidKeyError: it is not one private key in PEM.
        CostlyKeyError: its encryption asks for more than `MAX_WORK`.
        ValueError: it is malformed, or the passphrase is wrong.
        TypeError: there is a passphrase and the key is not encrypted, or the other way round.
        UnsupportedAlgorithm: it is of a kind that `cryptography` does not have.
    """
    block = read_private_key_pem(pem)
    if block.label == _ENCRYPTED:
        return load_der(block.data, passphrase)
    if _ENCRYPTED.encode() in pem:
        # The library might find a block that was not seen here, and so not checked.
        raise InvalidKeyError("it is not one private key in PEM; keep only the lines of the key")
    return load_pem_private_key(pem, passphrase)


def load_der(der: bytes, passphrase: bytes | None) -> PrivateKeyTypes:
    """Load an encrypted PKCS#8 key; see `load_pem`."""
    check_work(der)
    return load_der_private_key(der, passphrase)


def check_work(der: bytes) -> None:
    """Refuse an encrypted PKCS#8 key that takes too long to decrypt.

    Args:
        der: an EncryptedPrivateKeyInfo (RFC 5958). What is malformed is left to the parser that decrypts.

    Raises:
        CostlyKeyError: its encryption asks for more than `MAX_WORK`.
    """
    for numbers in _numbers(der):
        # PBKDF2 has rounds, scrypt N, r and p (RFC 8018, RFC 7914); both may have the length of the key after that.
        *work, length = numbers if len(numbers) % 2 == 0 else (*numbers, 0)
        product = 1
        for number in work:
            product *= max(number, 1)
        if product > MAX_WORK or length > _MAX_KEY_LENGTH:
            msg = (
                "its encryption takes too long to undo; encrypt it again with the usual number of rounds: "
                "openssl pkcs8 -topk8 -in key.pem"
            )
            raise CostlyKeyError(msg)


def _numbers(der: bytes) -> list[list[int]]:
    """Return the integers of each sequence that has some, sequences in sequences included."""
    found, waiting = [], [der]
    while waiting:
        integers = []
        for tag, content in _elements(waiting.pop()):
            if tag == _SEQUENCE:
                waiting.append(content)
            elif tag == _INTEGER:
                number = int.from_bytes(content, "big") if len(content) <= _NUMBER_BYTES else MAX_WORK + 1
                integers.append(number)
        if integers:
            found.append(integers)
    return found


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of DER elements, up to the first that is malformed."""
    found = []
    while len(data) > 1:
        length, start = data[1], 2
        if length >= _LONG_LENGTH:
            start += length - _LONG_LENGTH
            length = int.from_bytes(data[2:start], "big")
        found.append((data[0], data[start : start + length]))
        data = data[start + length :]
    return found
