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

import cold
import matching
import memory
import warm
from rich.console import Console
from rich.table import Table
from servers import make_certificate, webhook
from world import Signer, docker_registry, write_policies

PARTS = ("matching", "memory", "start", "cold", "warm")


def main(parts: list[str]) -> int:
    """Measure, print, and return 1 if a floor was missed."""
    unknown = set(parts) - set(PARTS)
    if unknown:
        sys.exit(f"there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    chosen = parts or list(PARTS)
    rows: list[tuple[str, str, str, bool]] = []
    with tempfile.TemporaryDirectory() as name, docker_registry(Path(name)) as registry:
        folder = Path(name)
        signer = Signer(registry)
        make_certificate(folder)
        write_policies(folder, signer.pem, registry.host)
        if "matching" in chosen:
            result = matching.measure()
            rows.append(_row("match 1 image against 5,000 policies, p50", result["match_p50_ms"], "ms", most=5))
            rows.append(_row("the same, p99", result["match_p99_ms"], "ms", most=5))
            rows.append(_row("compile 5,000 policies", result["compile_ms"] / 1e3, "s"))
        if "memory" in chosen:
            result = memory.measure()
            rows.append(_row("memory, 100,000 subjects remembered", result["filled_mib"], "MiB", most=250))
        if "start" in chosen:
            write_policies(folder, signer.pem, registry.host, count=500)
            with webhook(folder, registry.host) as server:
                rows.append(_row("start to ready, 500 policies", server.seconds, "s", most=5))
                rows.append(_row("memory at rest", server.resident_mib(), "MiB", most=120))
            write_policies(folder, signer.pem, registry.host)
        if "cold" in chosen:
            for name_, one in cold.measure(folder, registry, signer).items():
                rows.append(_row(f"cold, {name_}", one["images_per_minute"], "images/min", least=6000))
                rows.append(_row(f"cold, {name_}: registry requests", one["requests_per_image"], "an image", most=4))
        if "warm" in chosen:
            measured = warm.measure(folder, registry, signer)
            ceiling = measured["trivial Flask app"]["rate"]
            for name_, one in measured.items():
                ours = name_ != "trivial Flask app"
                floors = {"least": 1500.0} if ours else {}
                rows.append(_row(f"warm, {name_}", one["rate"], "reviews/s", **floors))
                rows.append(_row(f"warm, {name_}: p50", one["p50_ms"], "ms"))
                rows.append(_row(f"warm, {name_}: p99", one["p99_ms"], "ms", **({"most": 50.0} if ours else {})))
                if ours:
                    rows.append(_row(f"warm, {name_}: ratio to the trivial app", one["rate"] / ceiling, "x"))
    _print(rows)
    return 0 if all(row[3] for row in rows) else 1


def _row(
    what: str, value: float, unit: str, *, least: float | None = None, most: float | None = None
) -> tuple[str, str, str, bool]:
    floor = f">= {least:g}" if least is not None else f"<= {most:g}" if most is not None else ""
    good = (least is None or value >= least) and (most is None or value <= most)
    return what, f"{value:,.0f} {unit}" if value >= 100 else f"{value:.2f} {unit}", floor, good


def _print(rows: list[tuple[str, str, str, bool]]) -> None:
    table = Table(title=f"sealgate, {os.cpu_count()} cores, load generator and registry on the same machine")
    for column in ("what", "measured", "floor"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, value, floor, good in rows:
        table.add_row(what, value, floor if good else f"[red]{floor} missed[/red]")
    Console(width=110).print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
