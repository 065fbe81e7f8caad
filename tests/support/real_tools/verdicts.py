"""What real tools say about a signature, in a form that is recorded and compared."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Verdict:
    """What one tool says about one signature.

    Attributes:
        tool: program and version ("cosign 3.1.3").
        command: as it was run, without what differs from run to run.
        exit_code: 0 where the tool accepts the signature.
        output: the lines that it printed, errors first, without what differs from run to run.
    """

    tool: str
    command: str
    exit_code: int
    output: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return self.exit_code == 0

    def document(self) -> dict[str, Any]:
        """Return it as it is recorded."""
        return {"tool": self.tool, "command": self.command, "exitCode": self.exit_code, "output": list(self.output)}


@dataclass(frozen=True)
class Judge:
    """Runs a tool and records what it says.

    Attributes:
        tool: program and version.
        folder: where it runs.
        environment: of the process; nothing else is in it.
        names: what stands in the record for text of this run: addresses, folders. The folder itself is FOLDER.
    """

    tool: str
    folder: Path
    environment: Mapping[str, str]
    names: Mapping[str, str]

    def verdict(self, *command: str, data: bytes = b"", program: str | None = None) -> Verdict:
        """Run a command.

        Args:
            command: program and arguments, as it is recorded.
            data: its standard input.
            program: the path of the program.
        """
        done = subprocess.run(
            [program or command[0], *command[1:]],
            cwd=self.folder,
            env=dict(self.environment),
            input=data,
            capture_output=True,
            check=False,
            timeout=60,
        )
        printed = (done.stderr + done.stdout).decode(errors="backslashreplace")
        lines = (line.rstrip() for line in self._hide(printed).splitlines())
        return Verdict(self.tool, self._hide(" ".join(command)), done.returncode, tuple(filter(None, lines)))

    def _hide(self, text: str) -> str:
        for found, name in {str(self.folder): "FOLDER", **self.names}.items():
            text = text.replace(found, name)
        return text


def write_verdicts(path: Path, recorded: Mapping[str, Mapping[str, Any]]) -> None:
    """Write recordings, each with `verdicts` by what was changed, into a file."""
    document = {
        name: {
            **recording,
            "verdicts": {
                place: [verdict.document() for verdict in verdicts] for place, verdicts in recording["verdicts"].items()
            },
        }
        for name, recording in recorded.items()
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def read_verdicts(path: Path) -> dict[str, dict[str, Any]]:
    """Return what `write_verdicts` wrote."""
    document: dict[str, dict[str, Any]] = json.loads(path.read_text())
    for recording in document.values():
        recording["verdicts"] = {
            place: [_verdict(verdict) for verdict in verdicts] for place, verdicts in recording["verdicts"].items()
        }
    return document


def _verdict(document: Mapping[str, Any]) -> Verdict:
    return Verdict(document["tool"], document["command"], document["exitCode"], tuple(document["output"]))
