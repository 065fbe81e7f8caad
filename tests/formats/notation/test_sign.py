"""Signing as Notation does: once, verified before it is stored, beside what others stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sealgate.errors import SigningError
from sealgate.formats.notation.sign import EnvelopeType, NotationSigner
from sealgate.formats.notation.signatures import signer_key
from sealgate.formats.notation.wire.envelope import ARTIFACT_TYPE
from sealgate.formats.signing import SigningOutcome
from sealgate.keys.private_keys import load_private_key
from sealgate.reasons import Reason
from tests.support.environments.notation import REPOSITORY, NotationEnvironment
from tests.support.signers.notation import YEAR, new_key

if TYPE_CHECKING:
    from sealgate.keys.private_keys import PrivateKey as FileKey
    from tests.support.signers.notation import PrivateKey


def load(key: PrivateKey, algorithm: str | None = None) -> FileKey:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return load_private_key(pem, "the key file a.pem", lambda: b"", algorithm)


def signer(environment: NotationEnvironment, **members: Any) -> NotationSigner:
    return NotationSigner(**{"key": load(environment.key), "chain": environment.chain, **members})


@pytest.mark.parametrize("kind", EnvelopeType)
@pytest.mark.parametrize("referrers_api", [True, False], ids=["referrers API", "fallback tag"])
def test_image_is_signed_once(kind: EnvelopeType, referrers_api: bool) -> None:  # noqa: FBT001 - a parameter
    with NotationEnvironment(referrers_api=referrers_api) as environment:
        first = environment.sign(signer(environment, kind=kind))
        before = dict(environment.registry.repositories[REPOSITORY].manifests)
        second = environment.sign(signer(environment, kind=kind))
        assert (first.outcome, second.outcome) == (SigningOutcome.SIGNED, SigningOutcome.ALREADY_SIGNED)
        assert environment.registry.repositories[REPOSITORY].manifests == before
        assert environment.verify().fingerprints == (first.fingerprint,)


@pytest.mark.parametrize("kind", ["P-384", "P-521", "RSA 2048"])
def test_every_kind_of_key_signs(environment: NotationEnvironment, kind: str) -> None:
    key, chain = environment.authority.issue(kind)
    made = NotationSigner(load(key, signer_key(chain[0]).algorithm), chain)
    assert environment.sign(made).fingerprint == environment.verify().fingerprints[0]


def test_manifest_is_as_notation_writes_it(environment: NotationEnvironment) -> None:
    environment.sign(signer(environment))
    (listed,) = environment.registry.referrers(REPOSITORY, environment.digest)
    document = json.loads(environment.registry.manifest(REPOSITORY, listed["digest"])[1])
    assert document["config"]["mediaType"] == ARTIFACT_TYPE
    assert [layer["mediaType"] for layer in document["layers"]] == ["application/jose+json"]
    assert document["subject"]["digest"] == environment.digest
    assert len(json.loads(document["annotations"]["io.cncf.notary.x509chain.thumbprint#S256"])) == 2


def test_other_annotations_are_another_signature(environment: NotationEnvironment) -> None:
    environment.sign(signer(environment))
    for value in ("prod", "test"):
        result = environment.sign(signer(environment, annotations={"env": value}))
        assert result.outcome is SigningOutcome.SIGNED
        environment.verify(annotations={"env": value})
    environment.refused(Reason.ANNOTATION_MISMATCH, annotations={"env": "dev"})


@pytest.mark.parametrize("wrong", ["key", "chain", "expired", "signer"])
def test_nothing_is_stored_that_would_not_verify(environment: NotationEnvironment, wrong: str) -> None:
    cases: dict[str, dict[str, Any]] = {
        "key": {"key": load(new_key())},
        "chain": {"chain": environment.chain[:1]},
        "expired": {},
        "signer": {"chain": environment.authority.chain},
    }
    if wrong == "expired":
        environment.clock.advance((3 * YEAR).total_seconds())
    with pytest.raises(SigningError, match="nothing was stored"):
        environment.sign(signer(environment, **cases[wrong]))
    assert not environment.registry.referrers(REPOSITORY, environment.digest)
