"""Reviews a second that are answered from memory, over TLS keep-alive, beside the trivial app, nginx and peers."""

from __future__ import annotations

import contextlib
import statistics
from typing import TYPE_CHECKING

from load import load, write_review
from servers import Server, nginx, trivial, webhook

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from load import Load
    from memory_registry import MemoryRegistry

ROUNDS = 5
SECONDS = 3
CONNECTIONS = 32
TRIVIAL = "trivial Flask app"
LIMIT = "nginx, fixed answer"
OURS = ("by tag", "by digest")


def measure(folder: Path, registry: MemoryRegistry, peers: Mapping[str, str]) -> dict[str, list[Load]]:
    """Return for each contestant one load a round; each round measures all of them in turn.

    Args:
        folder: with policies and certificates.
        registry: has the images.
        peers: URLs of other webhooks by name, which verify the same images.
    """
    bodies = {
        name: write_review(folder / f"{name}.json", [registry.image(n, by_tag=name == "by tag") for n in range(3)])
        for name in OURS
    }
    results: dict[str, list[Load]] = {}
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(webhook(folder, registry.host))
        contestants = [(name, ours, body) for name, body in bodies.items()]
        contestants.append((TRIVIAL, stack.enter_context(trivial(folder)), bodies["by tag"]))
        limit = stack.enter_context(nginx(folder))
        if limit is not None:
            contestants.append((LIMIT, limit, bodies["by tag"]))
        contestants += [
            (f"{peer}, {name}", _peer(url), body) for peer, url in peers.items() for name, body in bodies.items()
        ]
        for name, server, body in contestants:
            load(server, body, connections=CONNECTIONS, seconds=3).require_admitted(name)
        for _ in range(ROUNDS):
            for name, server, body in contestants:
                one = load(server, body, connections=CONNECTIONS, seconds=SECONDS).require_admitted(name)
                results.setdefault(name, []).append(one)
    return results


def ratio(results: Mapping[str, list[Load]], name: str, to: str) -> float:
    """Return the median, over the rounds, of a contestant's reviews a second in those of another one."""
    return statistics.median(one.rate / other.rate for one, other in zip(results[name], results[to], strict=True))


def _peer(url: str) -> Server:
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    return Server(f"{scheme}://{authority}", 0.0, 0, f"/{path}")
