"""Signing as cosign does: where signatures are stored, and what they say besides the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sealgate.cli.inputs.signers.interface import SignerInput
from sealgate.cli.inputs.signers.shared import ANNOTATION
from sealgate.cli.inputs.signing_keys import COSIGN_PASSWORD, open_signing_key
from sealgate.formats.cosign.sign import CosignSigner, Storage
from sealgate.references import parse_repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.cli.inputs.signing_keys import KeyOptions


_STORAGE = click.Option(
    ["--storage"],
    type=click.Choice([storage.value for storage in Storage]),
    default=Storage.TAG.value,
    show_default=True,
    help="cosign: where signatures are stored. tag: the tag sha256-DIGEST.sig, which every cosign reads; writers on "
    "other machines that sign the same image at the same moment may drop each other's signature, which is then added "
    "again if it happens within seconds. referrers: a manifest of its own (OCI 1.1). bundle: the same with a sigstore "
    "bundle, as cosign 3 writes it. In a registry with the referrers API, no writer can drop those.",
)
_REPOSITORY = click.Option(
    ["--signature-repository"],
    metavar="REPOSITORY",
    help="cosign: repository that holds the signatures, as signatureRepository of an Authenticator; by default that "
    "of the image.",
)


def _build(key: KeyOptions, values: Mapping[str, Any]) -> CosignSigner:
    repository = values["signature_repository"]
    return CosignSigner(
        key=open_signing_key(key, COSIGN_PASSWORD),
        storage=Storage(values["storage"]),
        annotations=values["annotations"],
        signature_repository=None if repository is None else parse_repository(repository),
    )


def _named_hosts(values: Mapping[str, Any]) -> frozenset[str]:
    repository = values["signature_repository"]
    return frozenset() if repository is None else frozenset({parse_repository(repository).registry})


INPUT = SignerInput("cosign", (_STORAGE, ANNOTATION, _REPOSITORY), _build, _named_hosts)
