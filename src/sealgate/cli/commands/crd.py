"""`sealgate crd`: the CustomResourceDefinitions of this version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealgate.api.crds import KINDS, SIGNING_KINDS, custom_resource_definition, render_crds
from sealgate.cli.exits import Exit
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.errors import ConfigError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealgate.api.crds import Kind


@click.command(
    epilog=examples(
        "sealgate crd",
        "sealgate crd --directory .",
        "sealgate crd --output json",
        "sealgate crd --signing",
    )
)
@click.option(
    "--directory",
    metavar="PATH",
    help="Write one YAML file for each kind into this directory instead of printing them.",
)
@click.option("--signing", is_flag=True, help="The kinds of signing instead, which the chart installs on request.")
@options.output_option
def crd(*, directory: str | None, signing: bool, output: str) -> Exit:
    """Print the CustomResourceDefinitions of this version.

    `helm install` installs the same definitions; `helm upgrade` does not update them. Before an upgrade, pipe this
    output into kubectl apply --server-side --field-manager=helm --force-conflicts -f -.

    Exit codes: 0 printed or written, 2 the directory cannot be written to.
    """
    kinds = SIGNING_KINDS if signing else KINDS
    if directory is not None:
        _write(Path(directory), kinds)
    elif output == "json":
        items = [custom_resource_definition(kind) for kind in kinds]
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2))
    else:
        click.echo("---\n".join(render_crds(kinds).values()), nl=False)
    return Exit.ADMITTED


def _write(directory: Path, kinds: Iterable[Kind]) -> None:
    for name, text in render_crds(kinds).items():
        try:
            (directory / name).write_text(text, encoding="utf-8")
        except (OSError, ValueError) as error:  # ValueError: the path contains a NUL
            raise ConfigError(f"cannot write {quote(directory / name)}: {quote(error)}") from error
