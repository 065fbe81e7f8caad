"""Order and rates of signing, on a clock that the test moves."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from sealgate_operator.worker.agenda import MAX_PER_HOST, Agenda, Job, Outcome, Source
from sealgate_operator.worker.rates import POLICY_BURST, Rates
from tests.support.clocks import FakeClock

DONE, FAILED = Outcome(), Outcome(retry_after=1.0, answered=False)


def job(name: str, source: Source = Source.REQUEST, policy: str = "p", host: str = "r", lane: str = "") -> Job:
    return Job(source, name, policy, host, lane or f"{host}/{name}", lambda: DONE)


def agenda(clock: FakeClock | None = None) -> Agenda:
    return Agenda(clock or FakeClock(), lambda _: 0.0)


def test_three_hundred_a_minute_are_signed_for_ten_minutes() -> None:
    clock = FakeClock()
    rates = Rates(clock)
    rates.set("p", 300)
    jobs = Agenda(clock, rates.admit)
    for number in range(4000):
        jobs.add(job(f"v{number}", lane=f"r/{number % 10}"))
    begun: Counter[int] = Counter()
    while clock.monotonic() < 600:
        taken = jobs.poll()
        if taken is None:
            clock.advance(jobs.seconds_to_wait() or 1.0)
        else:
            begun[int(clock.monotonic() // 60)] += 1
            jobs.finish(taken, DONE)
    assert 3000 <= sum(begun.values()) <= 3000 + POLICY_BURST
    assert max(begun.values()) <= 300 + POLICY_BURST


def test_image_that_is_signed_already_takes_no_slot() -> None:
    clock = FakeClock()
    rates = Rates(clock)
    rates.set("p", 1)
    for _ in range(3):
        assert rates.admit(job("a")) == 0
        rates.give_back("p")
    assert rates.admit(job("a")) == 0
    assert rates.admit(job("b")) == pytest.approx(60)


def test_job_is_added_once_and_again_while_it_is_worked_on() -> None:
    jobs = agenda()
    for _ in range(2):
        jobs.add(job("a"))
    taken = jobs.poll()
    assert taken is not None
    assert jobs.poll() is None
    jobs.add(job("a"))
    assert jobs.poll() is None
    jobs.finish(taken, DONE)
    assert jobs.poll() is not None


def test_one_image_of_a_repository_at_a_time() -> None:
    jobs = agenda()
    for name in "ab":
        jobs.add(job(name, lane="r/app"))
    first = jobs.poll()
    assert first is not None
    assert jobs.poll() is None
    jobs.finish(first, DONE)
    assert jobs.poll() is not None


def test_registry_takes_only_its_share_of_the_workers() -> None:
    jobs = agenda()
    for number in range(20):
        jobs.add(job(f"slow{number}", host="slow"))
    jobs.add(job("other", host="fast"))
    taken = [each for _ in range(20) if (each := jobs.poll()) is not None]
    assert Counter(each.host for each in taken) == {"slow": MAX_PER_HOST, "fast": 1}


def test_registry_that_does_not_answer_is_probed_by_one_job_and_then_used_again() -> None:
    clock = FakeClock()
    jobs = agenda(clock)
    for number in range(3):
        jobs.add(job(f"a{number}"))
    first = jobs.poll()
    assert first is not None
    jobs.finish(first, FAILED)
    assert jobs.poll() is None
    clock.advance(1.0)
    probe = jobs.poll()
    assert probe is not None
    assert jobs.poll() is None
    jobs.finish(probe, DONE)
    assert jobs.poll() is not None
    assert jobs.poll() is not None


def test_failure_of_one_policy_does_not_pause_another_in_the_same_registry() -> None:
    jobs = agenda()
    jobs.add(job("a", policy="broken"))
    first = jobs.poll()
    assert first is not None
    jobs.finish(first, FAILED)
    jobs.add(job("b", policy="fine"))
    assert jobs.poll() is not None


def test_attack_83_policy_whose_rate_is_used_up_does_not_hold_up_another_in_the_same_repository() -> None:
    clock = FakeClock()
    rates = Rates(clock)
    rates.set("slow", 1)
    rates.set("fast", 30_000)
    jobs = Agenda(clock, rates.admit)
    for number in range(5):
        jobs.add(job(f"slow{number}", policy="slow", lane="r/app"))
    for number in range(5):
        jobs.add(job(f"fast{number}", policy="fast", lane="r/app"))
    done = []
    while (taken := jobs.poll()) is not None:
        done.append(taken.policy)
        jobs.finish(taken, DONE)
    assert Counter(done) == {"slow": 1, "fast": 5}


def test_attack_83_policy_that_fails_does_not_hold_up_another_in_the_same_repository() -> None:
    jobs = agenda()
    for number in range(5):
        jobs.add(job(f"broken{number}", policy="broken", lane="r/app"))
    jobs.add(job("fine", policy="fine", lane="r/app"))
    first = jobs.poll()
    assert first is not None
    jobs.finish(first, FAILED)
    second = jobs.poll()
    assert second is not None
    assert (first.policy, second.policy) == ("broken", "fine")


def test_attack_83_repositories_that_wait_for_a_rate_are_not_looked_at() -> None:
    clock = FakeClock()
    rates = Rates(clock)
    rates.set("p", 1)
    asked: list[Job] = []

    def admit(waiting: Job) -> float:
        asked.append(waiting)
        return rates.admit(waiting)

    jobs = Agenda(clock, admit)
    for number in range(1000):
        jobs.add(job(str(number)))
    while (taken := jobs.poll()) is not None:
        jobs.finish(taken, DONE)
    asked.clear()
    for _ in range(10):
        assert jobs.poll() is None
    assert asked == []


def test_policies_take_turns_in_a_registry() -> None:
    jobs = agenda()
    for number in range(20):
        jobs.add(job(f"many{number}", policy="many"))
    jobs.add(job("one", policy="one"))
    taken = []
    for _ in range(2):
        each = jobs.poll()
        assert each is not None
        taken.append(each.policy)
        jobs.finish(each, DONE)
    assert "one" in taken


def test_every_source_gets_a_share_and_requests_the_largest() -> None:
    jobs = agenda()
    for number in range(200):
        for source in Source:
            jobs.add(job(f"{source.name}{number}", source))
    sources: Counter[Source] = Counter()
    for _ in range(100):
        taken = jobs.poll()
        assert taken is not None
        sources[taken.source] += 1
        jobs.finish(taken, DONE)
    assert sources[Source.REQUEST] > sources[Source.RESYNC] > sources[Source.RUN] > 0


def test_repositories_take_turns() -> None:
    jobs = agenda()
    for number in range(50):
        jobs.add(job(f"flood{number}", lane="r/flood"))
    jobs.add(job("other", lane="r/other"))
    taken = []
    for _ in range(3):
        each = jobs.poll()
        assert each is not None
        taken.append(each.lane)
        jobs.finish(each, DONE)
    assert "r/other" in taken


def test_closed_agenda_stops_every_worker() -> None:
    jobs = agenda()
    taken: list[Job | None] = []
    threads = [threading.Thread(target=lambda: taken.append(jobs.take()), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    jobs.close()
    for thread in threads:
        thread.join(150)
    assert taken == [None, None, None]
