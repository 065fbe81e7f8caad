"""Attacks through the labels of a namespace: each change of them makes a new namespace to caches."""

from __future__ import annotations

import gc
import tracemalloc

from sealgate.policies.matching import Namespace
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from tests.attacks.test_background import LIMITS, Counts, digests, release
from tests.support.clocks import GatedClock
from tests.support.environments.verifier import RELEASE, VerifierEnvironment


def relabelled(version: int, labels: int) -> Namespace:
    """Return a namespace with many labels, as they are after a change."""
    return Namespace("flood", {f"k{number:06d}": f"{version}" for number in range(labels)})


def test_attack_179_labels_of_before_are_not_kept_with_the_policies_that_they_selected() -> None:
    image = parse_reference("registry.example/team/app:v1")
    RELEASE.index.match(image, relabelled(-1, 1))
    gc.collect()
    tracemalloc.start()
    try:
        for version in range(20):
            RELEASE.index.match(image, relabelled(version, 2_000))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()


def test_attack_179_labels_count_against_the_memory_of_the_background() -> None:
    clock, counts = GatedClock(), Counts()
    with VerifierEnvironment(LIMITS, clock, counts) as environment:
        try:
            first, *others = digests(environment, 40)
            environment.verify(f"{first.partition('@')[0]}@{environment.push_signed('v1')}")
            environment.verify(*digests(environment, 44)[40:])
            for version, image in enumerate(others[:6]):
                review = {"namespace": relabelled(version, 20_000), "seconds": 0.1, "current_policies": release}
                assert environment.verify(image, **review)[0].reason is Reason.RATE_LIMITED
            # 16 MiB, of which each set of labels takes more than a quarter.
            assert counts.waiting <= 4
        finally:
            clock.gate.set()
