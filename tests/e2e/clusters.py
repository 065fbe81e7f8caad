"""What only whoever runs a cluster can do: name servers beside it, end single parts of it, let the power fail.

This needs the cluster tool (`SEALGATE_CLUSTER`), which runs every part of a cluster as a process of this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kube import eventually, kubectl, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: etcd, and what keeps in memory what etcd has, in the order in which they start.
_CONTROL_PLANE = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "dns",
)
#: What was started and must outlive the tests; Python complains of a process that nobody knows any more.
_STARTED: list[subprocess.Popen[bytes]] = []


class Machine:
    """The machine that the cluster runs on.

    Args:
        tool: the cluster tool.
    """

    def __init__(self, tool: Path) -> None:
        self._tool = tool
        self.state = Path(os.environ.get("CLUSTER_STATE", "/var/tmp/cluster"))  # noqa: S108 - where the tool keeps it
        #: This machine's address for pods.
        self.address = "10.85.0.1"

    def name(self, host: str) -> None:
        """Give this machine a further name, for pods, the node and itself; pods may need some seconds to notice."""
        line = f"{self.address} {host}"
        # The tool takes the lines of this machine out in the end.
        for hosts, written in ((self.state / "hosts", f"{line}\n"), (Path("/etc/hosts"), f"{line} # cluster\n")):
            if written not in hosts.read_text():
                with hosts.open("a") as file:
                    file.write(written)

    def plain(self, registry: str) -> None:
        """Let the node pull from a registry of this machine over plain HTTP."""
        folder = self.state / "certs.d" / registry
        folder.mkdir(parents=True, exist_ok=True)
        address = f"http://{self.address}:{registry.rpartition(':')[2]}"
        (folder / "hosts.toml").write_text(f'[host."{address}"]\n  capabilities = ["pull", "resolve"]\n')

    def power_off(self) -> None:
        """End everything at once."""
        self._run("off")

    def power_on(self) -> None:
        """Start it again with the same data."""
        self._run("up")

    def restart_api_server(self) -> None:
        """End the API server as a fault would, and start it as it was started."""
        self._restart(("kube-apiserver",))

    def back_up_etcd(self) -> None:
        """Copy the data of etcd, with etcd and the API server stopped meanwhile, so that the copy is whole."""
        self._restart(("etcd", "kube-apiserver"), lambda: shutil.copytree(self._etcd, self._backup))

    def restore_etcd(self) -> None:
        """Put the copy back, and restart everything that remembers what etcd had since; pods go on running.

        Resource versions go back, as they do after a restore without `--bump-revision`.
        """

        def put_back() -> None:
            shutil.rmtree(self._etcd)
            self._backup.rename(self._etcd)

        self._restart(_CONTROL_PLANE, put_back)

    @property
    def _etcd(self) -> Path:
        return self.state / "etcd"

    @property
    def _backup(self) -> Path:
        return self.state / "etcd-backup"

    def _restart(self, components: Sequence[str], meanwhile: Callable[[], object] = lambda: None) -> None:
        """End components, etcd last, do something, and start them as they were started, in order."""
        commands = {name: self._command(name) for name in components}
        self._run("kill", *reversed(components))
        meanwhile()
        for name, command in commands.items():
            with (self.state / "log" / f"{name}-again.log").open("wb") as log:
                process = subprocess.Popen(
                    command, cwd=self.state, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            _STARTED.append(process)
            (self.state / "pid" / name).write_text(f"{process.pid}\n")
            if name == "kube-apiserver":
                eventually(lambda: kubectl("get", "--raw", "/readyz").ok, "the API server is back")

    def _command(self, name: str) -> list[bytes]:
        pid = (self.state / "pid" / name).read_text().strip()
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]

    def _run(self, *arguments: str) -> None:
        run(str(self._tool), *arguments).checked()


def find_machine() -> Machine | None:
    """Return the machine; None without the cluster tool."""
    tool = os.environ.get("SEALGATE_CLUSTER", "")
    return Machine(Path(tool)) if tool and Path(tool).exists() else None


def require_machine() -> Machine:
    """Return the machine; without the cluster tool skip the test, or fail it in CI, where nothing is skipped."""
    machine = find_machine()
    if machine is not None:
        return machine
    message = "this test needs the cluster's own machine: set SEALGATE_CLUSTER to the cluster tool"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
