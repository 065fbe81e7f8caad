"""A webhook in a process of its own, as it runs in production: gunicorn, TLS, signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trustme
import urllib3
from cryptography import x509

from tests.support.forked_processes import ForkedProcess
from tests.webhook.environment import PATIENCE, split_decision
from tests.webhook.objects import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.webhook.environment import ReviewAnswer

#: Timeout in seconds, longer than any step on a busy machine; reached only on a failure.
PATIENCE_SECONDS = 150.0


class TLSFiles:
    """Certificate and key of a server, in files that can be replaced."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.authority = trustme.CA()
        self.renew()

    def renew(self) -> None:
        """Replace both atomically by a new pair of the same CA."""
        leaf = self.authority.issue_cert("127.0.0.1", "localhost")
        self.write(b"".join(blob.bytes() for blob in leaf.cert_chain_pems), leaf.private_key_pem.bytes())

    def write(self, certificate: bytes, key: bytes) -> None:
        """Replace both by the given contents."""
        for file, content in ((self.certificate, certificate), (self.key, key)):
            scratch = file.with_suffix(".scratch")
            scratch.write_bytes(content)
            scratch.rename(file)

    @property
    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).serial_number

    @property
    def trust(self) -> str:
        return self.authority.cert_pem.bytes().decode()


class Server:
    """The process. Its log is read as it is written.

    Args:
        settings: see `tests.webhook.serve`.
        trust: PEM of the authority that its certificate leads to; None for plain HTTP.
        arguments: module and arguments to run instead.
    """

    def __init__(self, settings: dict[str, Any], trust: str | None = None, arguments: tuple[str, ...] = ()) -> None:
        self._changed = threading.Condition()
        self._lines: list[dict[str, Any]] = []
        self._ended = False
        self._process = ForkedProcess(*(arguments or ("tests.webhook.serve", json.dumps(settings))))
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._trust = trust
        self.pool = self.connections()

    def connections(self) -> urllib3.PoolManager:
        """Return connections of their own."""
        context = ssl.create_default_context(cadata=self._trust) if self._trust else None
        return urllib3.PoolManager(ssl_context=context, maxsize=64, retries=False, timeout=PATIENCE_SECONDS)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def address(self) -> tuple[str, int]:
        """URL for reviews."""
        host, _, port = self.wait_for_line("reviews served")["address"].rpartition(":")
        return host, int(port)

    @property
    def url(self) -> str:
        line = self.wait_for_line("reviews served")
        return f"{line['scheme']}://{line['address']}"

    def lines(self, event: str) -> list[dict[str, Any]]:
        with self._changed:
            return [line for line in self._lines if line["msg"] == event]

    def wait_for_line(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until the log has a line of an event (or several) and return the last."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self._lines if line["msg"] == event]

        with self._changed:
            done = self._changed.wait_for(lambda: self._ended or len(found()) >= count, PATIENCE_SECONDS)
            assert done, f"no {event!r} among {self._lines}"
            assert len(found()) >= count, f"ended without {event!r}: {self._lines}"
            return found()[-1]

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        return self.pool.request("GET", self.url + path)

    def validate(
        self, document: dict[str, Any], query: str = PATIENCE, pool: urllib3.PoolManager | None = None
    ) -> ReviewAnswer:
        response = (pool or self.pool).request(
            "POST",
            f"{self.url}/validate?{query}",
            body=encode(document),
            headers={"Content-Type": "application/json"},
        )
        assert response.status == 200, response.data
        return split_decision(response.json()["response"])

    def metrics(self, path: str = "/metrics") -> str:
        """Return the metrics as Prometheus scrapes them, or what else their port serves."""
        address = self.wait_for_line("metrics served")["address"]
        with urllib3.PoolManager() as pool:
            return pool.request("GET", f"http://{address}{path}").data.decode()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end and return its exit status."""
        status = self._process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        return status

    def close(self) -> None:
        self.pool.clear()
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.wait()
        self._process.stderr.close()

    def _read(self) -> None:
        for text in self._process.stderr:
            try:
                line = json.loads(text)
            except ValueError:
                line = {"msg": text}
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def eventually(condition: Callable[[], bool]) -> None:
    """Poll until a condition holds.

    Polls every 50 ms; fails after about `PATIENCE_SECONDS`.
    """
    pause = threading.Event()
    for _ in range(int(PATIENCE_SECONDS * 20)):
        if condition():
            return
        pause.wait(0.05)
    raise AssertionError(f"still not so after {PATIENCE_SECONDS} s")


@contextlib.contextmanager
def running(settings: dict[str, Any], trust: str | None = None, arguments: tuple[str, ...] = ()) -> Iterator[Server]:
    """Start a server, and stop it at the end; see `Server`."""
    server = Server(settings, trust, arguments)
    try:
        yield server
    finally:
        server.close()


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
