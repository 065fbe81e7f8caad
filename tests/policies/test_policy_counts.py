"""What a replica sends is foreign: anything that is not exactly its document is refused as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sealgate.errors import UnavailableError
from sealgate.policies.policy_counts import MAX_BYTES, PolicyCounts, ReplicaCounts, decode_counts, encode_counts

REPLICA = "0123456789abcdef"


def document(counts: Any, **members: Any) -> bytes:
    return json.dumps({"version": 1, "replica": REPLICA, "policies": {"p": counts}, **members}).encode()


def test_document_survives_the_wire() -> None:
    counts = PolicyCounts(images=3, denied=((0, 2), (59, 1)), dry_run=((5, 1),), last_denied=12)
    sent = ReplicaCounts(version=1, replica=REPLICA, policies={"p": counts, "quiet": PolicyCounts(images=1)})
    assert decode_counts(encode_counts(sent)) == sent


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"[]",
        b"nan",
        b"[" * 100_000,
        document({"images": -1}),
        document({"images": 1001}),
        document({"images": 1e300}),
        document({"denied": [[60, 1]]}),
        document({"denied": [[-1, 1]]}),
        document({"denied": [[0, -5]]}),
        document({"denied": [[0, 10**30]]}),
        document({"denied": [[0, 1]] * 61}),
        document({"last_denied": -1}),
        document({"ready": True}),
        document({}, version=2),
        document({}, replica="../../etc"),
        document({}, policies={"NOT A NAME": {}}),
        document({}, policies={f"p-{number}": {} for number in range(20_001)}),
    ],
)
def test_anything_else_is_refused(foreign: bytes) -> None:
    with pytest.raises(UnavailableError, match="not in a form that this release knows"):
        decode_counts(foreign)


def test_ten_thousand_policies_that_deny_all_the_time_fit() -> None:
    busy = PolicyCounts(images=1000, denied=tuple((minute, 9999) for minute in range(60)), last_denied=1)
    policies = {f"policy-{number}": busy for number in range(10_000)}
    assert len(encode_counts(ReplicaCounts(version=1, replica=REPLICA, policies=policies))) < MAX_BYTES
