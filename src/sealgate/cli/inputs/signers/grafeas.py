"""Signing by attestations in a Grafeas server: where they are stored, and the name of the key in them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click
from pydantic import TypeAdapter

from sealgate.api.v1alpha1.grafeas import NoteName, ProjectName
from sealgate.api.v1alpha1.services import ServiceURL
from sealgate.cli.inputs.files import read_bytes
from sealgate.cli.inputs.openpgp_keys import open_openpgp_key
from sealgate.cli.inputs.signers.interface import SignerInput
from sealgate.cli.inputs.signers.shared import SERVER, checked, required
from sealgate.cli.inputs.signing_keys import COSIGN_PASSWORD, SCHEMES, open_signing_key
from sealgate.cli.questions import STDIN
from sealgate.formats.grafeas.attestors import OpenPGPAttestor
from sealgate.formats.grafeas.sign import GrafeasSigner
from sealgate.formats.grafeas.verify import DEFAULT_FILTERS
from sealgate.keys.openpgp.gpg import PREFIX
from sealgate.keys.openpgp.keyring import MAX_KEYRING_BYTES
from sealgate.service_secrets import MAX_MEMBER_BYTES, MappingServiceSecrets, NoServiceSecrets
from sealgate.signing.policy_keys import is_armored
from sealgate.signing.signers.grafeas import detached_attestor, grafeas_server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.cli.inputs.signing_keys import KeyOptions
    from sealgate.formats.grafeas.attestors import Attestor
    from sealgate.service_secrets import ServiceSecrets

#: Environment variable with the bearer token.
TOKEN_VARIABLE = "GRAFEAS_TOKEN"  # noqa: S105 - a name
_NOTE_FORM = re.compile(r"(projects/[^/]+)/notes/[^/]+")

_NOTE = click.Option(
    ["--note"], metavar="NOTE", help="grafeas: note of the attestations, projects/PROJECT/notes/NOTE; it must exist."
)
_PROJECT = click.Option(
    ["--project"],
    metavar="PROJECT",
    help="grafeas: project of the occurrences, projects/PROJECT; by default the note's.",
)
_API_VERSION = click.Option(
    ["--api-version"],
    type=click.Choice(list(DEFAULT_FILTERS)),
    default="v1",
    show_default=True,
    help="grafeas: API of the server.",
)
_ATTESTOR = click.Option(
    ["--attestor"],
    metavar="ID",
    help="grafeas: ID under which verifiers know the key. By default the ID of a key in Alibaba KMS, "
    "the fingerprint of an OpenPGP key, ni:///sha-256;... of any other.",
)
_TOKEN_FILE = click.Option(
    ["--token-file"],
    metavar="FILE",
    help=f"grafeas: file with the bearer token for the server. Default: the variable {TOKEN_VARIABLE}, if it is set.",
)


def _build(key: KeyOptions, values: Mapping[str, Any]) -> GrafeasSigner:
    note = checked(required(values, _NOTE), TypeAdapter(NoteName), _NOTE, "projects/PROJECT/notes/NOTE")
    form = _NOTE_FORM.fullmatch(note)
    if form is None:
        raise click.UsageError("--note must be written as projects/PROJECT/notes/NOTE")
    url = checked(required(values, SERVER), TypeAdapter(ServiceURL), SERVER, "https://grafeas.example.org")
    project = checked(values["project"] or form[1], TypeAdapter(ProjectName), _PROJECT, "projects/PROJECT")
    version = values["api_version"]
    credentials = _token_source(values)
    server = grafeas_server(url, None, version, note, credentials)
    return GrafeasSigner(server, project, _open_attestor(key, values["attestor"] or ""))


def _open_attestor(key: KeyOptions, key_id: str) -> Attestor:
    if _is_openpgp(key.key or ""):
        return OpenPGPAttestor(open_openpgp_key(key), key_id)
    return detached_attestor(open_signing_key(key, COSIGN_PASSWORD), key_id)


def _is_openpgp(key: str) -> bool:
    """Return whether `--key` names an OpenPGP key: gpg's, or one in an armored file. Standard input is read once."""
    if not key or key == STDIN or key.partition(":")[0] in SCHEMES:
        return False
    return key.startswith(PREFIX) or is_armored(read_bytes(key, MAX_KEYRING_BYTES))


def _token_source(values: Mapping[str, Any]) -> str | None:
    """Return where the token is from, for messages; None if there is none."""
    if values["token_file"] is not None:
        return f"the file {values['token_file']}"
    return f"the variable {TOKEN_VARIABLE}" if os.environ.get(TOKEN_VARIABLE) else None


def _secrets(values: Mapping[str, Any]) -> ServiceSecrets:
    source = _token_source(values)
    if source is None:
        return NoServiceSecrets()
    path = values["token_file"]
    token = os.environb[TOKEN_VARIABLE.encode()] if path is None else read_bytes(path, MAX_MEMBER_BYTES)
    return MappingServiceSecrets({source: {"token": token}})


INPUT = SignerInput(
    "grafeas", (SERVER, _NOTE, _PROJECT, _API_VERSION, _ATTESTOR, _TOKEN_FILE), _build, secrets=_secrets
)
