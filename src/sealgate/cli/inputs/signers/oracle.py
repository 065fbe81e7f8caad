"""Signing by records in Oracle Cloud's registry: the compartment, and what signatures say beside the image."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from pydantic import TypeAdapter

from sealgate.api.v1alpha1.kms_provider import Region
from sealgate.api.v1alpha1.oracle import CompartmentID
from sealgate.api.v1alpha1.services import ServiceURL
from sealgate.cli.inputs.cloud_credentials import oracle_credentials
from sealgate.cli.inputs.signers.interface import SignerInput
from sealgate.cli.inputs.signers.shared import SERVER, checked, required
from sealgate.cli.inputs.signing_keys import open_signing_key
from sealgate.formats.oracle.service import SignatureService, service_url
from sealgate.formats.oracle.sign import OracleSigner, build_signer
from sealgate.kms.signing import KMSSigningKey
from sealgate.service_secrets import MappingServiceSecrets
from sealgate.signing.signers.oracle import DEFAULT_ALGORITHM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.cli.inputs.signing_keys import KeyOptions
    from sealgate.service_secrets import ServiceSecrets

_KEY_FORM = "oracle:KEY-OCID/VERSION-OCID"

_COMPARTMENT = click.Option(
    ["--compartment"], metavar="OCID", help="oracle: OCID of the compartment that the repository belongs to."
)
_DESCRIPTION = click.Option(
    ["--description"], metavar="TEXT", default="", help="oracle: text about the image, signed and shown in the console."
)
_METADATA = click.Option(
    ["--metadata"],
    metavar="JSON",
    default="",
    help='oracle: data about the image, signed: {"buildnumber":"8447"}, alphanumeric and without white space.',
)
_REGION = click.Option(
    ["--region"],
    metavar="REGION",
    help="oracle: region of the registry, such as us-phoenix-1. Default: that of the profile of `oci`.",
)


def _build(key: KeyOptions, values: Mapping[str, Any]) -> OracleSigner:
    if not (key.key or "").startswith("oracle:"):
        raise click.UsageError(f"--format oracle signs with a key in a vault only: --key {_KEY_FORM}")
    compartment = checked(
        required(values, _COMPARTMENT), TypeAdapter(CompartmentID), _COMPARTMENT, "ocid1.compartment.oc1..ID"
    )
    credentials = oracle_credentials(os.environ)
    region = values["region"] or credentials.region
    if not region:
        raise click.UsageError(f"--region is missing, and {credentials.source} has none")
    region = checked(region, TypeAdapter(Region), _REGION, "us-phoenix-1")
    url = values["server"] or service_url(region, compartment)
    url = checked(url, TypeAdapter(ServiceURL), SERVER, "https://artifacts.example.org").rstrip("/")
    opened = open_signing_key(replace(key, algorithm=key.algorithm or DEFAULT_ALGORITHM), "")
    assert isinstance(opened, KMSSigningKey)  # noqa: S101 - by the scheme of the key
    assert opened.source.oracle is not None  # noqa: S101 - as above
    return build_signer(
        SignatureService(url, None, compartment, subtree=False),
        credentials.source,
        opened,
        opened.source.oracle.key_id,
        region=region,
        description=values["description"],
        metadata=values["metadata"],
    )


def _secrets(values: Mapping[str, Any]) -> ServiceSecrets:
    del values
    credentials = oracle_credentials(os.environ)
    return MappingServiceSecrets({credentials.source: credentials.data})


INPUT = SignerInput("oracle", (SERVER, _COMPARTMENT, _DESCRIPTION, _METADATA, _REGION), _build, secrets=_secrets)
