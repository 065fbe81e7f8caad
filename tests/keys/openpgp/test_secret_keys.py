"""OpenPGP secret keys in files, as gpg exports them: which key signs, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import DeadlineError, InvalidKeyError, SigningError
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.keys.openpgp.secret_keys import SecretKeyFile
from sealgate.keys.openpgp.signing import sign_message
from tests.support.clocks import FakeClock
from tests.support.signers.simple_signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.keys.openpgp.keyring import Keyring

DATA = Path(__file__).parents[2] / "data" / "openpgp_secret_keys"
PASSPHRASE = "correct horse battery staple"
PAYLOAD = b'{"critical": {}}'


def no_passphrase() -> str | None:
    return None


def content(name: str) -> bytes:
    return (DATA / name).read_bytes()


def load(name: str, passphrase: Callable[[], str | None] = no_passphrase, now: datetime | None = None) -> SecretKeyFile:
    return SecretKeyFile(content(name), f"the key file {name}", now or datetime.now(UTC), passphrase)


def soon() -> Deadline:
    return Deadline.after(SystemClock(), 30)


def sign(key: SecretKeyFile) -> bytes:
    return sign_message(key, PAYLOAD, datetime.now(UTC), soon())


@pytest.mark.parametrize(
    "name", ["rsa-3072.asc", "dsa-2048.asc", "ed25519.asc", "p256.asc", "p521.asc", "binary.gpg", "encrypted.asc"]
)
def test_a_key_of_each_kind_signs_what_its_certificate_verifies(name: str) -> None:
    key = load(name, lambda: PASSPHRASE)
    signed = key.keyring.verify(sign(key), datetime.now(UTC))
    assert signed.payload == PAYLOAD
    assert signed.signing_fingerprint == key.fingerprint == key.keyring.fingerprints[0]


def test_the_newest_subkey_signs_as_with_gpg() -> None:
    key = load("two-signing-subkeys.asc")
    states = key.keyring.states(datetime.now(UTC))
    assert len(states) == 3
    assert key.fingerprint == max(states, key=lambda state: state.created).fingerprint
    assert key.keyring.verify(sign(key), datetime.now(UTC)).signing_fingerprint == key.fingerprint


def test_a_subkey_signs_without_the_secret_of_the_primary_key() -> None:
    key = load("without-primary.asc")
    assert key.fingerprint == load("two-signing-subkeys.asc").fingerprint
    assert key.keyring.verify(sign(key), datetime.now(UTC)).payload == PAYLOAD


def test_passphrase_is_asked_for_once_and_only_when_signing() -> None:
    asked = []

    def ask() -> str:
        asked.append("asked")
        return PASSPHRASE

    key = load("encrypted.asc", ask)
    assert asked == []
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: sign(key), range(8)))
    assert asked == ["asked"]
    sign(load("ed25519.asc", ask))
    assert asked == ["asked"]


@pytest.mark.parametrize(
    ("passphrase", "why"),
    [(None, "protected by a passphrase.*--passphrase-file"), ("", "not the right one"), ("wrong", "not the right one")],
)
def test_a_wrong_or_missing_passphrase_is_named_and_not_repeated(passphrase: str | None, why: str) -> None:
    with pytest.raises(SigningError, match=f"the key file encrypted.asc .*{why}") as caught:
        sign(load("encrypted.asc", lambda: passphrase))
    assert "Stack" not in str(caught.value)
    assert not passphrase or passphrase not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("public.asc", "not an OpenPGP secret key"),
        ("generate.py", "not an OpenPGP secret key"),
        ("two-keys.asc", "several secret keys"),
        ("rsa-1024-too-short.asc", "RSA 1024"),
        ("expired.asc", "expired at 2024-07-01"),
        ("without-a-key-that-signs.asc", "the secret half of OpenPGP key [0-9A-F]{40} is missing"),
    ],
)
def test_a_file_that_cannot_sign_is_refused_before_it_is_used(name: str, why: str) -> None:
    with pytest.raises(InvalidKeyError, match=why):
        load(name)


def test_a_key_is_valid_until_it_expires() -> None:
    assert load("expired.asc", now=datetime(2024, 6, 1, tzinfo=UTC)).fingerprint


@pytest.mark.parametrize("cut", [1, 20, 90, -1, -90])
def test_a_damaged_file_is_refused_and_not_repeated(cut: int) -> None:
    data = content("binary.gpg")[:cut]
    with pytest.raises(InvalidKeyError) as caught:
        SecretKeyFile(data, "the key file damaged.gpg", datetime.now(UTC), no_passphrase)
    assert "Stack" not in str(caught.value)


def test_a_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidKeyError, match="larger than"):
        SecretKeyFile(bytes(2 << 20), "the key file large.gpg", datetime.now(UTC), no_passphrase)


def test_no_secret_is_in_what_a_key_shows() -> None:
    key = load("encrypted.asc", lambda: PASSPHRASE)
    sign(key)
    assert PASSPHRASE not in repr(key)
    assert key.name == "the key file encrypted.asc"


def test_nothing_is_signed_after_the_deadline() -> None:
    clock = FakeClock()
    with pytest.raises(DeadlineError):
        load("ed25519.asc").sign(PAYLOAD, Deadline(clock, clock.monotonic()))


class Liar:
    """A key that signs with another one than it says, or other bytes."""

    def __init__(self, signer: Signer, keyring: Keyring, fingerprint: str, payload: bytes) -> None:
        self.keyring = keyring
        self.fingerprint = fingerprint
        self.name = "gpg:liar"
        self._signer = signer
        self._payload = payload

    def sign(self, payload: bytes, deadline: Deadline) -> bytes:
        del payload, deadline
        return self._signer.sign(self._payload)


@pytest.mark.parametrize(
    ("keys", "payload", "why"),
    [
        ("other", PAYLOAD, "not accepted"),
        ("own", b"other bytes", "other bytes"),
        ("renamed", PAYLOAD, "it is by OpenPGP"),
    ],
)
def test_a_message_that_is_not_the_keys_own_is_never_handed_on(keys: str, payload: bytes, why: str) -> None:
    signer = Signer()
    keyring = load_keyring(Signer().public if keys == "other" else signer.public)
    (state,) = keyring.states(datetime.now(UTC))
    fingerprint = "0" * 40 if keys == "renamed" else state.fingerprint
    with pytest.raises(SigningError, match=f"nothing was stored.*{why}"):
        sign_message(Liar(signer, keyring, fingerprint, payload), PAYLOAD, datetime.now(UTC), soon())
