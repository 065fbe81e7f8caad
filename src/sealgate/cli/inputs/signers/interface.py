"""The interface between `sealgate sign` and a format: its options, and the signer that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealgate.service_secrets import NoServiceSecrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import click

    from sealgate.cli.inputs.signing_keys import KeyOptions
    from sealgate.formats.signing import Signer
    from sealgate.service_secrets import ServiceSecrets


@dataclass(frozen=True, slots=True)
class SignerInput:
    """One format.

    Attributes:
        format: the format's field name in the objects ("cosign"), as `--format` takes it.
        options: the options that the format has beside those of every format. Two formats may share one: the same
            object.
        build: returns the signer that the options describe; the values are those of `options`, by parameter name.
            Raises `click.UsageError` for an option that is missing, naming it, and `InvalidInputError` or `ConfigError`
            for a value that is not valid.
        secrets: returns the credentials for the format's service, by the names that `build` gives to the signer; raises
            `ConfigError` if they cannot be read.
        named_hosts: returns the hosts that the values name literally, besides those of the images.
    """

    format: str
    options: tuple[click.Option, ...]
    build: Callable[[KeyOptions, Mapping[str, Any]], Signer]
    named_hosts: Callable[[Mapping[str, Any]], frozenset[str]] = lambda _: frozenset()
    secrets: Callable[[Mapping[str, Any]], ServiceSecrets] = lambda _: NoServiceSecrets()
