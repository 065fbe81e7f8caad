"""Making attestations: in every layout, once, beside what others stored."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import SigningError, VerificationError
from sealgate.formats.cosign.attest import CosignAttester
from sealgate.formats.cosign.sign import Storage
from sealgate.formats.signing import SigningOutcome
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.keys.private_keys import load_private_key, public_pem_of
from sealgate.reasons import Reason
from tests.support.environments.cosign import REPOSITORY, CosignEnvironment
from tests.support.signers.cosign import BundleOf, push_attestations
from tests.support.signers.private_keys import new_key

if TYPE_CHECKING:
    from sealgate.keys.private_keys import PrivateKey

KEY = generate_key(KeyType.ECDSA_P256)
ENTRY = {"pem": public_pem_of(KEY).decode()}
OTHER = new_key("ECDSA P-256", "another")
VULN = "https://cosign.sigstore.dev/attestation/vuln/v1"
SCAN = {"critical": 0, "scanner": {"uri": "https://scanner.example.org/ü"}, "score": 1.5, "none": None}
SCANNED: dict[str, Any] = {
    "attestations": [{"predicateType": VULN, "conditions": ["predicate.critical == 0", "predicate.score == 1.5"]}],
    "signatures": "NotRequired",
    "matchRepository": True,
}
every_storage = pytest.mark.parametrize("storage", Storage)


@functools.cache
def key() -> PrivateKey:
    return load_private_key(write_private_key(KEY, None), "the key file a.pem", lambda: b"")


def attester(storage: Storage = Storage.TAG, predicate: object = None, **more: Any) -> CosignAttester:
    return CosignAttester(key(), VULN, SCAN if predicate is None else predicate, storage, **more)


@every_storage
def test_image_is_attested_once(either_environment: CosignEnvironment, storage: Storage) -> None:
    first = either_environment.sign(attester(storage))
    before = dict(either_environment.registry.repositories[REPOSITORY].manifests)
    second = either_environment.sign(attester(storage))
    assert (first.outcome, second.outcome) == (SigningOutcome.SIGNED, SigningOutcome.ALREADY_SIGNED)
    assert (first.location, first.digest, first.size) == (second.location, second.digest, second.size)
    assert either_environment.registry.repositories[REPOSITORY].manifests == before
    assert either_environment.verify(ENTRY, **SCANNED).fingerprints == (first.fingerprint,)


@every_storage
def test_other_predicate_is_another_attestation(environment: CosignEnvironment, storage: Storage) -> None:
    environment.sign(attester(storage, {"critical": 3}))
    assert "predicate.critical = 3" in environment.refused(Reason.PREDICATE_MISMATCH, ENTRY, **SCANNED).message
    assert environment.sign(attester(storage)).outcome is SigningOutcome.SIGNED
    environment.verify(ENTRY, **SCANNED)


def test_attestations_of_others_are_kept_to_the_byte(environment: CosignEnvironment) -> None:
    registry = environment.registry
    push_attestations(registry, REPOSITORY, BundleOf(environment.digest, OTHER, predicate_type=VULN, predicate=SCAN))
    tag = environment.digest.replace(":", "-") + ".att"
    before = json.loads(registry.manifest(REPOSITORY, tag)[1])["layers"]
    environment.sign(attester())
    after = json.loads(registry.manifest(REPOSITORY, tag)[1])["layers"]
    assert after[:1] == before
    assert len(environment.verify(ENTRY, OTHER, **{**SCANNED, "matchRepository": False}).fingerprints) == 2


@every_storage
def test_attestation_is_no_signature(environment: CosignEnvironment, storage: Storage) -> None:
    environment.sign(attester(storage))
    environment.refused(Reason.NO_SIGNATURE, ENTRY)


@pytest.mark.parametrize("predicate", [{"text": "x" * (1 << 20)}, {"text": "x" * 800_000}])
@every_storage
def test_predicate_that_no_verifier_would_read_is_not_stored(
    environment: CosignEnvironment, storage: Storage, predicate: object
) -> None:
    before = environment.registry.repositories[REPOSITORY].blobs.copy()
    with pytest.raises((SigningError, VerificationError)):
        environment.sign(attester(storage, predicate))
    assert environment.registry.repositories[REPOSITORY].blobs == before


def test_ambiguous_predicate_is_not_signed(environment: CosignEnvironment) -> None:
    with pytest.raises(VerificationError, match="NUL"):
        environment.sign(attester(predicate={"a\0b": 1}))
