"""A passphrase that is asked for on a terminal: shown nowhere, and never waited for without one."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from sealgate.keys.generation import KeyType, generate_key, write_private_key
from tests.cli.running import SEALGATE
from tests.cli.test_sign import sign

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulators.registry import RegistrySimulator

PASSPHRASE = b"open sesame"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "encrypted.key"
    path.write_bytes(write_private_key(generate_key(KeyType.ECDSA_P256), PASSPHRASE))
    path.chmod(0o600)
    return path


def test_terminal_is_asked_for_the_passphrase(registry: RegistrySimulator, tmp_path: Path, key_file: Path) -> None:
    registry.push_image("shop/web", "1.0")
    ours, theirs = pty.openpty()
    command = [str(SEALGATE), "sign", f"{registry.host}/shop/web:1.0", "--insecure-registry", registry.host]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")}
    with subprocess.Popen(
        [*command, "--key", str(key_file)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    ) as process:
        errors_of = process.stderr
        assert errors_of is not None
        # What is typed before the question is thrown away.
        asked = b"".join(iter(lambda: errors_of.read(1), b":"))
        os.write(ours, PASSPHRASE + b"\n")
        output, errors = process.communicate()
    os.close(theirs)
    os.close(ours)
    assert process.returncode == 0, errors
    assert asked.startswith(b"Passphrase of the key file")
    assert PASSPHRASE not in output + errors
    assert b"1 signed" in output


def test_without_a_terminal_nothing_is_waited_for(registry: RegistrySimulator, key_file: Path) -> None:
    registry.push_image("shop/web", "1.0")
    ran = sign(registry, f"{registry.host}/shop/web:1.0", "--key", key_file)
    assert ran.exit_code == 2
    assert "there is no terminal to ask on; set COSIGN_PASSWORD, or use --passphrase-file" in ran.stderr
