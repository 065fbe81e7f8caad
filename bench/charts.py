"""The charts of docs/performance.md and docs/sizing.md, from the curves that a run has measured."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from plots import Panel, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


#: Minutes that stand for none at all, which a logarithmic axis does not have.
_SHORTEST = 0.1


def write_charts(folder: Path, curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write one SVG for each curve into a folder; those of curves that were not measured stay as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, panels in _CHARTS.items():
        if name in curves:
            write(folder / f"{name}.svg", panels(curves[name]))
    if "cold" in curves:
        write(folder / "memory.svg", _memory(curves["cold"]))


def _load(what: str, curve: Sequence[Mapping[str, Any]]) -> list[Panel]:
    offered = f"{what} offered a second"
    answered = {
        "answered": [(point["offered"], point["answered"]) for point in curve],
        "offered": [(point["offered"], point["offered"]) for point in curve],
    }
    times = {name: [(point["offered"], point[f"{name}_ms"]) for point in curve] for name in ("p50", "p99")}
    return [
        Panel(f"{what} answered", offered, f"{what} a second", answered),
        Panel("time until the answer", offered, "ms", times, upward_logarithmic=True),
    ]


def _memory(curve: Sequence[Mapping[str, Any]]) -> list[Panel]:
    points = {"all processes (PSS)": [(point["subjects"], point["mib"]) for point in curve]}
    return [Panel("memory", "images verified and cached", "MiB", points)]


def _matching(curve: Sequence[Mapping[str, Any]]) -> list[Panel]:
    points = {name: [(point["policies"], point[f"match_{name}_ms"]) for point in curve] for name in ("p50", "p99")}
    return [Panel("matching one image", "policies", "ms", points)]


def _drain(curve: Sequence[Mapping[str, Any]]) -> list[Panel]:
    series = {
        f"{budget:,}/min": [(point["tags"], max(point["seconds"] / 60, _SHORTEST)) for point in points]
        for budget, points in groupby(curve, key=lambda point: point["per_minute"])
    }
    return [
        Panel(
            "until all are verified", "new images at once", "minutes", series, logarithmic=True, upward_logarithmic=True
        )
    ]


_CHARTS = {
    "warm": lambda curve: _load("reviews", curve),
    "cold": lambda curve: _load("images", curve),
    "matching": _matching,
    "drain": _drain,
}
