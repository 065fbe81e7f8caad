from __future__ import annotations

from datetime import timedelta

from sealgate.api.v1alpha1.status import PolicyActivity
from sealgate.policies.policy_counts import PolicyCounts, ReplicaCounts
from sealgate_operator.status.policy_activity import MAX_DENIALS, MAX_REPLICAS, Tally
from tests.support.clocks import NOW


def counts(replica: int, **members: object) -> ReplicaCounts:
    policies = {"p": PolicyCounts.model_validate(members)}
    return ReplicaCounts(version=1, replica=f"{replica:016x}", policies=policies)


def activity(tally: Tally, at: float, before: PolicyActivity | None = None) -> PolicyActivity:
    found = tally.activity("p", before, at, NOW + timedelta(seconds=at))
    assert found is not None
    return found


def test_denials_of_all_replicas_add_up() -> None:
    tally = Tally()
    tally.read(counts(1, images=5, denied=((0, 2), (3, 1)), last_denied=20), 0)
    tally.read(counts(2, images=7, denied=((1, 4),), dry_run=((0, 3),), last_denied=70), 0)
    assert activity(tally, 0) == PolicyActivity(
        images="7", denials=7, dry_run_denials=3, last_denial="2026-11-21T11:59:40Z"
    )


def test_a_later_reading_replaces_the_one_before() -> None:
    tally = Tally()
    tally.read(counts(1, denied=((0, 2),)), 0)
    tally.read(counts(1, denied=((0, 1), (1, 2))), 60)
    assert activity(tally, 60).denials == 3


def test_a_replica_that_is_gone_keeps_its_part_of_the_hour() -> None:
    tally = Tally()
    tally.read(counts(1, denied=((0, 2), (50, 1))), 0)
    tally.read(counts(2, denied=((0, 1),)), 0)
    for minute in (1, 9, 10, 59, 60):
        tally.read(counts(2), 60.0 * minute)
        tally.expire(60.0 * minute)
        assert activity(tally, 60.0 * minute).denials == {1: 3, 9: 3, 10: 2, 59: 2, 60: 0}[minute]


def test_a_restarted_replica_counts_beside_what_it_had_counted() -> None:
    tally = Tally()
    tally.read(counts(1, denied=((0, 5),)), 0)
    tally.read(counts(3, denied=((0, 1),)), 30)
    assert activity(tally, 30).denials == 6


def test_the_time_of_the_last_denial_stays_and_never_goes_back() -> None:
    tally = Tally()
    tally.read(counts(1, last_denied=100), 0)
    first = activity(tally, 0)
    tally.read(counts(1, last_denied=161), 60)
    assert activity(tally, 60, first).last_denial == first.last_denial
    tally.read(counts(2), 120)
    tally.expire(3700)
    tally.read(counts(2), 3700)
    assert activity(tally, 3700, first).last_denial == first.last_denial


def test_a_time_that_is_not_one_is_replaced() -> None:
    tally = Tally()
    tally.read(counts(1, last_denied=0), 0)
    forged = PolicyActivity(images="", denials=0, last_denial="never")
    assert activity(tally, 0, forged).last_denial == "2026-11-21T12:00:00Z"


def test_many_images_are_shown_as_many() -> None:
    tally = Tally()
    tally.read(counts(1, images=1000), 0)
    assert activity(tally, 0).images == "1000+"


def test_nothing_is_known_without_replicas() -> None:
    tally = Tally()
    tally.read(counts(1, images=1), 0)
    tally.expire(3600)
    assert tally.activity("p", None, 3600, NOW) is None


def test_forged_replicas_take_neither_memory_nor_a_number_that_does_not_fit() -> None:
    tally = Tally()
    for replica in range(10 * MAX_REPLICAS):
        tally.read(counts(replica, denied=tuple((minute, 10**9) for minute in range(60))), replica)
    assert activity(tally, 640).denials == MAX_DENIALS
