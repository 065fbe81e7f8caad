"""What a new part adds to the sources, and a copy of the sources with it.

An `Addition` is the files that are new and the lines that are added to files that exist: nothing else is touched. The
copy runs in a process of its own, so that this process keeps the real sources.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import sealgate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COMMANDS = """
import json, sys
from click.testing import CliRunner
from sealgate.cli.app import cli

ran = [CliRunner().invoke(cli, command) for command in json.loads(sys.argv[1])]
print(json.dumps([{"returncode": one.exit_code, "stdout": one.stdout, "stderr": one.stderr} for one in ran]))
"""
ROOT = Path(sealgate.__file__).parents[2]


@dataclass(frozen=True)
class Addition:
    """What one new part adds.

    Attributes:
        files: new files, by their path.
        lines: by path of a file, an existing line and what is added after it.
    """

    files: Mapping[str, str]
    lines: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def touched(self) -> set[str]:
        """The paths of all files that it adds or changes, as CONTRIBUTING.md writes them."""
        return {path.replace("toy", "NAME") for path in (*self.files, *self.lines)}

    def apply(self, folder: Path) -> None:
        """Add it to a copy of the sources."""
        for path, content in self.files.items():
            file = folder / path
            assert not file.exists()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        for path, additions in self.lines.items():
            file = folder / path
            text = file.read_text()
            for after, added in additions:
                assert text.count(f"{after}\n") == 1, (path, after)
                text = text.replace(f"{after}\n", f"{after}\n{added}\n")
            file.write_text(text)


@dataclass(frozen=True)
class Ran:
    """What a command has done.

    Attributes:
        returncode: the exit code.
        stdout: what it wrote to standard output.
        stderr: what it wrote to standard error.
    """

    returncode: int
    stdout: str
    stderr: str


def listed_sources(title: str) -> set[str]:
    """Return the source files that a section of CONTRIBUTING.md lists."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.split(f"## {title}\n")[1].split("\n## ")[0]
    return set(re.findall(r"`((?:src|webhook|operator)/[^`]*\.py)`", section))


def copy_sources(folder: Path, *additions: Addition) -> None:
    """Copy the library, the webhook and the operator, with what Python has compiled of them, and add to them."""
    for path in ("src/sealgate", "webhook/sealgate_webhook", "operator/sealgate_operator"):
        # Other processes may be writing what they compile: under a name that vanishes.
        shutil.copytree(ROOT / path, folder / path, ignore=shutil.ignore_patterns("*.pyc.*"))
    for addition in additions:
        addition.apply(folder)


def run_commands(folder: Path, *commands: Sequence[object]) -> list[Ran]:
    """Run several commands of the command line with the copied sources, one after the other in one process."""
    texts = [[str(argument) for argument in command] for command in commands]
    done = run_python(folder, _COMMANDS, json.dumps(texts))
    assert done.returncode == 0, done.stderr
    return [Ran(**ran) for ran in json.loads(done.stdout)]


def run_python(folder: Path, code: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Run Python code with the copied sources."""
    path = os.pathsep.join(str(folder / part) for part in ("src", "webhook", "operator"))
    # The copy is not the code whose coverage is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
