"""The decision log, read from the logs of the webhook and of the reports.

Its lines have a `decision_id` (docs/decision-log.schema.json).

A log is foreign text. Lines are read one by one, with bounds; a line that is too long, is not a decision, or has
another version is counted and left out, so that no line hides another one.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from sealgate.cli.inputs.files import name_of
from sealgate.cli.questions import STDIN
from sealgate.decision_ids import FIELD, LOG_VERSION, PATTERN
from sealgate.errors import ConfigError
from sealgate.messages import quote
from sealgate.parsing.strict_json import MalformedError, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

#: The most bytes of a line; those of sealgate have less than 48 KiB.
MAX_LINE_BYTES: Final = 1 << 16
_MARK: Final = f'"{FIELD}"'.encode()


@dataclass(slots=True)
class DecisionLog:
    """The decisions of one log.

    Args:
        path: path as the user wrote it, `-` for standard input.

    Attributes:
        unreadable: lines that mention a decision and were left out: too long, not JSON, or not a decision.
        newer: decisions of a version that is not understood.
    """

    path: str
    unreadable: int = field(default=0, init=False)
    newer: int = field(default=0, init=False)

    def decisions(self) -> Iterator[Mapping[str, object]]:
        """Return the decisions in the order of the log.

        Raises:
            ConfigError: the file cannot be read.
        """
        try:
            with _open(self.path) as file:
                yield from self._read(file)
        except (OSError, ValueError) as error:  # ValueError: the path contains a NUL
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise ConfigError(f"cannot read {name_of(self.path)}: {quote(why)}") from error

    def _read(self, file: IO[bytes]) -> Iterator[Mapping[str, object]]:
        while line := file.readline(MAX_LINE_BYTES + 1):
            if len(line) > MAX_LINE_BYTES:
                self.unreadable += self._skip(file, line)
            elif _MARK in line and (decision := self._decision(line)) is not None:
                yield decision

    @staticmethod
    def _skip(file: IO[bytes], line: bytes) -> bool:
        """Read the rest of a line that is too long; return whether its beginning mentions a decision."""
        marked = _MARK in line
        while line and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES)
        return marked

    def _decision(self, line: bytes) -> Mapping[str, object] | None:
        # `kubectl logs --prefix` and many collectors write something before the line.
        start = max(line.find(b"{"), 0)
        try:
            decision = parse_object(line[start:].strip(), "decision", limit=MAX_LINE_BYTES)
        except MalformedError:
            self.unreadable += 1
            return None
        version = decision.get("decision_version")
        if not PATTERN.fullmatch(str(decision.get(FIELD))) or not isinstance(version, int):
            self.unreadable += 1
            return None
        if version != LOG_VERSION:
            self.newer += 1
            return None
        return decision


def _open(path: str) -> AbstractContextManager[IO[bytes]]:
    if path != STDIN:
        return open(path, "rb")  # noqa: PTH123 - Path.open is the same, and closes nothing that is not opened here
    if sys.stdin is None:
        raise ConfigError("cannot read standard input: it is closed")
    return contextlib.nullcontext(sys.stdin.buffer)
