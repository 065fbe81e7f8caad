"""`sealgate attest`: attest something about images with a private key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sealgate.api.v1alpha1.attestations import PREDICATE_TYPES
from sealgate.cli.commands.sign import run_signer
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.files import name_of, read_bytes
from sealgate.cli.inputs.signing_keys import COSIGN_PASSWORD, key_options, open_signing_key
from sealgate.cli.outputs import signing
from sealgate.cli.outputs.schemas import schema_option
from sealgate.errors import ConfigError
from sealgate.formats.cosign.attest import CosignAttester
from sealgate.formats.cosign.sign import Storage
from sealgate.formats.interface import MAX_SIGNATURE_BYTES
from sealgate.messages import quote
from sealgate.parsing import strict_json
from sealgate.references import parse_reference, parse_repository

if TYPE_CHECKING:
    from sealgate.cli.exits import Exit
    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.cli.inputs.signing_keys import KeyOptions


def _predicate_type(_: click.Context, __: click.Parameter, text: str) -> str:
    uri = PREDICATE_TYPES.get(text, text)
    if ":" not in uri or not uri.isascii() or not uri.isprintable() or " " in uri:
        names = ", ".join(PREDICATE_TYPES)
        raise click.BadParameter(f"{quote(text)} is neither a URI nor one of {names}")
    return uri


@click.command(
    epilog=examples(
        "sealgate attest registry.example.org/shop/web:1.0 --predicate slsa.json --type slsaprovenance1 --key ci.key",
        "sealgate attest registry.example.org/shop/web:1.0 --predicate scan.json --type vuln --key scanner.key "
        "--storage bundle",
    )
)
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option("--predicate", "path", metavar="FILE", required=True, help="JSON file with the predicate, or -.")
@click.option(
    "--type",
    "predicate_type",
    metavar="TYPE",
    required=True,
    callback=_predicate_type,
    help=f"Type of the predicate: a URI, or one of {', '.join(PREDICATE_TYPES)}.",
)
@click.option(
    "--recursive", is_flag=True, help="Attest it of every platform's manifest of an index too, not only of the index."
)
@click.option(
    "--storage",
    type=click.Choice([storage.value for storage in Storage]),
    default=Storage.TAG.value,
    show_default=True,
    help="Where attestations are stored. tag: the tag sha256-DIGEST.att, which every cosign reads. referrers: a "
    "manifest of its own (OCI 1.1). bundle: the same with a sigstore bundle, as cosign 3 writes it.",
)
@click.option(
    "--signature-repository",
    metavar="REPOSITORY",
    help="Repository that holds the attestations, as signatureRepository of an Authenticator; by default that of the "
    "image.",
)
@options.writer_options
@options.timeout_option("each image, including all requests and waits; its outcome is then not determined")
@key_options
@options.output_option
@schema_option("sign")
def attest(  # noqa: PLR0913 - click hands over one argument for each group of options
    *,
    images: tuple[str, ...],
    path: str,
    predicate_type: str,
    recursive: bool,
    storage: str,
    signature_repository: str | None,
    key: KeyOptions,
    registries: RegistryOptions,
    timeout: float,
    output: str,
) -> Exit:
    """Attest something about images with a private key.

    Each image is resolved once, and an in-toto statement about its digest with the predicate is signed. It is checked
    before it is stored, and read back afterwards. An image that has the same attestation by the same key is left
    alone; attestations by others, and with other predicates, are never changed or lost. Storage and writers on other
    machines are as for sealgate sign. The predicate must be JSON; its attestation has at most 1 MiB.

    The JSON of --output json is that of sealgate sign.

    Exit codes: 0 attested or already attested, 1 refused (by the registry, or because of what is stored), 2 invalid
    usage, key or file, 3 could not be determined, 130 interrupted. With several images the highest code.
    """
    references = [parse_reference(image) for image in images]
    repository = None if signature_repository is None else parse_repository(signature_repository)
    attester = CosignAttester(
        key=open_signing_key(key, COSIGN_PASSWORD),
        predicate_type=predicate_type,
        predicate=_read_predicate(path),
        storage=Storage(storage),
        signature_repository=repository,
    )
    hosts = frozenset[str]() if repository is None else frozenset({repository.registry})
    outcomes = run_signer(
        attester, references, recursive=recursive, registries=registries, timeout=timeout, named_hosts=hosts
    )
    signing.print_outcomes(outcomes, attester.format, output)
    return signing.exit_of(outcomes)


def _read_predicate(path: str) -> object:
    name = name_of(path)
    try:
        return strict_json.parse(read_bytes(path, MAX_SIGNATURE_BYTES), name)
    except strict_json.MalformedError as error:
        raise ConfigError(f"{error}; --predicate takes a JSON file") from error
