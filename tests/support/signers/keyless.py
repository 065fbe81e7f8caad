"""Images signed by identities of one sigstore, and authenticators that accept them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealgate.formats.build import build_check
from sealgate.keys.resolvers import FileKeys
from sealgate.sigstore.certificates import signer_fingerprint
from tests.support.builders.objects import authenticator_model
from tests.support.signers.cosign import BundleOf, Classic
from tests.support.signers.private_keys import new_key, public_pem, sign
from tests.support.signers.sigstore import ISSUER, SUBJECT, Recipe, Signature, make_sigstore, pae
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.formats.interface import Check
    from tests.support.signers.sigstore import SignedMaterial, Sigstore

SIGSTORE = make_sigstore()
ROOT = json.dumps(SIGSTORE.trusted_root())
KEY = new_key("ECDSA P-256", "release")
V2 = Recipe(log="rekor2", timestamp=True)
JANE = {"issuer": ISSUER, "subject": SUBJECT}
IDENTITY = signer_fingerprint(ISSUER, SUBJECT)
OLD_BUNDLE = "application/vnd.dev.sigstore.bundle+json;version=0."


def keyless(*identities: Mapping[str, str], **fields: Any) -> dict[str, Any]:
    """Return the spec of an authenticator of identities."""
    rules = {"identities": list(identities or (JANE,))}
    return {"cosign": {"keyless": rules, "trustedRoot": {"inline": ROOT}, **fields}}


def logged(**fields: Any) -> dict[str, Any]:
    """Return the spec of an authenticator of a key whose signatures must be in a log."""
    entry = {"pem": public_pem(KEY)}
    return {"cosign": {"keys": [entry], "trustedRoot": {"inline": ROOT}, "requireTransparencyLog": True, **fields}}


def keyless_check(spec: Mapping[str, Any], secrets: Mapping[str, Mapping[str, bytes]] | None = None) -> Check:
    """Return the check of a spec; Secrets by their names."""
    return build_check(authenticator_model(spec=spec), FileKeys(secrets or {}))


def classic(digest: str, recipe: Recipe | None = None, sigstore: Sigstore = SIGSTORE, **changes: Any) -> Classic:
    """Return a classic signature by an identity; changes as `Classic` has them."""
    plain = Classic(digest, KEY, **changes)
    payload = encode(plain.document())
    signed = sigstore.sign(payload, recipe)
    return replace(plain, payload=payload, signature=signed.made.signature, annotations=signed.annotations())


def bundle(
    digest: str, recipe: Recipe | None = None, version: str = "0.3", sigstore: Sigstore = SIGSTORE, **changes: Any
) -> BundleOf:
    """Return a bundle by an identity; changes as `BundleOf` has them."""
    plain = BundleOf(digest, KEY, **changes)
    payload = encode(plain.statement())
    signed = sigstore.sign(pae(payload), recipe, payload)
    signatures = [{"sig": base64.b64encode(signed.made.signature).decode()}]
    members = {} if version == "0.3" else {"mediaType": OLD_BUNDLE + version[-1]}
    return replace(plain, material=signed.material(version), signatures=signatures, members=members)


def by_key(message: bytes, payload: bytes | None, recipe: Recipe | None = None) -> SignedMaterial:
    """Return the material of a signature by `KEY`."""
    spki = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return SIGSTORE.log_key(Signature(message, payload, sign(KEY, message), spki), recipe)
