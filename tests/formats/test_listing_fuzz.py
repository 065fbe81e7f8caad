"""Fuzzing of listings: each is read or refused by a SealgateError."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import VerificationError
from sealgate.formats.grafeas.claims import require_claims
from sealgate.formats.grafeas.stores import GrafeasServer
from sealgate.formats.grafeas.wire import resource_uri
from sealgate.formats.interface import Image
from sealgate.formats.oracle.claims import Expectations
from sealgate.formats.oracle.wire import SignatureRecord, read_record
from sealgate.references import parse_reference
from tests.support.environments.oracle import DIGEST, REPOSITORY
from tests.support.examples import examples
from tests.support.simulators.grafeas import NOTE
from tests.support.simulators.ocir import message_of

IMAGE = Image(parse_reference(f"phx.ocir.io/ansh81vru1zp/{REPOSITORY}"), DIGEST)
RECORD = SignatureRecord("record 1", "k", "v", "SHA_256_RSA_PKCS_PSS", "AVAILABLE", b"", b"")
EXPECTATIONS = Expectations("us-phoenix-1", "d", {"a": "b"})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["AA==", "!", NOTE, "ATTESTATION"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def objects(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects with some of these members, each of any kind."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES))


def server(version: str) -> GrafeasServer:
    return GrafeasServer("https://grafeas.example.org", None, version, NOTE, NOTE, "none", None)


SIGNED = objects("signatures", "serializedPayload", "jwts", "signature", "pgpKeyId", "contentType")
V1BETA1 = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("pgpSignedAttestation", "genericSignedAttestation"), SIGNED)
)
ATTESTATIONS = VALUES | SIGNED | st.builds(lambda inner: {"attestation": inner}, V1BETA1)


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@given(attestation=ATTESTATIONS)
@settings(max_examples=examples(150))
def test_no_occurrence_breaks_its_reading(version: str, attestation: Any) -> None:
    uri = resource_uri(IMAGE)
    occurrence = {
        "resourceUri": uri,
        "resource": {"uri": uri},
        "kind": "ATTESTATION",
        "noteName": NOTE,
        "attestation": attestation,
    }
    with suppress(VerificationError):
        for entry in server(version).signatures(occurrence, IMAGE, 1):
            with suppress(VerificationError):
                entry.read().signature()
            with suppress(VerificationError):
                entry.read().payload()


@given(record=VALUES)
@settings(max_examples=examples(100))
def test_arbitrary_listing_never_crashes(record: Any) -> None:
    with suppress(VerificationError):
        list(server("v1").signatures(record, IMAGE, 1))
    with suppress(VerificationError):
        read_record(record, "record 1")


@given(
    record=objects("id", "message", "signature", "kmsKeyId", "kmsKeyVersionId", "signingAlgorithm", "lifecycleState")
)
@settings(max_examples=examples(150))
def test_no_record_breaks_its_reading(record: dict[str, Any]) -> None:
    with suppress(VerificationError):
        read_record(record, "record 1")


@given(raw=st.binary(max_size=200))
@settings(max_examples=examples(150))
def test_no_signed_bytes_pass_by_chance(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        require_claims(raw, IMAGE)
    with pytest.raises(VerificationError):
        EXPECTATIONS.require(raw, RECORD, IMAGE)


@given(changes=objects(*message_of(DIGEST, REPOSITORY), "unknown"))
@settings(max_examples=examples(150))
def test_no_message_with_other_members_passes(changes: dict[str, Any]) -> None:
    message = {**message_of(DIGEST, REPOSITORY), **changes}
    with pytest.raises(VerificationError):
        EXPECTATIONS.require(json.dumps(message).encode(), RECORD, IMAGE)
