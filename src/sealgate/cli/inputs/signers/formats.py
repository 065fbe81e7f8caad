"""The formats that `sealgate sign` knows; see `sealgate.cli.inputs.signers.interface`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sealgate.cli.inputs.signers import cosign, grafeas, notary, notation, oracle, simple_signing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.cli.inputs.signers.interface import SignerInput

#: Every format: one import and one line. The first is the default.
FORMATS: tuple[SignerInput, ...] = (
    cosign.INPUT,
    simple_signing.INPUT,
    notary.INPUT,
    notation.INPUT,
    grafeas.INPUT,
    oracle.INPUT,
)


def format_names() -> list[str]:
    """Return the formats' names, the default first."""
    return [each.format for each in FORMATS]


def format_options() -> list[click.Option]:
    """Return the options of all formats, each once."""
    return list(dict.fromkeys(option for each in FORMATS for option in each.options))


def chosen_input(name: str, context: click.Context) -> SignerInput:
    """Return the format of that name.

    Raises:
        click.UsageError: an option was given that belongs to other formats only.
    """
    (chosen,) = (each for each in FORMATS if each.format == name)
    for option in format_options():
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option not in chosen.options:
            owners = " or ".join(each.format for each in FORMATS if option in each.options)
            raise click.UsageError(f"{option.opts[0]} belongs to --format {owners}, and the format is {name}")
    return chosen


def values_of(chosen: SignerInput, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a format's own options, by parameter name."""
    return {name: values[name] for name in (option.name or "" for option in chosen.options)}
