"""Exit codes. Scripts rely on them, so they never change."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from sealgate.policies.decisions import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable


class Exit(IntEnum):
    """Exit code of the process. Of several results the highest code counts."""

    ADMITTED = 0
    DENIED = 1
    WRONG_INPUT = 2
    UNDETERMINED = 3
    INTERRUPTED = 130
    BROKEN_PIPE = 141


_OF_VERDICT = {
    Verdict.ADMIT: Exit.ADMITTED,
    Verdict.WARN: Exit.ADMITTED,
    Verdict.DENY: Exit.DENIED,
    Verdict.UNAVAILABLE: Exit.UNDETERMINED,
}


def exit_of(verdicts: Iterable[Verdict]) -> Exit:
    """Return the exit code of a run: the highest of its verdicts, `ADMITTED` if there are none."""
    return max((_OF_VERDICT[verdict] for verdict in verdicts), default=Exit.ADMITTED)
