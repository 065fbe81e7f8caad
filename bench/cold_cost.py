"""CPU and requests of an image that is verified for the first time, against a registry in memory in another process."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from load import PLACEHOLDER, load, write_images, write_review
from servers import webhook

if TYPE_CHECKING:
    from pathlib import Path

    from memory_registry import MemoryRegistry

ROUNDS = 5
IMAGES = 600
CONNECTIONS = 32
PODS = 300
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ColdCost:
    """What a cold image costs; medians.

    Attributes:
        cpu_ms: CPU of the webhook's processes.
        per_second: images verified a second.
        gets: GET requests.
        heads: HEAD requests.
    """

    cpu_ms: float
    per_second: float
    gets: float
    heads: float


def needed_images() -> int:
    """Return how many images the registry must have."""
    return 2 * (ROUNDS + 1) * IMAGES + 1


def measure(folder: Path, registry: MemoryRegistry) -> tuple[dict[str, ColdCost], float]:
    """Return what a cold image costs, by digest and by tag, and the verifications for many pods of one new image."""
    body = write_review(folder / "cold.json", [PLACEHOLDER])
    numbers = iter(range(needed_images()))
    costs: dict[str, list[ColdCost]] = {}
    with webhook(folder, registry.host) as server:
        for number in range(ROUNDS + 1):
            for name in ("by digest", "by tag"):
                images = [registry.image(next(numbers), by_tag=name == "by tag") for _ in range(IMAGES)]
                registry.take_counts()
                one = load(
                    server,
                    body,
                    connections=CONNECTIONS,
                    seconds=_SECONDS,
                    images=write_images(folder / "images", images),
                ).require_admitted(f"cold, {name}")
                counts = registry.take_counts()
                # wrk sends one image less than it has; the first round starts threads and connections.
                share = IMAGES - 1
                cost = ColdCost(one.cpu_ms, one.rate, counts.get("GET", 0) / share, counts.get("HEAD", 0) / share)
                if number:
                    costs.setdefault(name, []).append(cost)
        images = [registry.image(next(numbers), by_tag=False)] * (PODS + 1)
        load(
            server, body, connections=CONNECTIONS, seconds=_SECONDS, images=write_images(folder / "images", images)
        ).require_admitted("many pods of one image")
        verifications = registry.take_counts()["GET"] / statistics.median(one.gets for one in costs["by digest"])
    return {name: _median(rounds) for name, rounds in costs.items()}, verifications


def _median(rounds: list[ColdCost]) -> ColdCost:
    return ColdCost(
        *(statistics.median(getattr(one, name) for one in rounds) for name in ("cpu_ms", "per_second", "gets", "heads"))
    )
