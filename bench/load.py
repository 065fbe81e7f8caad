"""Load on a webhook: wrk, as fast as it answers, or at a rate that does not depend on its answers."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from environment import need, pod_review

if TYPE_CHECKING:
    from collections.abc import Sequence

    from servers import Server

#: Where the image of a cold review goes.
PLACEHOLDER = "@IMAGE@"
#: Seconds after which an answer counts as an error; the API server waits for at most 30.
TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class Load:
    """What a load on a server measured.

    Attributes:
        answered: reviews.
        seconds: that it took.
        p50_ms: median of the answers' times.
        p99_ms: their 99th percentile.
        refused: reviews that were not admitted, or had an HTTP error.
        errors: connections that failed by the step that failed, and answers that took longer than `TIMEOUT`.
        cpu_ms: CPU of the server a review, of all its processes.
        example: the beginning of one answer that admits nothing; empty if there is none.
    """

    answered: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    errors: dict[str, int]
    cpu_ms: float
    example: str

    @property
    def rate(self) -> float:
        """Reviews answered a second."""
        return self.answered / self.seconds

    def require_admitted(self, of: str) -> Load:
        """Return it; end the program if a review was not admitted, since the figures then say nothing.

        Connections that failed are reported: on a machine that is not idle, handshakes take longer than servers wait.
        """
        if any(self.errors.values()):
            print(f"{of}: of {self.answered} reviews, errors: {self.errors}", file=sys.stderr)
        if self.refused or not self.answered:
            raise SystemExit(f"{of}: of {self.answered} reviews {self.refused} were not admitted; {self.example}")
        return self


def write_review(path: Path, images: Sequence[str]) -> Path:
    """Write a review of a pod with these images, and return its file."""
    path.write_bytes(pod_review(list(images)))
    return path


def write_images(path: Path, images: Sequence[str]) -> Path:
    """Write images one a line, and return the file."""
    path.write_text("\n".join(images))
    return path


def load(  # noqa: PLR0913 - what a load consists of
    server: Server, body: Path, *, connections: int, seconds: float, images: Path | None = None, rate: float = 0
) -> Load:
    """Send reviews, and return what was measured.

    Args:
        server: the webhook.
        body: the review; its `PLACEHOLDER` is replaced by an image.
        connections: open at once, over TLS with keep-alive; also the most reviews that are under way.
        seconds: after which it ends.
        images: one a line, one for each review; the load ends when all were answered.
        rate: reviews offered a second, as a Poisson process; 0 for as fast as they are answered.
    """
    command = [need("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{seconds:.0f}s", f"--timeout={TIMEOUT}s", "--latency"]
    script = Path(__file__).with_name("load.lua")
    arguments = [str(body), "-" if images is None else str(images), str(rate)]
    before = server.cpu_seconds()
    output = subprocess.run(
        [*command, "-s", str(script), f"{server.url}{server.path}", "--", *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    cpu = server.cpu_seconds() - before
    *_, example, figures = output.strip("\n").splitlines()
    result = json.loads(figures)
    return Load(**result, cpu_ms=cpu / max(result["answered"], 1) * 1e3, example=example if result["refused"] else "")
