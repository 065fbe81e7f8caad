"""Runs `sealgate` as a user would, in this process or in one of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from sealgate.cli.app import cli

if TYPE_CHECKING:
    from collections.abc import Mapping

    from click.testing import Result

#: The entry point as it is installed beside this interpreter.
SEALGATE = Path(sys.executable).with_name("sealgate")


def sealgate(*args: object, stdin: str | bytes | None = None) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli, [str(arg) for arg in args], input=stdin)


def start(
    *args: object, env: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [str(SEALGATE), *map(str, args)], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    )
