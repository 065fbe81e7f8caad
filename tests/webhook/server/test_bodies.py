"""Bodies rationed by bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealgate_webhook.reviews.request import MAX_REVIEW_BYTES
from sealgate_webhook.server.bodies import BodyBudget
from sealgate_webhook.server.heads import RefusedRequestError
from sealgate_webhook.server.receiving import SmallBodies

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sealgate.process.serving.asgi import Message
    from sealgate_webhook.server.bodies import Ration


def granted(*rations: Ration) -> list[bool]:
    return [ration.granted.done() for ration in rations]


def test_bytes_are_granted_until_they_are_used_up() -> None:
    budget = BodyBudget(100)
    first, second, third = (budget.ask(50, "api") for _ in range(3))
    assert granted(first, second, third) == [True, True, False]
    first.release()
    assert granted(third) == [True]


def test_body_of_unknown_length_counts_as_the_longest() -> None:
    assert BodyBudget().ask(-1, "api").size == MAX_REVIEW_BYTES


def test_released_twice_is_released_once() -> None:
    budget = BodyBudget(100)
    first = budget.ask(100, "api")
    first.release()
    first.release()
    assert granted(budget.ask(100, "api"), budget.ask(1, "api")) == [True, False]


def test_smaller_body_does_not_pass_a_larger_one() -> None:
    budget = BodyBudget(100)
    held, larger, smaller = budget.ask(60, "api"), budget.ask(80, "api"), budget.ask(10, "api")
    assert granted(larger, smaller) == [False, False]
    held.release()
    assert granted(larger, smaller) == [True, True]


def test_client_with_many_bodies_delays_another_by_one() -> None:
    budget = BodyBudget(100)
    held = budget.ask(100, "flood")
    flood = [budget.ask(100, "flood") for _ in range(20)]
    api = budget.ask(100, "api")
    held.release()
    for ration in flood:
        if api.granted.done():
            break
        ration.release()
    assert sum(granted(*flood)) <= 1
    assert granted(api) == [True]


def test_body_that_waits_no_longer_blocks_nothing() -> None:
    budget = BodyBudget(100)
    held, waiting, last = budget.ask(50, "api"), budget.ask(100, "api"), budget.ask(50, "api")
    waiting.granted.cancel()
    waiting.release()
    assert granted(last) == [True]
    held.release()


@given(st.lists(st.tuples(st.integers(1, 100), st.sampled_from("abc"), st.booleans()), max_size=60))
def test_bytes_in_use_never_exceed_the_limit_and_nothing_starves(
    steps: list[tuple[int, str, bool]],
) -> None:
    budget = BodyBudget(100)
    rations: list[Ration] = []
    for size, client, releases in steps:
        rations.append(budget.ask(size, client))
        assert sum(ration.size for ration in rations if ration.granted.done()) <= 100
        if releases:
            rations.pop(0).release()
    while rations:
        held = [ration for ration in rations if ration.granted.done()]
        assert held
        held[0].release()
        rations.remove(held[0])


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def at_once() -> Message:
    return {"type": "http.request", "body": b"x" * 50, "more_body": False}


async def given_up(receiving: Coroutine[object, object, bytes]) -> RefusedRequestError:
    with pytest.raises(RefusedRequestError) as refused:
        await receiving
    return refused.value


def test_oldest_small_body_is_given_up_for_a_new_one() -> None:
    async def run() -> None:
        bodies = SmallBodies(100)
        async with asyncio.TaskGroup() as group:
            oldest = group.create_task(given_up(bodies.receive(never, 50)))
            await asyncio.sleep(0)
            slow = group.create_task(bodies.receive(never, 50))
            await asyncio.sleep(0)
            assert await group.create_task(bodies.receive(at_once, 50)) == b"x" * 50
            refused = await oldest
            assert (refused.status, dict(refused.headers)) == (503, {"Retry-After": "1"})
            assert not slow.done()
            slow.cancel()

    asyncio.run(run())


def test_small_body_whose_request_is_cancelled_is_not_answered() -> None:
    async def run() -> None:
        bodies = SmallBodies(100)
        task = asyncio.get_running_loop().create_task(bodies.receive(never, 100))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.get_running_loop().create_task(bodies.receive(at_once, 50)) == b"x" * 50

    asyncio.run(run())
