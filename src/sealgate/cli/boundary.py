"""The one place where the command line turns errors into a clear message and an exit code.

Whatever is raised below comes out as `Error: ...` on standard error and a code other than 0; nobody is shown a
stack trace for a bad file. An error outside sealgate's own tree is a defect: it, too, means that nothing could be
determined, and `SEALGATE_DEBUG=1` shows where it came from.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import TYPE_CHECKING

import click

from sealgate.cli.exits import Exit
from sealgate.errors import PolicyError, SealgateError, UnavailableError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable


def run(command: Callable[[], object]) -> int:
    """Run a command and return the code that the process ends with.

    Args:
        command: returns its `Exit`, or nothing for 0.
    """
    try:
        code = _run(command)
        if sys.stdout is not None:  # closed by whoever started us
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone. Nothing may be written any more, not even at the interpreter's exit.
        _discard_output()
        return Exit.BROKEN_PIPE
    except OSError as error:
        _discard_output()
        _say(f"the system does not let sealgate go on: {quote(error)}")
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
        raise  # of the output, most likely: what commands read goes through `sealgate.cli.inputs.files`
    except SealgateError as error:
        return _explain(error)
    except Exception as error:  # noqa: BLE001 - the boundary: whatever it is, nothing was determined
        return _confess(error)
    return code if isinstance(code, int) else Exit.ADMITTED


def _explain(error: SealgateError) -> int:
    """Say what sealgate itself raised."""
    _say(error.message)
    if isinstance(error, PolicyError):
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
    return Exit.UNDETERMINED if isinstance(error, UnavailableError) else Exit.WRONG_INPUT


def _confess(error: Exception) -> int:
    """Say that sealgate has a defect."""
    if os.environ.get("SEALGATE_DEBUG"):
        traceback.print_exception(error)
    _say(
        f"sealgate failed in a way it should not: {type(error).__name__}: {quote(error)}; "
        "nothing was determined. SEALGATE_DEBUG=1 shows where; please report it."
    )
    return Exit.UNDETERMINED


def _say(message: str) -> None:
    click.echo(f"Error: {message}", err=True)


def _discard_output() -> None:
    """Point standard output at nothing, so that what is still buffered cannot fail again."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
