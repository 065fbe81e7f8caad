"""Signing as Notation does: the certificate chain, the kind of envelope, and signed metadata."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from sealgate.cli.inputs import files
from sealgate.cli.inputs.signers.interface import SignerInput
from sealgate.cli.inputs.signers.shared import ANNOTATION, required
from sealgate.cli.inputs.signing_keys import COSIGN_PASSWORD, open_signing_key
from sealgate.errors import InvalidKeyError
from sealgate.formats.notation.sign import EnvelopeType, algorithm_for, build_signer, read_chain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.cli.inputs.signing_keys import KeyOptions
    from sealgate.formats.notation.sign import NotationSigner

_MAX_BYTES = 1 << 18
_KINDS = {"jws": EnvelopeType.JWS, "cose": EnvelopeType.COSE}

_CHAIN = click.Option(
    ["--certificate-chain"],
    metavar="FILE",
    help="notation: PEM file with the certificate of the key, its issuers in order, and the root last.",
)
_KIND = click.Option(
    ["--envelope"],
    type=click.Choice(list(_KINDS)),
    default="jws",
    show_default=True,
    help="notation: kind of the envelope around the signature.",
)


def _build(key: KeyOptions, values: Mapping[str, Any]) -> NotationSigner:
    path = required(values, _CHAIN)
    try:
        chain = read_chain(files.read_bytes(path, _MAX_BYTES))
        algorithm = algorithm_for(chain, key.algorithm)
        signing = open_signing_key(replace(key, algorithm=algorithm), COSIGN_PASSWORD)
        return build_signer(signing, chain, _KINDS[values["envelope"]], values["annotations"])
    except InvalidKeyError as error:
        raise InvalidKeyError(f"--certificate-chain {files.name_of(path)}: {error.message}") from error


INPUT = SignerInput("notation", (_CHAIN, _KIND, ANNOTATION), _build)
