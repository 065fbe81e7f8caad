"""Forged statuses of policies, and forged or flooded counts: nothing is decided by either, and neither takes memory."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import UnavailableError
from sealgate.policies.policy_counts import MAX_IMAGES, decode_counts, encode_counts
from sealgate_webhook.backends.cluster.policies import read_policy
from sealgate_webhook.counters import PolicyCounters
from tests.operator.conftest import cluster as cluster  # noqa: PLC0414 - the fixture
from tests.operator.conftest import enforced as enforced  # noqa: PLC0414 - the fixture
from tests.operator.environment import AUTHENTICATORS, POLICIES, running
from tests.operator.objects import authenticator, cosign, inline, policy
from tests.support.builders.verdicts import verdict
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from tests.support.simulators.kubernetes import KubernetesSimulator

FORGED: dict[str, Any] = {
    "observedGeneration": 1,
    "activity": {"images": "1000+", "denials": 10**9, "lastDenial": "2999-01-01T00:00:00Z"},
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "Exempt", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    ],
}


@pytest.mark.parametrize("status", [FORGED, {"conditions": "none"}, {"activity": {"denials": -1}}, [], "Exempt"])
def test_attack_117_a_forged_status_changes_no_policy(status: object) -> None:
    obj = policy("production", "release")
    before = read_policy(obj)
    assert read_policy({**obj, "status": status}, before) is before
    assert read_policy({**obj, "status": status}).object == before.object


@pytest.mark.usefixtures("enforced")
def test_attack_117_a_forged_status_is_put_right(cluster: KubernetesSimulator) -> None:  # noqa: F811 - the fixture
    cluster.put(AUTHENTICATORS, authenticator("release", cosign(inline("one"))))
    cluster.put(POLICIES, policy("production", "release"))
    path = f"{POLICIES}/production"

    def ready(_: KubernetesSimulator) -> bool:
        conditions = (cluster.get(path).get("status") or {}).get("conditions") or [{}]
        return bool(conditions[0].get("reason") == "PolicyInForce")

    with running(cluster):
        cluster.wait_for(ready)
        cluster.put(POLICIES, {**cluster.get(path), "status": FORGED})
        cluster.wait_for(ready)


def test_attack_118_forged_counts_are_no_status() -> None:
    for forged in (b'{"conditions": [], "version": 1}', b'{"version": 1, "replica": "0", "policies": {}}'):
        with pytest.raises(UnavailableError):
            decode_counts(forged)


def test_attack_118_a_flood_of_images_and_policies_takes_little_memory() -> None:
    names = [f"policy-{number}" for number in range(20)]
    counters = PolicyCounters(FakeClock(), lambda: names)
    flood = [
        verdict(f"registry.example.org/{number}/x:1", unmet=" ".join([*names, f"gone-{number}"]))
        for number in range(3000)
    ]
    tracemalloc.start()
    counters.decided(flood, dry_run=False)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert size < 4 << 20
    counts = counters.counts()
    assert set(counts.policies) == set(names)
    assert {found.images for found in counts.policies.values()} == {MAX_IMAGES}
    assert decode_counts(encode_counts(counts)) == counts
