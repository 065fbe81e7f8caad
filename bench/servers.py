"""The webhook, and the trivial app beside it, as processes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import trustme
from environment import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN = Path(sys.executable).parent
THREADS = 64


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers reviews.

    Attributes:
        url: without a path.
        seconds: from its start until it was ready.
        pid: of its first process.
    """

    url: str
    seconds: float
    pid: int

    def resident_mib(self) -> float:
        """Return the resident memory of its largest process in MiB."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        lines = [
            line
            for pid in (str(self.pid), *children)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmRSS:")
        ]
        return max(int(line.split()[1]) / 1024 for line in lines)


def make_certificate(folder: Path) -> None:
    """Write `tls.crt` and `tls.key` for 127.0.0.1."""
    issued = trustme.CA().issue_cert("127.0.0.1")
    (folder / "tls.crt").write_bytes(issued.cert_chain_pems[0].bytes())
    (folder / "tls.key").write_bytes(issued.private_key_pem.bytes())


@contextlib.contextmanager
def webhook(folder: Path, registry: str) -> Iterator[Server]:
    """Run `sealgate serve` with the policies in a folder; the budget is out of the way."""
    port = free_port()
    command = [
        *(str(BIN / "sealgate"), "serve", "--policies", str(folder / "policies.yaml")),
        *("--listen", f"127.0.0.1:{port}", "--threads", str(THREADS), "--rate", "1000000", "--output", "json"),
        *("--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key")),
        *("--insecure-registry", registry),
    ]
    with _run(command, f"https://127.0.0.1:{port}", folder / "webhook.log") as server:
        yield server


@contextlib.contextmanager
def trivial(folder: Path) -> Iterator[Server]:
    """Run the trivial app under gunicorn, with the settings that the webhook has."""
    port = free_port()
    command = [
        *(str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--workers", "1"),
        *("--threads", str(THREADS), "--keep-alive", "120", "--no-control-socket"),
        *("--certfile", str(folder / "tls.crt"), "--keyfile", str(folder / "tls.key")),
        *("--chdir", str(Path(__file__).parent), "trivial:create_app()"),
    ]
    with _run(command, f"https://127.0.0.1:{port}", folder / "trivial.log") as server:
        yield server


@contextlib.contextmanager
def _run(command: list[str], url: str, log: Path) -> Iterator[Server]:
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for(f"{url}/readyz")
            yield Server(url, time.monotonic() - began, process.pid)
        finally:
            process.terminate()
            process.wait()
