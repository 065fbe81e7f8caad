"""Findings and digests are encoded without loss, and nothing else is decoded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealgate.findings import Finding, Outcome, SeenSignature
from sealgate.reasons import Reason
from sealgate.references import Digest, Repository
from sealgate.shared_cache.findings import decode_digest, decode_finding, encode_digest, encode_finding

ACCESS = ((Repository("registry.example.org", "team/app"), "ab" * 32),)
SEEN = SeenSignature("layer 1", Reason.VERIFIED, "ok", "sha256:1")
VERIFIED = Finding("release", "cosign", Outcome.VERIFIED, Reason.VERIFIED, "signed", ("sha256:1",), (SEEN,))
REFUSED = Finding("release", "cosign", Outcome.REFUSED, Reason.NO_SIGNATURE, "no signature")
ENDING = replace(VERIFIED, valid_until=datetime(2026, 11, 21, 12, 0, 0, 1, tzinfo=UTC))
DIGEST = Digest("sha256:" + "a" * 64)


@pytest.mark.parametrize("finding", [VERIFIED, REFUSED, ENDING])
@pytest.mark.parametrize("access", [(), ACCESS])
def test_finding_is_decoded_as_it_was(finding: Finding, access: tuple[tuple[Repository, str], ...]) -> None:
    assert decode_finding(encode_finding(finding, access), "release") == (finding, access)


def test_digest_is_decoded_as_it_was() -> None:
    assert decode_digest(encode_digest(DIGEST, ACCESS)) == (DIGEST, ACCESS)


def test_unavailable_finding_is_not_encoded() -> None:
    finding = Finding("release", "cosign", Outcome.UNAVAILABLE, Reason.REGISTRY_UNAVAILABLE, "down")
    with pytest.raises(ValueError, match="unavailable"):
        encode_finding(finding, ())


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "unavailable"},
        {"outcome": "verified"},
        {"reason": "Verified"},
        {"authenticator": "other"},
        {"outcome": "verified", "reason": "Verified", "fingerprints": []},
        {"fingerprints": ["sha256:1"]},
        {"signatures": [["only one"]]},
        {"validUntil": "2026-11-21T12:00:00"},
        {"validUntil": "soon"},
        {"validUntil": 1},
        {"access": 1},
        {"access": [["registry", "path"]]},
    ],
)
def test_unfit_finding_is_not_decoded(change: dict[str, object]) -> None:
    document = json.loads(encode_finding(REFUSED, ())) | change
    with pytest.raises(ValueError, match=r"."):
        decode_finding(json.dumps(document).encode(), "release")


def test_finding_that_does_not_say_whether_it_ends_is_not_decoded() -> None:
    document = json.loads(encode_finding(VERIFIED, ()))
    del document["validUntil"]
    with pytest.raises(ValueError, match="not a finding"):
        decode_finding(json.dumps(document).encode(), "release")


@given(
    st.one_of(
        st.binary(max_size=50), st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
    )
)
def test_garbage_is_not_decoded(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_finding(payload, "release")
    with pytest.raises(ValueError, match=r"."):
        decode_digest(payload)


@pytest.mark.parametrize("digest", ["sha256:x", 1, None, "sha512:" + "a" * 128])
def test_unfit_digest_is_not_decoded(digest: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_digest(json.dumps({"digest": digest, "access": []}).encode())
