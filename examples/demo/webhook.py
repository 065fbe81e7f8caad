"""The real webhook for the demo: `sealgate serve` in a process of its own, over TLS."""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import urllib3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import IO, Self

SEALGATE = Path(sys.executable).with_name("sealgate")
#: Seconds between two checks for a signal.
SIGNAL_POLL_SECONDS = 0.5


class Webhook:
    """`sealgate serve`, with a certificate that it makes itself. Use it as a context manager.

    Args:
        policies: the folder of policies.
        registry: the registry that may be asked over plain HTTP.
        listen: where to listen.
        on_review: called with the log line of every review.

    Attributes:
        url: where it serves, `https://127.0.0.1:port`.
        certificate: its certificate, PEM.
    """

    def __init__(
        self, policies: Path, registry: str, listen: str, on_review: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._on_review = on_review
        arguments = ("--policies", policies, "--insecure-registry", registry, "--listen", listen)
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [SEALGATE, "serve", *map(str, arguments), "--tls-self-signed", "--output", "json"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._log = cast("IO[str]", self._process.stderr)
        self._client = urllib3.PoolManager()
        try:
            fingerprint = self._wait_for("self-signed certificate created")["sha256_fingerprint"]
            address = self._wait_for("reviews served")["address"]
            self.url = f"https://{address}"
            self.certificate = _fetch_certificate(address, fingerprint)
        except BaseException:
            self.stop()
            raise
        self._client = urllib3.PoolManager(ssl_context=ssl.create_default_context(cadata=self.certificate))
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def __enter__(self) -> Self:
        """Return itself; it already serves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def validate(self, review: str) -> dict[str, Any]:
        """Post an AdmissionReview as the API server does, and return the response in the answer."""
        headers = {"Content-Type": "application/json"}
        answer = self._client.request("POST", f"{self.url}/validate?timeout=10s", body=review, headers=headers)
        if answer.status != 200:  # noqa: PLR2004 - what HTTP calls success
            raise RuntimeError(f"HTTP {answer.status}: {answer.data!r}")
        response: dict[str, Any] = answer.json()["response"]
        return response

    def wait(self) -> int:
        """Wait until it ends by itself; returns its exit code."""
        # Again and again: a signal that comes right before a wait without an end is not seen until the wait is over.
        while self._follower.is_alive():
            self._follower.join(SIGNAL_POLL_SECONDS)
        return self._process.wait()

    def stop(self) -> None:
        """Have it answer what is under way, and end."""
        self._client.clear()
        self._process.terminate()
        self._process.wait()

    def _wait_for(self, event: str) -> dict[str, Any]:
        said = []
        for line in self._log:
            said.append(line)
            entry: dict[str, Any] = _parse(line)
            if entry.get("msg") == event:
                return entry
        raise RuntimeError(f"the webhook did not start:\n{''.join(said)}")

    def _follow(self) -> None:
        for line in self._log:
            entry = _parse(line)
            if entry.get("msg") == "review":
                self._on_review(entry)


def _parse(line: str) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:  # not a log line, but what it says when it cannot start
        return {}
    return entry


def _fetch_certificate(address: str, fingerprint: str) -> str:
    """Return the certificate that is served, if it is the one whose fingerprint the log has."""
    host, _, port = address.partition(":")
    pem = ssl.get_server_certificate((host, int(port)))
    if hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() != fingerprint.replace(":", "").lower():
        raise RuntimeError(f"{address} shows another certificate than the webhook made")
    return pem
