"""Keys that the real gpg holds: signed with, or named as locked, missing or elsewhere, without ever waiting."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import ConfigError, DeadlineError, InvalidKeyError, SigningError
from sealgate.keys.openpgp.gpg import GPGKey
from sealgate.keys.openpgp.signing import sign_message
from tests.support.real_tools.gpg_home import Home, gpg_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PASSPHRASE = "correct horse battery staple"
PAYLOAD = b'{"critical": {}}'
#: Programs that replace gpg: one that records its arguments, and some for what the real one does only when it is broken
#: or has a card.
RECORDED = """#!/bin/sh
echo "$@" >>"{log}"
exec "{gpg}" "$@"
"""
FAILING = """#!/bin/sh
case "$*" in
*--sign*) echo "[GNUPG:] FAILURE sign {code}" >&2; exit 2 ;;
*) exec "{gpg}" "$@" ;;
esac
"""
CARD = """#!/bin/sh
case "$*" in
*--list-secret-keys*) "{gpg}" "$@" | sed -E 's/^((sec|ssb):([^:]*:){{13}})[+]:/\\1D2760001240103040006123456780000:/' ;;
*--sign*) echo "[GNUPG:] FAILURE sign 100663408" >&2; exit 2 ;;
*) exec "{gpg}" "$@" ;;
esac
"""


def no_passphrase() -> str | None:
    return None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with gpg_home(tmp_path / "gnupg") as home:
        monkeypatch.setenv("GNUPGHOME", str(home.path))
        yield home


def key(fingerprint: str, passphrase: Callable[[], str | None] = no_passphrase) -> GPGKey:
    return GPGKey(fingerprint, datetime.now(UTC), soon(), passphrase)


def soon(seconds: float = 60) -> Deadline:
    return Deadline.after(SystemClock(), seconds)


def sign(signer: GPGKey) -> bytes:
    return sign_message(signer, PAYLOAD, datetime.now(UTC), soon())


@pytest.fixture
def fake_gpg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that replaces gpg by a script."""

    def put(script: str) -> None:
        program = tmp_path / "bin" / "gpg"
        program.parent.mkdir(exist_ok=True)
        program.write_text(script)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.defpath}")

    return put


pytestmark = pytest.mark.real


@pytest.mark.parametrize("kind", ["rsa2048", "ed25519", "nistp256"])
def test_a_key_of_gpg_signs_what_its_certificate_verifies(home: Home, kind: str) -> None:
    fingerprint = home.key(kind=kind)
    signer = key(fingerprint)
    assert (signer.name, signer.fingerprint) == (f"gpg:{fingerprint}", fingerprint)
    assert signer.keyring.verify(sign(signer), datetime.now(UTC)).payload == PAYLOAD


def test_settings_of_gpg_do_not_change_the_shape_of_the_message(home: Home) -> None:
    fingerprint = home.key()
    (home.path / "gpg.conf").write_text("armor\ntextmode\ncompress-algo bzip2\ndefault-key 0000\n")
    assert sign(key(fingerprint))


