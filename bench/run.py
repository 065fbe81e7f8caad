"""Measures what the README claims, and says where the floors are missed.

    make bench                      everything
    .venv/bin/python bench/run.py warm cold

Needs docker-registry and wrk (Debian packages of these names). Nothing else should run meanwhile.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import cold
import formats
import matching
import memory
import warm
from environment import Registry, Signer, docker_registry, write_policies
from rich.console import Console
from rich.table import Table
from servers import make_certificate, webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What was measured, the figure, the floor, and whether it holds.
Row = tuple[str, str, str, bool]


def main(parts: list[str]) -> int:
    """Measure, print, and return 1 if a floor was missed."""
    unknown = set(parts) - set(PARTS)
    if unknown:
        sys.exit(f"there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as name, docker_registry(Path(name)) as registry:
        folder, signer = Path(name), Signer(registry)
        make_certificate(folder)
        write_policies(folder, signer.pem, registry.host)
        rows = [row for part in parts or PARTS for row in PARTS[part](folder, registry, signer)]
    _print(rows)
    return 0 if all(row[3] for row in rows) else 1


def _matching(*_: object) -> Iterator[Row]:
    result = matching.measure()
    yield _row("match 1 image against 5,000 policies, p50", result["match_p50_ms"], "ms", most=5)
    yield _row("the same, p99", result["match_p99_ms"], "ms", most=5)
    yield _row("compile 5,000 policies", result["compile_ms"] / 1e3, "s")


def _memory(*_: object) -> Iterator[Row]:
    yield _row("memory, 100,000 cached findings", memory.measure()["filled_mib"], "MiB", most=250)


def _start(folder: Path, registry: Registry, signer: Signer) -> Iterator[Row]:
    write_policies(folder, signer.pem, registry.host, count=500)
    with webhook(folder, registry.host) as server:
        yield _row("start to ready, 500 policies", server.seconds, "s", most=5)
        yield _row("memory at rest", server.resident_mib(), "MiB", most=120)
    write_policies(folder, signer.pem, registry.host)


def _formats(*_: object) -> Iterator[Row]:
    for name, (first, again) in formats.measure().items():
        yield _row(f"one verification, {name}", first, "ms")
        yield _row("the same, from memory", again * 1e3, "us")


def _cold(folder: Path, registry: Registry, signer: Signer) -> Iterator[Row]:
    for name, one in cold.measure(folder, registry, signer).items():
        yield _row(f"cold, {name}", one["images_per_minute"], "images/min", least=6000)
        yield _row(f"cold, {name}: registry requests", one["requests_per_image"], "an image", most=4)


def _warm(folder: Path, registry: Registry, signer: Signer) -> Iterator[Row]:
    measured = warm.measure(folder, registry, signer)
    ceiling = measured["trivial Flask app"]["rate"]
    for name, one in measured.items():
        ours = name != "trivial Flask app"
        yield _row(f"warm, {name}", one["rate"], "reviews/s", least=1500 if ours else None)
        yield _row(f"warm, {name}: p50", one["p50_ms"], "ms")
        yield _row(f"warm, {name}: p99", one["p99_ms"], "ms", most=50 if ours else None)
        if ours:
            yield _row(f"warm, {name}: ratio to the trivial app", one["rate"] / ceiling, "x")


PARTS: dict[str, Callable[[Path, Registry, Signer], Iterator[Row]]] = {
    "matching": _matching,
    "memory": _memory,
    "start": _start,
    "formats": _formats,
    "cold": _cold,
    "warm": _warm,
}


def _row(what: str, value: float, unit: str, *, least: float | None = None, most: float | None = None) -> Row:
    floor = f">= {least:g}" if least is not None else f"<= {most:g}" if most is not None else ""
    good = (least is None or value >= least) and (most is None or value <= most)
    return what, f"{value:,.0f} {unit}" if value >= 100 else f"{value:.2f} {unit}", floor, good


def _print(rows: list[Row]) -> None:
    table = Table(title=f"sealgate, {os.cpu_count()} cores, load generator and registry on the same machine")
    for column in ("what", "measured", "floor"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, value, floor, good in rows:
        table.add_row(what, value, floor if good else f"[red]{floor} missed[/red]")
    Console(width=110).print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
