from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from sealgate.policies.policy_counts import MAX_IMAGES, PolicyCounts
from sealgate_webhook.counters import PolicyCounters
from tests.support.builders.verdicts import DIGEST, verdict
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealgate.policies.decisions import ImageVerdict


class Replica:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.in_force = {"a", "b"}
        self.counters = PolicyCounters(self.clock, lambda: self.in_force)

    def review(self, *verdicts: ImageVerdict, dry_run: bool = False) -> None:
        self.counters.decided(verdicts, dry_run=dry_run)

    def of(self, policy: str) -> PolicyCounts:
        return self.counters.counts().policies.get(policy, PolicyCounts())


@pytest.fixture
def replica() -> Replica:
    return Replica()


def pods(number: int, met: str) -> Iterable[ImageVerdict]:
    return (verdict(f"registry.example.org/app-{count}:1", met=met) for count in range(number))


def test_denials_count_by_minute_and_policy(replica: Replica) -> None:
    replica.review(verdict("nginx", met="a", unmet="b"))
    replica.clock.advance(120)
    replica.review(verdict("nginx", unmet="b"), verdict("redis", unmet="b"))
    replica.clock.advance(30)
    assert replica.of("b") == PolicyCounts(images=2, denied=((0, 2), (2, 1)), last_denied=30)
    assert replica.of("a") == PolicyCounts(images=1)


def test_denials_are_forgotten_after_an_hour(replica: Replica) -> None:
    for _ in range(180):
        replica.review(verdict("nginx", unmet="a"))
        replica.clock.advance(60)
    assert sum(count for _, count in replica.of("a").denied) == 59
    replica.clock.advance(3600)
    assert replica.of("a").denied == ()
    assert replica.of("a").last_denied == 3660


def test_dry_runs_count_apart(replica: Replica) -> None:
    replica.review(verdict("nginx", unmet="a"), dry_run=True)
    assert replica.of("a") == PolicyCounts(dry_run=((0, 1),))


def test_spellings_of_one_digest_are_one_image(replica: Replica) -> None:
    for text in ("nginx", "docker.io/library/nginx:latest", f"nginx@{DIGEST}"):
        replica.review(verdict(text, met="a", pulled=True))
    replica.review(verdict("redis", met="a", pulled=True))
    assert replica.of("a").images == 2


def test_exempt_images_count_for_the_policy_that_exempts_them(replica: Replica) -> None:
    replica.review(verdict("nginx", exempting="a"))
    assert replica.of("a") == PolicyCounts(images=1)


def test_images_count_for_twelve_to_twenty_four_hours(replica: Replica) -> None:
    replica.clock.advance(6 * 3600)
    replica.review(verdict("nginx", met="a"))
    replica.clock.advance(12 * 3600)
    assert replica.of("a").images == 1
    replica.clock.advance(12 * 3600)
    assert replica.of("a").images == 0


@pytest.mark.parametrize("number", [10, 100, 500])
def test_number_of_images_is_close(replica: Replica, number: int) -> None:
    replica.review(*pods(number, met="a"))
    # Eight standard errors of linear counting, which depends on the hash of this process.
    assert replica.of("a").images == pytest.approx(number, abs=max(2, 8 * number / 8192**0.5 / 2))


def test_a_flood_of_images_takes_the_memory_of_a_few(replica: Replica) -> None:
    replica.review(*pods(20_000, met="a"))
    assert replica.of("a").images == MAX_IMAGES
    assert sys.getsizeof((1 << 8192) - 1) < 1200  # what the bitmap of a policy is


def test_policies_that_are_no_longer_in_force_are_forgotten(replica: Replica) -> None:
    for number in range(5000):
        replica.review(verdict("nginx", unmet=f"p-{number}"))
    replica.review(verdict("nginx", unmet="a"))
    replica.in_force = {"a"}
    assert set(replica.counters.counts().policies) == {"a"}


def test_every_start_has_another_name(replica: Replica) -> None:
    assert Replica().counters.replica != replica.counters.replica
