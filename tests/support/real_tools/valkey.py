"""Debian's valkey-server or redis-server, started for a test on a port of its own, with nothing on disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import valkey

from tests.support.real_tools.ports import port_of, reserve_port
from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_READY = "eady to accept connections"


class ValkeyServer:
    """A running server; a context manager.

    Args:
        arguments: further arguments of the server.
        tls: certificate, key and CA, as PEM files; the server then speaks TLS only.
        address: address of this machine that it listens on.

    Attributes:
        port: its port at that address, the same after a restart.
    """

    def __init__(self, *arguments: str, tls: tuple[Path, Path, Path] | None = None, address: str = "127.0.0.1") -> None:
        self._program = require_tool("valkey-server" if shutil.which("valkey-server") else "redis-server")
        self._arguments = arguments
        self._tls = tls
        self._address = address
        # Kept until the server has ended for good, so that it can start again there.
        self._reservation = reserve_port(address)
        self.port = port_of(self._reservation)
        self._process: subprocess.Popen[str] | None = None
        self._admin: Any = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self._reservation.close()

    @property
    def admin(self) -> Any:
        """A client of the default user, as an administrator or an attacker has it."""
        if self._admin is None:
            more: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(self._tls[2])} if self._tls else {}
            self._admin = valkey.Valkey(host=self._address, port=self.port, **more)
        return self._admin

    def start(self) -> None:
        """Start it, empty, and wait until it serves."""
        self._process = subprocess.Popen(
            [self._program, *self._listen(), "--save", "", "--bind", self._address, *self._arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if _READY in line:
                return
        raise AssertionError(f"the server did not start: {''.join(said)}")

    def kill(self) -> None:
        """Kill it, with everything that it holds."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        if self._process is not None:
            # A paused process is killed too.
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def pause(self) -> None:
        """Stop it from doing anything: connections are accepted by the kernel, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _listen(self) -> Sequence[str]:
        if self._tls is None:
            return ["--port", str(self.port)]
        certificate, key, ca = map(str, self._tls)
        files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", ca]
        return ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no", *files]
