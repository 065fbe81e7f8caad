"""Runs `sealgate` as a user would, in this process or in one of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from sealgate.cli.app import cli
from tests.support.forked_processes import ForkedProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from click.testing import Result

#: The entry point as it is installed beside this interpreter.
SEALGATE = Path(sys.executable).with_name("sealgate")


def sealgate(*args: object, stdin: str | bytes | None = None) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli, [str(arg) for arg in args], input=stdin)


def start(*args: object, env: Mapping[str, str] | None = None, terminal: int | None = None) -> ForkedProcess:
    """Start the command line in a process of its own.

    Args:
        args: its arguments.
        env: its environment; None for that of this process.
        terminal: a descriptor of the terminal that it has; None for none.
    """
    command = ("tests.cli.command", *map(str, args))
    return ForkedProcess(*command, environment=env, output=terminal is None, terminal=terminal)
