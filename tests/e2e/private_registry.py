"""A registry with a password, and an image in it."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clusters import Machine, require_machine
from tests.e2e.kube import eventually, run
from tests.e2e.release import PRIVATE
from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import SampleImages
    from tests.e2e.images import Image, ImageBuilder
    from tests.e2e.teams import Team

USER, PASSWORD = "robot", "e2e-password"  # noqa: S105 - of a registry that lives as long as these tests
CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{address}"}}
auth: {{htpasswd: {{realm: e2e, path: {folder}/htpasswd}}}}
"""


@pytest.fixture(scope="module")
def private(
    tmp_path_factory: pytest.TempPathFactory, image_builder: ImageBuilder, samples: SampleImages
) -> Iterator[Image]:
    """A signed image in a registry that requires a password."""
    machine = require_machine()
    folder = tmp_path_factory.mktemp("private")
    machine.allow_plain_http(PRIVATE)
    process = _start(folder, machine, int(PRIVATE.rpartition(":")[2]))
    try:
        image_builder.login(PRIVATE, USER, PASSWORD)
        yield image_builder.signed(f"{PRIVATE}/team/app:1", samples.key.name)
    finally:
        process.terminate()
        process.wait()


def _start(folder: Path, machine: Machine, port: int) -> subprocess.Popen[bytes]:
    line = run(require_tool("htpasswd"), "-nbB", USER, PASSWORD).checked().out
    (folder / "htpasswd").write_text(line)
    (folder / "config.yml").write_text(CONFIG.format(folder=folder, address=f"{machine.address}:{port}"))
    process = subprocess.Popen(
        [require_tool("docker-registry"), "serve", str(folder / "config.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listening() -> bool:
        with socket.socket() as client:
            return client.connect_ex((machine.address, port)) == 0

    eventually(listening, "the registry listens")
    assert process.poll() is None, "the registry has ended; another process listens on its port"
    return process


def give_secret(team: Team) -> None:
    """Create the Secret `pull` with the password of the registry in a team's namespace."""
    options = (f"--docker-server={PRIVATE}", f"--docker-username={USER}", f"--docker-password={PASSWORD}")
    team.kubectl("create", "secret", "docker-registry", "pull", *options).checked()
