"""Signatures of the Notary Project's own libraries, and what these say about signatures of sealgate."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from sealgate.errors import VerificationError
from sealgate.formats.notation.envelopes import Authenticated, EnvelopeRules
from sealgate.formats.notation.identities import TrustedIdentities
from sealgate.formats.notation.revocation import RevocationRules
from sealgate.formats.notation.wire.cose import parse_cose
from sealgate.formats.notation.wire.envelope import COSE_TYPE, JWS_TYPE, Scheme
from sealgate.formats.notation.wire.jws import parse_jws
from sealgate.reasons import Reason
from sealgate.registry.interface import OCI_MANIFEST
from sealgate.timestamps.verify import Authorities, verify_token
from tests.data.notation.generate import HERE, IDENTITY, changed
from tests.support.environments.notation import REPOSITORY
from tests.support.signers.notation import push_envelope

if TYPE_CHECKING:
    from tests.support.environments.notation import NotationEnvironment

RECORDED: dict[str, Any] = json.loads((HERE / "recorded.json").read_text())
VERDICTS: dict[str, dict[str, str]] = json.loads((HERE / "verdicts.json").read_text())["verdicts"]
VECTORS = HERE / "notation_go"
STORES = {"notary.x509": "ca", "notary.x509.signingAuthority": "signingAuthority"}


def root_of(chain: str) -> str:
    return "-----BEGIN" + chain.rpartition("-----BEGIN")[2]


@pytest.mark.parametrize(
    "recording", RECORDED["envelopes"], ids=lambda each: f"{each['key']} {each['scheme']} {each['mediaType']}"
)
def test_signature_of_notation_verifies(environment: NotationEnvironment, recording: dict[str, str]) -> None:
    registry = environment.registry
    environment.digest = registry.push_manifest(REPOSITORY, "v1", RECORDED["image"].encode(), OCI_MANIFEST)
    envelope, kind = b64decode(recording["envelope"]), recording["mediaType"]
    push_envelope(registry, REPOSITORY, environment.digest, changed(envelope), kind)
    trusted = {STORES[recording["scheme"]]: [{"pem": root_of(recording["chain"])}]}
    fields = {"trustStores": trusted, "trustedIdentities": [IDENTITY], "annotations": {"env": "prod"}}
    environment.clock.advance(30 * 86400)  # they were recorded after the time of the tests
    environment.refused(Reason.INVALID_SIGNATURE, **fields)
    push_envelope(registry, REPOSITORY, environment.digest, envelope, kind)
    environment.verify(**fields)


@pytest.mark.parametrize("name", VERDICTS)
def test_signature_of_sealgate_was_accepted_by_notation(name: str) -> None:
    verdict = VERDICTS[name]
    assert verdict["unchanged"] == ""
    assert "signature is invalid" in verdict["one changed byte"]
    data, kind = b64decode(verdict["envelope"]), name.rpartition(" ")[2]
    authenticate(data, kind)
    with pytest.raises(VerificationError):
        authenticate(changed(data), kind)


def authenticate(data: bytes, kind: str) -> Authenticated:
    """Verify an envelope, trusting whichever root it brings."""
    parsed = (parse_jws if kind == JWS_TYPE else parse_cose)(data)
    root = x509.load_der_x509_certificate(parsed.chain[-1])
    trusted = frozenset({root.fingerprint(SHA256()).hex()})
    rules = EnvelopeRules(
        trusted=dict.fromkeys(Scheme, trusted),
        identities=TrustedIdentities(None),
        authorities=None,
        timestamp_after_expiry_only=False,
        accept_expired=False,
        annotations={},
        revocation=RevocationRules((), frozenset(), accept_unknown=True),
    )
    return rules.authenticate(kind, data)


def vector(name: str) -> tuple[bytes, str]:
    data = (VECTORS / name).read_bytes()
    return data, JWS_TYPE if data.lstrip().startswith(b"{") else COSE_TYPE


@pytest.mark.parametrize(
    "name",
    [
        "ca_valid_sig_env.json", "sa_valid_sig_env.json", "ca_expired_sig_env.json", "sa_expired_sig_env.json",
        "sig_env_with_metadata.json", "jws_signature.sig", "cose_signature.sig", "withoutTimestamp.sig",
    ],
)  # fmt: skip
def test_vector_of_notation_go_is_authentic(name: str) -> None:
    found = authenticate(*vector(name))
    assert found.envelope.payload.startswith(b'{"targetArtifact":')
    expired = found.envelope.expiry is not None and found.envelope.expiry < datetime(2026, 1, 1, tzinfo=UTC)
    assert expired == ("expired" in name)
    assert (found.envelope.signing_time is not None) == name.startswith("sa_")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ca_invalid_sig_env.json", "payload"),
        ("sa_invalid_sig_env.json", "payload"),
        ("ca_plugin_sig_env.json", "SomeKey is not supported"),
        ("sa_plugin_sig_env.json", "SomeKey is not supported"),
    ],
)
def test_vector_of_notation_go_is_refused(name: str, says: str) -> None:
    with pytest.raises(VerificationError, match=says):
        authenticate(*vector(name))


@pytest.mark.parametrize(
    ("name", "within"),
    [
        ("jwsWithTimestamp.sig", True),
        ("coseWithTimestamp.sig", True),
        ("jwsExpiredWithTimestamp.sig", True),
        ("coseExpiredWithTimestamp.sig", True),
        ("timestampAfterNotAfter.sig", False),
        ("timestampBeforeNotBefore.sig", False),
    ],
)
def test_timestamp_of_a_public_tsa_verifies(name: str, within: bool) -> None:  # noqa: FBT001 - a parameter of the test
    found = authenticate(*vector(name))
    root = x509.load_der_x509_certificate((VECTORS / "globalsignRoot.cer").read_bytes())
    stamp = verify_token(found.envelope.timestamp, found.envelope.signature, Authorities((root,)))
    assert stamp.chain[-1].public_bytes(Encoding.DER) == root.public_bytes(Encoding.DER)
    signer = found.chain[0]
    assert (signer.not_valid_before_utc <= stamp.time <= signer.not_valid_after_utc) is within
