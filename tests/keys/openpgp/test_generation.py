"""New OpenPGP keys: they sign, and gpg and skopeo take them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import InvalidKeyError, SigningError
from sealgate.keys.openpgp.generation import generate_key
from sealgate.keys.openpgp.gpg import GPGKey
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.keys.openpgp.secret_keys import SecretKeyFile
from sealgate.keys.openpgp.signing import sign_message
from tests.keys.openpgp.test_secret_keys import PAYLOAD, no_passphrase, soon
from tests.support.real_tools.gpg_home import gpg_home

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_key_signs_what_its_public_half_verifies() -> None:
    now = datetime.now(UTC)
    new = generate_key("Release <release@example.org>", now)
    key = SecretKeyFile(new.secret.encode(), "release.asc", now, no_passphrase)
    signed = load_keyring(new.public).verify(sign_message(key, PAYLOAD, now, soon()), now)
    assert signed.payload == PAYLOAD
    assert signed.signing_fingerprint == signed.primary_fingerprint == new.fingerprint == key.fingerprint
    (state,) = load_keyring(new.public).states(now + timedelta(days=10_000))
    assert (state.kind, state.expires) == ("RSA 3072", None)


def test_two_new_keys_differ() -> None:
    now = datetime.now(UTC)
    assert generate_key("release", now).fingerprint != generate_key("release", now).fingerprint


@pytest.mark.parametrize("user_id", ["", "x" * 257, "two\nlines", "\0"])
def test_a_user_id_that_is_not_text_is_refused(user_id: str) -> None:
    with pytest.raises(InvalidKeyError, match="not a user ID"):
        generate_key(user_id, datetime.now(UTC))


@pytest.mark.parametrize("passphrase", ["correct horse", "p", "pässwörter" * 20])
def test_a_passphrase_encrypts_the_secret_half(passphrase: str) -> None:
    now = datetime.now(UTC)
    new = generate_key("release", now, passphrase.encode())
    key = SecretKeyFile(new.secret.encode(), "release.asc", now, lambda: passphrase)
    assert load_keyring(new.public).verify(sign_message(key, PAYLOAD, now, soon()), now).payload == PAYLOAD
    wrong = SecretKeyFile(new.secret.encode(), "release.asc", now, lambda: f"{passphrase}x")
    with pytest.raises(SigningError, match="not the right one"):
        sign_message(wrong, PAYLOAD, now, soon())


@pytest.mark.real
@pytest.mark.parametrize("passphrase", ["", "correct horse"])
def test_gpg_imports_a_new_key_and_signs_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str
) -> None:
    now = datetime.now(UTC)
    new = generate_key("Ünïcode <release@example.org>", now, passphrase.encode() or None)
    with gpg_home(tmp_path / "gnupg") as home:
        monkeypatch.setenv("GNUPGHOME", str(home.path))
        home.run("--import", data=new.secret.encode(), passphrase=passphrase)
        key = GPGKey(new.fingerprint, now, Deadline.after(SystemClock(), 60), lambda: passphrase)
        message = sign_message(key, PAYLOAD, datetime.now(UTC), soon())
        assert load_keyring(new.public).verify(message, datetime.now(UTC)).payload == PAYLOAD
