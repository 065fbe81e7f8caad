"""Throughput, latency and memory against the reviews that are offered, from memory and for new images.

Reviews arrive as a Poisson process, however long answers take, on at most `CONNECTIONS` connections: so many are under
way at most, as with an API server that limits its webhook calls. Beyond saturation the rest waits there, unmeasured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from load import PLACEHOLDER, load, write_images, write_review
from servers import webhook

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from load import Load
    from memory_registry import MemoryRegistry
    from servers import Server

CONNECTIONS = 128
SECONDS = 4
#: Offered load in the most that was answered when as many reviews as possible were sent.
STEPS = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)
#: The most that is assumed of cold images, in images a second; so many the registry must have.
COLD_MOST = 800
_PROBE_IMAGES = 1500


class Point(NamedTuple):
    """One step of a curve.

    Attributes:
        offered: reviews a second.
        answered: reviews a second.
        p50_ms: median of the answers' times.
        p99_ms: their 99th percentile.
        cpu_ms: CPU a review.
        refused: reviews that were not admitted.
        failed: connections that failed, those that the server closed while they were idle included.
        subjects: images that are cached after it.
        mib: memory after it, of all processes (PSS).
    """

    offered: float
    answered: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    refused: int
    failed: int
    subjects: int
    mib: float


def needed_images() -> int:
    """Return how many images the registry must have."""
    return _PROBE_IMAGES + int(sum(STEPS) * SECONDS * COLD_MOST) + 3


def warm(folder: Path, registry: MemoryRegistry) -> list[Point]:
    """Return the curve of reviews of three images whose verdicts are cached."""
    body = write_review(folder / "curve.json", [registry.image(n, by_tag=False) for n in range(3)])
    points = []
    with webhook(folder, registry.host) as server:
        load(server, body, connections=CONNECTIONS, seconds=1)
        most = load(server, body, connections=CONNECTIONS, seconds=2).require_admitted("warm").rate
        for step in STEPS:
            one = load(server, body, connections=CONNECTIONS, seconds=SECONDS, rate=most * step)
            points.append(_point(most * step, one, 3, server))
    return points


def cold(folder: Path, registry: MemoryRegistry) -> list[Point]:
    """Return the curve of reviews of one image each, which is verified for the first time, by digest."""
    body = write_review(folder / "curve.json", [PLACEHOLDER])
    images = [registry.image(n, by_tag=False) for n in range(3, len(registry.digests))]
    points, used = [], _PROBE_IMAGES
    with webhook(folder, registry.host) as server:
        probe = write_images(folder / "curve-images", images[:used])
        most = load(server, body, connections=32, seconds=60, images=probe).require_admitted("cold").rate
        for step in STEPS:
            rate = min(most, COLD_MOST) * step
            count = int(rate * SECONDS)
            listed = write_images(folder / "curve-images", images[used : used + count])
            used += count
            one = load(server, body, connections=CONNECTIONS, seconds=60, images=listed, rate=rate)
            points.append(_point(rate, one, used, server))
    return points


def _point(offered: float, one: Load, subjects: int, server: Server) -> Point:
    failed = sum(one.errors.values())
    times = one.rate, one.p50_ms, one.p99_ms, one.cpu_ms
    return Point(offered, *times, one.refused, failed, subjects, server.proportional_mib())


def as_objects(points: Sequence[Point]) -> list[dict[str, float]]:
    """Return the curve for JSON."""
    return [point._asdict() for point in points]
