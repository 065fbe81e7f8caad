"""`sealgate policy convert`: translate other tools' policies to sealgate objects."""

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

#: The most bytes of a policy file, and of a key file that a policy.json names.
MAX_BYTES = 32 << 20
MAX_KEY_BYTES = 1 << 20
#: The most bytes of a trusted root, as in an Authenticator.
MAX_ROOT_BYTES = 1 << 16


@click.command(
    epilog=examples(
        "sealgate policy convert kritis.yaml --grafeas-server https://grafeas.example.org",
        "sealgate policy convert policy.json --registries-d registries.d",
        "sealgate policy convert cluster-image-policies.yaml --trusted-root trusted_root.json",
    )
)
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--grafeas-server",
    "server",
    metavar="URL",
    help="URL of the Grafeas server that stores kritis's attestations. Without it, a placeholder is written.",
)
@click.option(
    "--namespace",
    default="default",
    show_default=True,
    metavar="NAME",
    help="Namespace for kritis objects that do not have one.",
)
@click.option(
    "--registries-d",
    "registries",
    metavar="PATH",
    help="Directory that configures where a policy.json's signatures are stored, such as /etc/containers/registries.d.",
)
@click.option(
    "--read-keys",
    is_flag=True,
    help="Read the key files that a policy.json names and write the keys into the output instead of naming Secrets.",
)
@click.option(
    "--trusted-root",
    metavar="FILE",
    help="Trusted root of sigstore's public services, for keyless signatures. Without it, that which sealgate ships.",
)
@options.output_option
def convert(  # noqa: PLR0913, PLR0917 - the command's options
    paths: tuple[str, ...],
    server: str | None,
    namespace: str,
    registries: str | None,
    read_keys: bool,  # noqa: FBT001 - click passes it by name
    trusted_root: str | None,
    output: str,
) -> Exit:
    """Convert other tools' policies to sealgate objects, on standard output.

    FILE is YAML or JSON, or - for standard input: either all AttestationAuthority, GenericAttestationPolicy and
    AdmissionAllowlist objects of kritis or Alibaba Cloud's kritis-validation-hook, or all ClusterImagePolicies of
    sigstore's policy-controller, or all ClusterPolicies and Policies of Kyverno with verifyImages, or all its
    ImageValidatingPolicies, or all ClusterImagePolicies and ImagePolicies of Portieris or of OpenShift, or all
    Executors of Ratify 2, or all objects of Ratify 1 with the templates and constraints of Gatekeeper, or the Helm
    values of Connaisseur, or one policy.json of podman, skopeo or OpenShift. Rules without an equivalent are reported
    on standard error and in comments; they never cause an image to be admitted.

    Exit codes: 0 converted, 2 invalid usage or a file that cannot be converted.
    """
    conversion = convert_texts(
        [(files.name_of(path), files.read_text(path, MAX_BYTES)) for path in paths],
        server=server,
        namespace=namespace,
        read_file=_read_key if read_keys else None,
        registries=None if registries is None else _read_registries(Path(registries)),
        trusted_root=None if trusted_root is None else files.read_text(trusted_root, MAX_ROOT_BYTES),
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
        raise ConfigError(f"{quote(path)} is larger than the limit of {MAX_KEY_BYTES} bytes for key files")
    return content


def _read_registries(directory: Path) -> dict[str, Any]:
    """Return the merged files of a `registries.d` directory, as containers/image merges them.

    Raises:
        ConfigError: a file cannot be read, is not a registries.d file, or has a key that another file has too.
    """
    merged: dict[str, Any] = {"docker": {}}
    try:
        names = sorted(str(path) for path in directory.iterdir() if path.suffix == ".yaml")
    except OSError as error:
        raise ConfigError(f"cannot read {quote(directory)}: {quote(error.strerror or error)}") from error
    for name in names:
        try:
            content = yaml.safe_load(files.read_text(name, MAX_BYTES)) or {}
        except yaml.YAMLError as error:
            raise ConfigError(f"{quote(name)} is not YAML") from error
        docker = content.get("docker", {}) if isinstance(content, dict) else None
        if not isinstance(docker, dict):
            raise ConfigError(
                f"{quote(name)} is not a registries.d file: it must be a mapping with default-docker or docker"
            )
        duplicates = (merged["docker"].keys() & docker.keys()) or ({"default-docker"} & merged.keys() & content.keys())
        if duplicates:
            raise ConfigError(
                f"duplicate key {quote(min(duplicates))} in {quote(name)}: another file of the directory has it too"
            )
        merged["docker"] |= docker
        merged |= {key: value for key, value in content.items() if key == "default-docker"}
    return merged
