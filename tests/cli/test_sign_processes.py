"""Several `sealgate sign` on one machine: no signature is lost, and a process that is killed does no harm."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import pytest

from sealgate.keys.generation import KeyType, generate_key, write_private_key
from tests.support.forked_processes import ForkedProcess
from tests.support.simulators.http_faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulators.http_messages import Answer
    from tests.support.simulators.registry import RegistrySimulator

PROCESSES = 4
#: Longer than any step on a busy machine; reached only on a failure.
PATIENCE_SECONDS = 150


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}


def command(environment: dict[str, str], *arguments: str) -> ForkedProcess:
    """Start the command line in a process of its own."""
    return ForkedProcess("tests.cli.command", *arguments, environment=environment)


def check(process: ForkedProcess) -> None:
    """Wait for the end of a process that must succeed."""
    with process.stderr:
        errors = process.stderr.read()
    assert process.wait(PATIENCE_SECONDS) == 0, errors


def new_key_file(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.write_bytes(write_private_key(generate_key(KeyType.ECDSA_P256), None))
    path.chmod(0o600)
    return path


def layers(registry: RegistrySimulator, tag: str) -> int:
    return len(json.loads(registry.manifest("shop/web", tag)[1])["layers"])


@pytest.mark.parametrize("referrers_api", [True, False])
def test_processes_at_the_same_time_lose_nothing(
    registry: RegistrySimulator, tmp_path: Path, environment: dict[str, str], *, referrers_api: bool
) -> None:
    registry.referrers_api = referrers_api
    digest = registry.push_image("shop/web", "1.0")
    options = ("sign", f"{registry.host}/shop/web:1.0", "--insecure-registry", registry.host, "--timeout", "120")
    storage = "tag" if referrers_api else "bundle"
    running = [
        command(environment, *options, "--storage", storage, "--key", str(new_key_file(tmp_path, f"{n}.key")))
        for n in range(PROCESSES)
    ]
    for process in running:
        check(process)
    if referrers_api:
        assert layers(registry, digest.replace(":", "-") + ".sig") == PROCESSES
    else:
        assert len(registry.referrers("shop/web", digest)) == PROCESSES


def test_killed_process_leaves_blobs_only_and_the_next_one_signs(
    registry: RegistrySimulator, tmp_path: Path, environment: dict[str, str]
) -> None:
    digest = registry.push_image("shop/web", "1.0")
    key, uploaded, killed = new_key_file(tmp_path, "a.key"), threading.Event(), threading.Event()

    def hold(answer: Answer) -> Answer:
        uploaded.set()
        killed.wait(PATIENCE_SECONDS)
        return answer

    registry.faults.add(Fault("/blobs/uploads/.*digest=", hold, method="PUT", times=1))
    options = ("sign", f"{registry.host}/shop/web:1.0", "--insecure-registry", registry.host, "--key", str(key))
    process = command(environment, *options)
    try:
        assert uploaded.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)
        process.stderr.close()
        killed.set()
    assert registry.repositories["shop/web"].tags.keys() == {"1.0"}
    check(command(environment, *options))
    assert layers(registry, digest.replace(":", "-") + ".sig") == 1
