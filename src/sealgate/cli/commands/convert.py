"""`sealgate policy convert`: from other tools' policies to objects of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import yaml

from sealgate.cli.exits import Exit
from sealgate.cli.help import examples
from sealgate.cli.inputs import files, options
from sealgate.convert.files import convert_texts, to_yaml
from sealgate.errors import ConfigError
from sealgate.messages import quote

#: The most bytes of one file, and of one file of keys that a policy.json names.
MAX_BYTES = 32 << 20
MAX_KEY_BYTES = 1 << 20


@click.command(
    epilog=examples(
        "sealgate policy convert kritis.yaml --grafeas-server https://grafeas.example.org",
        "sealgate policy convert policy.json --registries-d registries.d",
    )
)
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--grafeas-server",
    "server",
    metavar="URL",
    help="Address of the Grafeas server that holds kritis's attestations; without it a placeholder is written.",
)
@click.option(
    "--namespace",
    default="default",
    show_default=True,
    metavar="NAME",
    help="Namespace of kritis's objects that name none.",
)
@click.option(
    "--registries-d",
    "registries",
    metavar="PATH",
    help="Folder that says where a policy.json's signatures are, as /etc/containers/registries.d does.",
)
@click.option(
    "--read-keys",
    is_flag=True,
    help="Read the key files that a policy.json names and write the keys down, instead of naming Secrets for them.",
)
@options.output_option
def convert(  # noqa: PLR0913, PLR0917 - the command's options
    paths: tuple[str, ...],
    server: str | None,
    namespace: str,
    registries: str | None,
    read_keys: bool,  # noqa: FBT001 - click passes it by name
    output: str,
) -> Exit:
    """Write other tools' policies as ours, on standard output.

    FILE is YAML or JSON, - for standard input: either AttestationAuthority, GenericAttestationPolicy and
    AdmissionAllowlist objects of kritis or Alibaba Cloud's kritis-validation-hook, all of them together, or the
    policy.json of podman, skopeo and OpenShift. What has no equivalent is said on standard error and in comments;
    it never becomes admission.

    Exit codes: 0 converted, 2 wrong usage or a file that cannot be converted.
    """
    conversion = convert_texts(
        [(files.name_of(path), files.read_text(path, MAX_BYTES)) for path in paths],
        server=server,
        namespace=namespace,
        read_file=_read_key if read_keys else None,
        registries=None if registries is None else _read_registries(Path(registries)),
    )
    for note in conversion.notes:
        click.echo(str(note), err=True)
    if output == "json":
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(conversion.objects)}, indent=2))
    else:
        click.echo(to_yaml(conversion), nl=False)
    return Exit.ADMITTED


def _read_key(path: str) -> bytes:
    with Path(path).open("rb") as file:
        content = file.read(MAX_KEY_BYTES + 1)
    if len(content) > MAX_KEY_BYTES:
        raise ConfigError(f"{quote(path)} has more than {MAX_KEY_BYTES} bytes; no file of keys is so large")
    return content


def _read_registries(folder: Path) -> dict[str, Any]:
    """Return the files of `registries.d` merged, as the tools that read them do.

    Raises:
        ConfigError: one cannot be read, is not what it should be, or says what another has said.
    """
    merged: dict[str, Any] = {"docker": {}}
    try:
        names = sorted(str(path) for path in folder.iterdir() if path.suffix == ".yaml")
    except OSError as error:
        raise ConfigError(f"cannot read {quote(folder)}: {quote(error.strerror or error)}") from error
    for name in names:
        try:
            content = yaml.safe_load(files.read_text(name, MAX_BYTES)) or {}
        except yaml.YAMLError as error:
            raise ConfigError(f"{quote(name)} is not YAML") from error
        docker = content.get("docker", {}) if isinstance(content, dict) else None
        if not isinstance(docker, dict):
            raise ConfigError(f"{quote(name)} is no file of registries.d: it has default-docker and docker")
        twice = (merged["docker"].keys() & docker.keys()) or ({"default-docker"} & merged.keys() & content.keys())
        if twice:
            raise ConfigError(f"{quote(name)} says again what another file has said: {quote(min(twice))}")
        merged["docker"] |= docker
        merged |= {key: value for key, value in content.items() if key == "default-docker"}
    return merged
