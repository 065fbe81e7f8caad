"""Signing as Notation does: the certificate chain, the kind of envelope, and signed metadata."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from cryptography import x509

from sealgate.cli.inputs import files
from sealgate.cli.inputs.signers.interface import SignerInput
from sealgate.cli.inputs.signers.shared import ANNOTATION, required
from sealgate.cli.inputs.signing_keys import COSIGN_PASSWORD, open_signing_key
from sealgate.errors import ConfigError, InvalidKeyError, VerificationError
from sealgate.formats.notation.certificates import UNREADABLE
from sealgate.formats.notation.sign import EnvelopeType, NotationSigner
from sealgate.formats.notation.signatures import signer_key
from sealgate.formats.notation.wire.envelope import MAX_CHAIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.cli.inputs.signing_keys import KeyOptions

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
    chain = _read_chain(path)
    try:
        wanted = signer_key(chain[0])
    except VerificationError as error:
        raise InvalidKeyError(f"{files.name_of(path)}: {error.message}") from error
    if key.algorithm not in (None, wanted.algorithm.value):
        raise click.UsageError(
            f"Notation has one algorithm for each type of key, for this one {wanted.algorithm}; leave --algorithm out"
        )
    signing = open_signing_key(replace(key, algorithm=wanted.algorithm.value), COSIGN_PASSWORD)
    if signing.public.fingerprint != wanted.fingerprint:
        raise ConfigError(
            f"the first certificate in {files.name_of(path)} is not of the key {signing.name}; give the chain of that "
            "key, its own certificate first"
        )
    return NotationSigner(signing, chain, _KINDS[values["envelope"]], values["annotations"])


def _read_chain(path: str) -> tuple[x509.Certificate, ...]:
    try:
        chain = tuple(x509.load_pem_x509_certificates(files.read_bytes(path, _MAX_BYTES)))
    except UNREADABLE as error:
        msg = f"{files.name_of(path)} does not hold certificates in PEM; write the whole chain into it"
        raise ConfigError(msg) from error
    if len(chain) > MAX_CHAIN:
        raise ConfigError(f"{files.name_of(path)} has {len(chain)} certificates; a chain has {MAX_CHAIN} at most")
    return chain


INPUT = SignerInput("notation", (_CHAIN, _KIND, ANNOTATION), _build)
