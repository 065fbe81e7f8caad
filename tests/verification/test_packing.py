from __future__ import annotations

import hashlib
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from sealgate.findings import Finding, Outcome, SeenSignature
from sealgate.reasons import Reason
from sealgate.verification.packing import pack, unpack

TEXT = st.text(max_size=200)
NAMES = st.text(max_size=80)
FINGERPRINTS = st.lists(st.text(max_size=80), max_size=5).map(tuple)
SIGNATURES = st.lists(st.builds(SeenSignature, TEXT, st.sampled_from(Reason), TEXT, st.none() | TEXT), max_size=5).map(
    tuple
)
ENDS = st.none() | st.datetimes(timezones=st.just(UTC))
FINDINGS = st.builds(
    Finding, TEXT, TEXT, st.sampled_from(Outcome), st.sampled_from(Reason), TEXT, FINGERPRINTS, SIGNATURES, ENDS
)
#: Text that no UTF-8 holds, as it may come from JSON of a registry.
SURROGATE = Finding("release", "cosign", Outcome.REFUSED, Reason.NO_SIGNATURE, "\ud800")


def digest_of(number: int) -> str:
    return "sha256:" + hashlib.sha256(b"%d" % number).hexdigest()


@given(FINDINGS, st.lists(NAMES, max_size=3))
def test_unpacked_finding_equals_the_packed_one(finding: Finding, known: list[str]) -> None:
    for each in (finding, SURROGATE):
        assert unpack(pack(each, *known), *known) == each


def test_typical_finding_takes_few_bytes() -> None:
    fingerprint = "sha256:" + hashlib.sha256(b"a key").hexdigest()
    for number in range(20):
        source = f"tag {digest_of(number).replace(':', '-')}.sig, layer 1"
        finding = Finding(
            "release",
            "cosign",
            Outcome.VERIFIED,
            Reason.VERIFIED,
            f"signed by {fingerprint}",
            (fingerprint,),
            (SeenSignature(source, Reason.VERIFIED, "verified", fingerprint),),
        )
        assert len(pack(finding, "release", "registry.example.org/team/app", digest_of(number))) < 120
