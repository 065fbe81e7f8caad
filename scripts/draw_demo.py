"""Draws docs/demo.svg from what `make demo` really prints: `.venv/bin/python scripts/draw_demo.py`."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "demo.svg"
#: How old a cached refusal is depends on how fast the demo runs.
AGE = re.compile(r"(refused\s+)\d+(\s+s\s+ago,\s+looked\s+up\s+again\s+in\s+)\d+")
#: Every decision has an id of its own.
DECISION = re.compile(r"(decision id: )[a-z2-7]{8}-[a-z2-7]{8}")
WIDTH = 122


def demo_output() -> str:
    """Return what the demo prints, with colours, and with ports, times and ids that stay the same from run to run."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, str(ROOT / "examples" / "demo" / "demo.py")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)  # noqa: S603 - ours
    ports = iter(("5000", "8443"))
    names: dict[str, str] = {}

    def same(match: re.Match[str]) -> str:
        return f"127.0.0.1:{names.setdefault(match[1], next(ports, match[1]))}"

    output = re.sub(r"127\.0\.0\.1:(\d+)", same, f"$ make demo\n{done.stdout}")
    return DECISION.sub(r"\g<1>k5xqz3mc-2hfrt7vb", AGE.sub(r"\g<1>0\g<2>30", output))


def draw(output: str) -> str:
    """Return a picture of a terminal that shows the output."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(output))
    svg = console.export_svg(title="make demo", unique_id="demo")
    # The picture must not fetch fonts: the viewer's own font is used.
    return re.sub(r"\s*@font-face \{.*?\}\n", "\n", svg, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")


if __name__ == "__main__":
    PICTURE.write_text(draw(demo_output()))
