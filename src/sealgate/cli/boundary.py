"""Error boundary of the command line: turns exceptions into a message and an exit code.

Every exception becomes `Error: ...` on standard error and an exit code other than 0, without a stack trace. An
exception outside sealgate's own tree is a bug: the exit code says that nothing could be determined, and
`SEALGATE_DEBUG=1` prints the stack trace.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import TYPE_CHECKING

import click

from sealgate.cli.exits import Exit
from sealgate.errors import PolicyError, SealgateError, SigningError, UnavailableError, VerificationError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable


def run(command: Callable[[], object]) -> int:
    """Run a command and return the exit code of the process.

    Args:
        command: returns an `Exit`, or None for 0.
    """
    try:
        code = _run(command)
        if sys.stdout is not None:  # None if the parent process has closed it
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output is gone. Nothing may be written any more, not even at the interpreter's exit.
        _discard_output()
        return Exit.BROKEN_PIPE
    except OSError as error:
        _discard_output()
        _print(f"the operating system reports: {quote(error)}")
        return Exit.UNDETERMINED
    return code


def _run(command: Callable[[], object]) -> int:
    try:
        code = command()
    except click.exceptions.Exit as chosen:
        return chosen.exit_code
    except click.ClickException as error:
        error.show()
        return Exit.WRONG_INPUT
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nInterrupted.", err=True)
        return Exit.INTERRUPTED
    except OSError:
        raise  # most likely from writing the output: commands read through `sealgate.cli.inputs.files`
    except SealgateError as error:
        return _explain(error)
    except Exception as error:  # noqa: BLE001 - the boundary: any exception means that nothing was determined
        return _report_bug(error)
    return code if isinstance(code, int) else Exit.ADMITTED


def _explain(error: SealgateError) -> int:
    """Print an error of sealgate's own tree and return its exit code."""
    _print(error.message)
    if isinstance(error, PolicyError):
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
    if isinstance(error, UnavailableError):
        return Exit.UNDETERMINED
    return Exit.DENIED if isinstance(error, SigningError | VerificationError) else Exit.WRONG_INPUT


def _report_bug(error: Exception) -> int:
    """Print that sealgate has a bug and return the exit code."""
    if os.environ.get("SEALGATE_DEBUG"):
        traceback.print_exception(error)
    _print(
        f"sealgate failed because of a bug: {type(error).__name__}: {quote(error)}; "
        "nothing was determined. Please report it, with the stack trace that SEALGATE_DEBUG=1 prints."
    )
    return Exit.UNDETERMINED


def _print(message: str) -> None:
    click.echo(f"Error: {message}", err=True)


def _discard_output() -> None:
    """Redirect standard output to the null device, so that flushing its buffer cannot fail again."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
