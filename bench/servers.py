"""The webhook, and what stands beside it, as processes."""

from __future__ import annotations

import contextlib
import os
import shutil
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
_TICKS = os.sysconf("SC_CLK_TCK")
_NGINX = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000; keepalive_timeout 120;
  client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi; uwsgi_temp_path {folder}/nginx-uwsgi; scgi_temp_path {folder}/nginx-scgi;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {folder}/tls.crt; ssl_certificate_key {folder}/tls.key;
    default_type application/json;
    location / {{ return 200 '{answer}'; }}
  }}
}}
"""
_ANSWER = (
    '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview",'
    '"response":{"uid":"0d5f0a1e-0000-4000-8000-000000000000","allowed":true}}'
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers reviews.

    Attributes:
        url: without a path.
        seconds: from its start until it was ready.
        pid: of its first process; 0 if it is not on this machine, so that its CPU and memory are not known.
        path: where it takes reviews.
    """

    url: str
    seconds: float
    pid: int
    path: str = "/validate"

    def cpu_seconds(self) -> float:
        """Return the CPU that all its processes have used; not a number if it is not known."""
        if not self.pid:
            return float("nan")
        return sum(sum(map(int, _stat(pid)[11:15])) for pid in self._processes()) / _TICKS

    def proportional_mib(self) -> float:
        """Return the proportional set size of all its processes in MiB: what they share is counted once."""
        paths = [Path(f"/proc/{pid}/smaps_rollup") for pid in self._processes()]
        return sum(_kibibytes(path, "Pss:") for path in paths) / 1024

    def peak_mib(self) -> float:
        """Return the most memory that all its processes have taken at once, in MiB; what they share is counted once.

        It is the peak of the process that took most, and of the others what they share with none.
        """
        peaks = {pid: _kibibytes(Path(f"/proc/{pid}/status"), "VmHWM:") for pid in self._processes()}
        largest = max(peaks, key=lambda pid: peaks[pid])
        others = [Path(f"/proc/{pid}/smaps_rollup") for pid in peaks if pid != largest]
        own = sum(_kibibytes(path, "Private_Clean:", "Private_Dirty:") for path in others)
        return (peaks[largest] + own) / 1024

    def _processes(self) -> list[int]:
        found, unseen = [], [self.pid]
        while unseen:
            pid = unseen.pop()
            found.append(pid)
            unseen += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found


def _kibibytes(path: Path, *fields: str) -> int:
    """Return the sum of fields of a file of /proc about memory, in KiB."""
    return sum(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(fields))


def _stat(pid: int) -> list[str]:
    """Return the fields of a process's `stat` that follow its name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def make_certificate(folder: Path) -> None:
    """Write `tls.crt` and `tls.key` for 127.0.0.1."""
    issued = trustme.CA().issue_cert("127.0.0.1")
    (folder / "tls.crt").write_bytes(issued.cert_chain_pems[0].bytes())
    (folder / "tls.key").write_bytes(issued.private_key_pem.bytes())


@contextlib.contextmanager
def webhook(folder: Path, *registries: str, rate: int = 1_000_000) -> Iterator[Server]:
    """Run `sealgate serve` with the policies in a folder, and a budget of so many verifications a minute."""
    port = free_port()
    command = [
        *(str(BIN / "sealgate"), "serve", "--policies", str(folder / "policies.yaml")),
        *("--listen", f"127.0.0.1:{port}", "--threads", str(THREADS), "--rate", str(rate), "--output", "json"),
        *("--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key")),
        *(part for registry in registries for part in ("--insecure-registry", registry)),
    ]
    with _run(command, f"https://127.0.0.1:{port}", folder / "webhook.log") as server:
        yield server


@contextlib.contextmanager
def trivial(folder: Path) -> Iterator[Server]:
    """Run the trivial app under gunicorn's threaded worker."""
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
def nginx(folder: Path) -> Iterator[Server | None]:
    """Run nginx with a fixed answer, one worker process; None if it is not installed."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        yield None
        return
    port = free_port()
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port, answer=_ANSWER))
    command = [program, "-e", "stderr", "-c", str(folder / "nginx.conf")]
    with _run(command, f"https://127.0.0.1:{port}", folder / "nginx.log") as server:
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
