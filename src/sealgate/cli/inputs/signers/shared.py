"""Options that several formats share, and checks of their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from pydantic import TypeAdapter, ValidationError

from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping


def _annotations(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for key, separator, _value in pairs:
        if not key or not separator:
            raise click.BadParameter(f"{quote(key)} must have the form KEY=VALUE")
    annotations = {key: value for key, _separator, value in pairs}
    if len(annotations) < len(pairs):
        keys = [key for key, _separator, _value in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise click.BadParameter(f"{quote(twice)} is given more than once; a signature has one value for each key")
    return annotations


#: Metadata that is signed with the image, as a mapping.
ANNOTATION = click.Option(
    ["--annotation", "annotations"],
    callback=_annotations,
    metavar="KEY=VALUE",
    multiple=True,
    help="cosign, notation: annotation to sign with the image. Repeatable.",
)
SERVER = click.Option(
    ["--server"],
    metavar="URL",
    help="notary: address of the server; default: the image's own registry, as DTR has it, and "
    "https://notary.docker.io for Docker Hub. grafeas: address of the server. oracle: address of the service; default: "
    "the region's public one.",
)


def required(values: Mapping[str, Any], option: click.Option) -> Any:  # noqa: ANN401 - click's values have any type
    """Return the value of an option that the format needs.

    Raises:
        click.UsageError: it was not given.
    """
    value = values[option.name or ""]
    if value is None:
        raise click.UsageError(f"{option.opts[0]} is missing: it names the {option.metavar}")
    return value


def checked(text: str, wanted: TypeAdapter[str], option: click.Option, example: str) -> str:
    """Return a value that has the form of a field of the objects.

    Args:
        text: as written.
        wanted: the field's type.
        option: where it was written.
        example: of a good value, for the message.

    Raises:
        click.UsageError: it has another form.
    """
    try:
        return wanted.validate_python(text)
    except ValidationError as error:
        # What has an @ may be a URL with a password in it.
        given = "" if "@" in text else f" {quote(text, 120)}"
        raise click.UsageError(f"{option.opts[0]}{given} must be written as {example}") from error
