"""Runs the commands of a documentation page as they are written there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.chart.rendering import ROOT
from tests.e2e.kube import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.e2e.kube import Done

_HEADING = re.compile(r"^#+ (?P<title>.+)$")


class Page:
    """A page with commands in blocks of type `console`.

    Args:
        path: Markdown file of the page.
    """

    def __init__(self, path: Path) -> None:
        self._commands = read_commands(path.read_text(encoding="utf-8"))
        self._run: set[tuple[str, str]] = set()

    def run(self, title: str, start: str, replacements: Mapping[str, str] | None = None) -> Done:
        """Run a command of a section.

        Args:
            title: heading of the section.
            start: start of the command; the first one of the section that starts so and has not been run is taken.
            replacements: placeholders and their values, such as the name of a policy.
        """
        command = self.take(title, start)
        for text, value in (replacements or {}).items():
            assert text in command, f"{text} is not in {command}"
            command = command.replace(text, value)
        return run("bash", "-o", "pipefail", "-c", f"cd '{ROOT}' && {command}")

    def take(self, title: str, start: str) -> str:
        """Return a command of a section and mark it as run."""
        found = [
            (section, command)
            for section, command in self._commands
            if section == title and command.startswith(start) and (section, command) not in self._run
        ]
        assert len(found) > 0, f"no command of {title!r} begins with {start!r}"
        self._run.add(found[0])
        return found[0][1]

    @property
    def remaining(self) -> list[tuple[str, str]]:
        """The commands that have not been run, each with its section."""
        return [found for found in self._commands if found not in self._run]


def read_commands(text: str) -> list[tuple[str, str]]:
    """Return the commands of a page in Markdown, each with the heading of its section."""
    commands: list[tuple[str, str]] = []
    title = ""
    block: list[str] | None = None
    for line in text.splitlines():
        if block is not None:
            if line == "```":
                lines = "\n".join(block).replace("\\\n", " ").splitlines()
                commands += [(title, command) for command in lines if command]
                block = None
            else:
                block.append(line)
        elif line == "```console":
            block = []
        elif heading := _HEADING.match(line):
            title = heading["title"]
    return commands
