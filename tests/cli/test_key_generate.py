"""`sealgate key generate`: a key pair in two new files, encrypted where there is a passphrase."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.keys.generation import KeyType
from sealgate.keys.openpgp.secret_keys import SecretKeyFile
from sealgate.keys.openpgp.signing import sign_message
from sealgate.keys.private_keys import load_private_key
from tests.cli.running import sealgate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COSIGN_PASSWORD", raising=False)


@pytest.mark.parametrize("kind", [each.value for each in KeyType])
def test_key_pair_is_two_files_that_fit(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "release.key"
    made = json.loads(sealgate("key", "generate", path, "--type", kind, "-o", "json").stdout)
    shown = json.loads(sealgate("key", "show", tmp_path / "release.key.pub", "-o", "json").stdout)
    key = load_private_key(path.read_bytes(), "the key file", lambda: b"")
    assert made["fingerprint"] == shown[0]["fingerprint"] == key.public.fingerprint
    assert made["encrypted"] is False
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_key_is_encrypted_with_the_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "passphrase").write_text("open sesame\n")
    ran = sealgate("key", "generate", tmp_path / "a.key", "--passphrase-file", tmp_path / "passphrase")
    assert (ran.exit_code, "(encrypted)" in ran.stdout, "sesame" in ran.output) == (0, True, False)
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    assert sealgate("key", "generate", tmp_path / "b.key").exit_code == 0
    for name, passphrase in (("a.key", b"open sesame"), ("b.key", b"")):
        content = (tmp_path / name).read_bytes()
        assert content.startswith(b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----")
        load_private_key(content, "the key file", partial(bytes, passphrase))


def test_openpgp_key_is_two_files_that_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_PASSWORD", "not a passphrase for OpenPGP keys")
    (tmp_path / "passphrase").write_text("open sesame\n")
    for name, encrypted in (("a.asc", False), ("b.asc", True)):
        path = tmp_path / name
        more = ["--passphrase-file", tmp_path / "passphrase"] if encrypted else []
        made = json.loads(sealgate("key", "generate", path, "--type", "openpgp", "-o", "json", *more).stdout)
        shown = json.loads(sealgate("key", "show", f"{path}.pub", "-o", "json").stdout)
        now = datetime.now(UTC)
        key = SecretKeyFile(path.read_bytes(), name, now, lambda: "open sesame")
        assert (made["encrypted"], stat.S_IMODE(path.stat().st_mode)) == (encrypted, 0o600)
        assert made["fingerprint"] == shown[0]["fingerprint"] == key.fingerprint
        sign_message(key, b"hello", now, Deadline.after(SystemClock(), 30))


@pytest.mark.parametrize("there", ["release.key", "release.key.pub"])
def test_nothing_is_overwritten_or_left_behind(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    ran = sealgate("key", "generate", tmp_path / "release.key")
    assert ran.exit_code == 2
    assert "exists and is not overwritten" in ran.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.glob("release*")] == [(there, "precious")]


def test_directory_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    ran = sealgate("key", "generate", tmp_path / "gone" / "release.key")
    assert (ran.exit_code, "cannot write" in ran.stderr) == (2, True)


@pytest.mark.parametrize("kind", ["ecdsa-p256", "openpgp"])
def test_passphrase_file_without_passphrase_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "passphrase").write_text("\nopen sesame\n")
    path = tmp_path / "release.key"
    ran = sealgate("key", "generate", path, "--type", kind, "--passphrase-file", tmp_path / "passphrase")
    assert ran.exit_code == 2
    assert "passphrase is empty; write the passphrase" in ran.stderr
    assert "sesame" not in ran.output
    assert not path.exists()
