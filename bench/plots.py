"""Line charts as SVG, readable on light and dark pages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_WIDTH, _HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 36, 62
_COLOURS = ("#0b6bcb", "#c2410c", "#15803d", "#7e22ce")
_STYLE = "font-family='system-ui, sans-serif' font-size='12' fill='#1f2937'"
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart.

    Attributes:
        title: above it.
        x: what the horizontal axis is, with its unit.
        y: what the vertical axis is, with its unit.
        series: points by name; each name is in the legend.
        logarithmic: whether the horizontal axis is; all its values must then be greater than 0.
        upward_logarithmic: the same of the vertical axis.
    """

    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    logarithmic: bool = False
    upward_logarithmic: bool = False


class _Axis:
    """Maps values to positions between two ends."""

    def __init__(self, values: Iterable[float], begin: float, end: float, *, logarithmic: bool) -> None:
        values = list(values)
        self._logarithmic = logarithmic
        self._begin, self._end = begin, end
        low, high = (min(values), max(values)) if logarithmic else (0.0, max(values) or 1.0)
        if logarithmic:
            first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
            self._low, self._high = float(first), float(last)
            self.ticks = [10.0**power for power in range(first, last + 1)]
        else:
            step = _step(high)
            count = math.ceil(high / step)
            self._low, self._high = 0.0, count * step
            self.ticks = [step * number for number in range(count + 1)]

    def at(self, value: float) -> float:
        """Return the position of a value."""
        value = math.log10(value) if self._logarithmic else value
        return self._begin + (value - self._low) / ((self._high - self._low) or 1) * (self._end - self._begin)


def write(path: Path, panels: Sequence[Panel]) -> None:
    """Write panels side by side as one SVG."""
    width = _WIDTH * len(panels)
    body = "".join(_panel(panel, number * _WIDTH) for number, panel in enumerate(panels))
    path.write_text(
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {_HEIGHT}' width='{width}' height='{_HEIGHT}' "
        f"{_STYLE}>\n<rect width='100%' height='100%' fill='#ffffff'/>\n{body}</svg>\n"
    )


def _panel(panel: Panel, left: int) -> str:
    points = [point for line in panel.series.values() for point in line]
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    across = _Axis((x for x, _ in points), _LEFT, right, logarithmic=panel.logarithmic)
    up = _Axis((y for _, y in points), bottom, _TOP, logarithmic=panel.upward_logarithmic)
    parts = [_text(_WIDTH / 2, 20, panel.title, "middle", "font-weight='600'")]
    for tick in up.ticks:
        y = up.at(tick)
        parts += [_line(_LEFT, y, right, y), _text(_LEFT - 6, y + 4, _number(tick), "end")]
    for tick in across.ticks:
        x = across.at(tick)
        parts += [_line(x, bottom, x, bottom + 4), _text(x, bottom + 16, _number(tick), "middle")]
    parts.append(_text((_LEFT + right) / 2, bottom + 32, panel.x, "middle"))
    parts.append(_text(14, (_TOP + bottom) / 2, panel.y, "middle", f"transform='rotate(-90 14 {(_TOP + bottom) / 2})'"))
    for number, (name, line) in enumerate(panel.series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        corners = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in line)
        parts.append(f"<polyline points='{corners}' fill='none' stroke='{colour}' stroke-width='2'/>\n")
        parts += [f"<circle cx='{across.at(x):.1f}' cy='{up.at(y):.1f}' r='2.5' fill='{colour}'/>\n" for x, y in line]
        key = _LEFT + number * (right - _LEFT) / len(panel.series)
        parts.append(f"<rect x='{key:.0f}' y='{_HEIGHT - 18}' width='10' height='10' fill='{colour}'/>\n")
        parts.append(_text(key + 14, _HEIGHT - 9, name, "start"))
    return f"<g transform='translate({left} 0)'>\n{''.join(parts)}</g>\n"


def _step(high: float) -> float:
    """Return a round distance of ticks, so that there are about `_TICKS` up to a value."""
    power = 10.0 ** math.floor(math.log10(high / _TICKS))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if high / (power * factor) <= _TICKS)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='#d1d5db'/>\n"


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {more}>{escape(text)}</text>\n"
