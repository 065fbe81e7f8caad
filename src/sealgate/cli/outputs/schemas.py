"""The published JSON schemas of `--output json`, one for each command that has one.

`COMMAND.schema.json` beside this module is the schema; a test checks that `docs/COMMAND.schema.json` is a copy of it.
Members may be added to a schema; none may be removed, renamed or given another meaning.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C", bound="Callable[..., Any]")


def schema_text(command: str) -> str:
    """Return the JSON schema of a command's document.

    Args:
        command: its name ("verify").
    """
    return resources.files("sealgate.cli.outputs").joinpath(f"{command}.schema.json").read_text(encoding="utf-8")


def schema_option(command: str) -> Callable[[C], C]:
    """Return the option `--schema`, which prints the schema of a command and exits.

    Args:
        command: its name ("verify").
    """

    def print_schema(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's signature
        if wanted:
            click.echo(schema_text(command), nl=False)
            context.exit()

    return click.option(
        "--schema",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=print_schema,
        help="Print the JSON schema of --output json and exit.",
    )
