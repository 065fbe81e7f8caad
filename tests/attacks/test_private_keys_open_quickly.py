"""Attacks by private keys that ask for more work to be opened than a process that serves others can afford."""

from __future__ import annotations

import pytest

from sealgate.cloud.oracle import OCICredentials
from sealgate.errors import InvalidKeyError, UnavailableError
from sealgate.formats.notary.private_keys.files import read_key_file
from sealgate.keys.encrypted_keys import check_work
from sealgate.keys.pem import write_pem
from sealgate.keys.private_keys import load_private_key
from tests.support.builders.key_encodings import PBKDF2, SCRYPT, pbes1, pbes2

BOMBS = {
    "rounds": pbes2(PBKDF2, 2**31 - 1),
    "rounds and length": pbes2(PBKDF2, 2**31 - 1, 32),
    "something after the length": pbes2(PBKDF2, 2**31 - 1, 32, 0),
    "length": pbes2(PBKDF2, 2048, 2**31 - 1),
    "huge number": pbes2(PBKDF2, 2**400),
    "scrypt N": pbes2(SCRYPT, 2**30, 8, 1),
    "scrypt p": pbes2(SCRYPT, 2**14, 8, 2**20, 32),
    "PBES1": pbes1(2**31 - 1),
}
EVERY_BOMB = pytest.mark.parametrize("der", BOMBS.values(), ids=BOMBS)


@EVERY_BOMB
def test_key_file_that_takes_too_long_to_open_is_refused(der: bytes) -> None:
    pem = write_pem("ENCRYPTED PRIVATE KEY", der)
    with pytest.raises(InvalidKeyError, match="takes too long"):
        load_private_key(pem, "the key file", lambda: b"x")
    with pytest.raises(InvalidKeyError, match="takes too long"):
        read_key_file(pem).open("x")


@EVERY_BOMB
def test_secret_with_a_key_that_takes_too_long_is_refused(der: bytes) -> None:
    """The library holds the interpreter's lock meanwhile, so the Secret of one tenant would stop the whole webhook."""
    with pytest.raises(UnavailableError, match="takes too long"):
        from_secret(write_pem("ENCRYPTED PRIVATE KEY", der))


def test_secret_cannot_hide_the_block_that_the_library_reads() -> None:
    hidden = write_pem("ENCRYPTED PRIVATE KEY", BOMBS["rounds"]).replace(b"\n", b"\x0b\n", 1)
    with pytest.raises(UnavailableError, match="no PEM private key"):
        from_secret(hidden + write_pem("PRIVATE KEY", b"x"))


def test_secret_with_a_key_of_many_bits_is_refused() -> None:
    """To check the primes of 8192 bits takes seconds."""
    with pytest.raises(UnavailableError, match="its privateKey is larger than 4096 bytes"):
        from_secret(write_pem("PRIVATE KEY", bytes(4700)))


@pytest.mark.parametrize(
    "der",
    [pbes2(PBKDF2, 1_400_000), pbes2(PBKDF2, 2048, 32), pbes2(SCRYPT, 2**14, 8, 1), pbes2(SCRYPT, 2**17, 8, 1, 32)],
)
def test_usual_encryption_is_not_refused(der: bytes) -> None:
    check_work(der)


def from_secret(private_key: bytes) -> None:
    members = {"tenancy": b"t", "user": b"u", "fingerprint": b"20:3b", "privateKey": private_key, "passphrase": b"x"}
    OCICredentials.from_secret("oci", members)