def test_newest_subkey_signs_and_a_subkey_may_be_named(home: Home) -> None:
    primary = home.key()
    home.run("--quick-add-key", primary, "ed25519", "sign", "1d")
    listing = home.run("--with-colons", "--list-keys", primary).decode()
    subkey = [line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:")][1]
    assert key(primary).fingerprint == key(subkey.lower()).fingerprint == subkey
    signer = key(subkey)
    assert signer.keyring.verify(sign(signer), datetime.now(UTC)).primary_fingerprint == primary


def test_locked_key_is_named_and_not_waited_for(home: Home) -> None:
    fingerprint = home.key(passphrase=PASSPHRASE)
    home.lock()
    with pytest.raises(SigningError, match=f"gpg:{fingerprint} did not sign: gpg-agent does not have its passphrase"):
        sign(key(fingerprint))


def test_passphrase_unlocks_the_key_and_is_in_no_argument(
    home: Home, tmp_path: Path, fake_gpg: Callable[[str], None]
) -> None:
    fingerprint = home.key(passphrase=PASSPHRASE)
    home.lock()
    fake_gpg(RECORDED.format(log=tmp_path / "log", gpg=home.gpg))
    with pytest.raises(SigningError, match="not the right one") as caught:
        sign(key(fingerprint, lambda: "wrong horse"))
    assert "wrong horse" not in str(caught.value)
    assert sign(key(fingerprint, lambda: PASSPHRASE))
    recorded = (tmp_path / "log").read_text()
    assert "--passphrase-fd=" in recorded
    assert "horse" not in recorded


def test_running_agent_is_used_before_a_passphrase_is_asked_for(home: Home) -> None:
    fingerprint = home.key(passphrase=PASSPHRASE)
    home.run("--sign", data=b"", passphrase=PASSPHRASE)

    def ask() -> str:
        pytest.fail("asked for a passphrase that the agent has")

    assert sign(key(fingerprint, ask))


def test_missing_key_is_named_with_the_home(home: Home) -> None:
    with pytest.raises(InvalidKeyError, match=f"does not have the secret key {'0' * 40} in {home.path}"):
        key("0" * 40)


@pytest.mark.parametrize("text", ["", "release@example.org", "DEADBEEF", "0x" + "0" * 38, "--version", "0" * 40 + "!"])
def test_only_full_fingerprints_are_taken(text: str) -> None:
    with pytest.raises(InvalidKeyError, match="not an OpenPGP fingerprint"):
        key(text)


def test_public_key_alone_is_a_missing_key(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public = home.export(home.key())
    with gpg_home(tmp_path / "other") as other:
        other.run("--import", data=public.encode())
        monkeypatch.setenv("GNUPGHOME", str(other.path))
        fingerprint = home.run("--with-colons", "--list-keys").decode().partition("\nfpr:")[2].split(":")[8]
        with pytest.raises(InvalidKeyError, match="does not have the secret key"):
            key(fingerprint)


def test_stub_is_a_missing_key(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    primary = home.key()
    home.run("--quick-add-key", primary, "cv25519", "encr", "1d")
    stub = home.run("--export-secret-subkeys", primary)
    with gpg_home(tmp_path / "other") as other:
        other.run("--import", data=stub)
        monkeypatch.setenv("GNUPGHOME", str(other.path))
        with pytest.raises(InvalidKeyError, match=f"the secret half of OpenPGP key {primary} is missing"):
            key(primary)


def test_card_is_named(home: Home, fake_gpg: Callable[[str], None]) -> None:
    fingerprint = home.key()
    fake_gpg(CARD.format(gpg=home.gpg))
    with pytest.raises(SigningError, match="the key is on the card D2760001240103040006123456780000; insert it"):
        sign(key(fingerprint, lambda: "a passphrase that is not asked for"))


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (67108949, "gpg-agent does not have its passphrase"),
        (67108963, "gpg-agent does not have its passphrase"),
        (67108881, "the secret half of [0-9A-F]{40} is missing in .*gnupg"),
        (33554509, "gpg-agent is not running"),
        (67108922, "status 2, error 58; try `gpg"),
    ],
)
def test_other_failures_of_gpg_are_named(home: Home, fake_gpg: Callable[[str], None], code: int, why: str) -> None:
    fingerprint = home.key()
    fake_gpg(FAILING.format(gpg=home.gpg, code=code))
    with pytest.raises(SigningError, match=why):
        sign(key(fingerprint))


def test_gpg_that_does_not_answer_is_ended_at_the_deadline(fake_gpg: Callable[[str], None]) -> None:
    fake_gpg("#!/bin/sh\nsleep 600 &\nexec sleep 600\n")
    with pytest.raises(DeadlineError):
        GPGKey("0" * 40, datetime.now(UTC), soon(0.5), no_passphrase)


def test_endless_output_of_gpg_is_refused(fake_gpg: Callable[[str], None]) -> None:
    fake_gpg("#!/bin/sh\nexec cat /dev/zero\n")
    with pytest.raises(SigningError, match="returned more than"):
        key("0" * 40)


def test_gpg_that_cannot_be_started_is_named(fake_gpg: Callable[[str], None]) -> None:
    fake_gpg("#!/missing/interpreter\n")
    with pytest.raises(ConfigError, match="gpg cannot be started"):
        key("0" * 40)


def test_missing_gpg_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="gpg is not installed"):
        key("0" * 40)
