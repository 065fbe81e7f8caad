"""Control of the machine that runs the cluster: host names, restarts of components, power failure, etcd backups.

This needs the cluster tool (`SEALGATE_CLUSTER`), which runs every part of a cluster as a process of this machine.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kube import eventually, kubectl, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: etcd and the components that cache its contents, in start order.
_CONTROL_PLANE = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "dns",
)
#: Processes that must outlive the tests; without a reference, Python warns that they are still running.
_STARTED: list[subprocess.Popen[bytes]] = []


class Machine:
    """The machine that the cluster runs on.

    Args:
        tool: path of the cluster tool.
    """

    def __init__(self, tool: Path) -> None:
        self._tool = tool
        self.state = Path(os.environ.get("CLUSTER_STATE", "/var/tmp/cluster"))  # noqa: S108 - the tool's default
        #: Address of this machine in the pod network.
        self.address = "10.85.0.1"

    def add_host_name(self, host: str, address: str = "") -> None:
        """Add a host name for pods, the node and the tests, or change its address; pods may take seconds to see it.

        Args:
            host: the name.
            address: what it stands for; this machine by default.
        """
        line = f"{address or self.address} {host}"
        # `cluster down` removes the lines with this comment from /etc/hosts.
        for hosts, comment in ((self.state / "hosts", ""), (Path("/etc/hosts"), " # cluster")):
            before = hosts.read_text().splitlines(keepends=True)
            after = [old for old in before if not old.endswith(f" {host}{comment}\n")] + [f"{line}{comment}\n"]
            if sorted(after) != sorted(before):
                hosts.write_text("".join(after))

    def silence_zone(self, zone: str) -> socket.socket:
        """Have the cluster's DNS ask a name server that never answers for names of a zone; return its socket."""
        server = socket.socket(type=socket.SOCK_DGRAM)
        server.bind((self.address, 0))
        port = server.getsockname()[1]
        corefile = self.state / "Corefile"
        rest = corefile.read_text().partition(f"{zone}:53")[0]
        block = f"bind {self.address}\n  forward . {self.address}:{port} {{\n    max_fails 0\n  }}"
        corefile.write_text(f"{rest}{zone}:53 {{\n  {block}\n}}\n")
        self._restart(("dns",))
        return server

    def allow_plain_http(self, registry: str) -> None:
        """Configure the node to pull from a registry of this machine over plain HTTP."""
        folder = self.state / "certs.d" / registry
        folder.mkdir(parents=True, exist_ok=True)
        address = f"http://{self.address}:{registry.rpartition(':')[2]}"
        (folder / "hosts.toml").write_text(f'[host."{address}"]\n  capabilities = ["pull", "resolve"]\n')

    def power_off(self) -> None:
        """Kill all components at once and keep the data."""
        self._run("off")

    def power_on(self) -> None:
        """Start all components with the same data."""
        self._run("up")

    def restart_api_server(self) -> None:
        """Kill the API server and start it again."""
        self._restart(("kube-apiserver",))

    def back_up_etcd(self) -> None:
        """Copy the data of etcd while etcd and the API server are stopped, so that the copy is consistent."""
        self._restart(("etcd", "kube-apiserver"), lambda: shutil.copytree(self._etcd, self._backup))

    def restore_etcd(self) -> None:
        """Restore the copy and restart all components that cache the contents of etcd; pods keep running.

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
        """Stop components, etcd last, call `meanwhile`, and start them in order with the same command lines."""
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
    """Return the machine, or None without the cluster tool."""
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
