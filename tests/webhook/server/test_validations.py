"""Policy objects are validated apart from reviews, a few at a time."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate_webhook.admission.outcome import AdmissionOutcome
from sealgate_webhook.reviews.request import decode_review
from sealgate_webhook.reviews.response import ALLOWED
from sealgate_webhook.server.validations import MAX_RUNNING, MAX_WAITING_OF_USER, Validations
from tests.support.builders.objects import policy
from tests.webhook.objects import encode, review
from tests.webhook.servers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate_webhook.reviews.request import AdmissionRequest

WELL_FORMED = AdmissionOutcome(ALLOWED, "well formed")
LONG = 60.0


class Validation:
    """A validation that takes as long as a test wants."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.go = threading.Event()

    def __call__(self, request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        del deadline
        self.running.append(request.username)
        assert self.go.wait(LONG)
        self.running.remove(request.username)
        return WELL_FORMED


def apply(validations: Validations, user: str, seconds: float = LONG) -> AdmissionOutcome:
    request = decode_review(encode(review(policy("p"), userInfo={"username": user})), None)
    return validations(request, Deadline.after(SystemClock(), seconds))


@pytest.fixture
def validation() -> Iterator[Validation]:
    validation = Validation()
    yield validation
    validation.go.set()


@pytest.fixture
def pool(validation: Validation) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as pool:
        yield pool
        validation.go.set()


def start(pool: ThreadPoolExecutor, validations: Validations, *users: str) -> list[Future[AdmissionOutcome]]:
    return [pool.submit(apply, validations, user) for user in users]


def test_one_object_of_each_user_and_two_in_total_are_validated(
    validation: Validation, pool: ThreadPoolExecutor
) -> None:
    validations = Validations(validation)
    first = start(pool, validations, "alice")
    eventually(lambda: validation.running == ["alice"])
    assert apply(validations, "alice", 0.05).response.code == 503
    second = start(pool, validations, "bob")
    eventually(lambda: len(validation.running) == MAX_RUNNING)
    assert apply(validations, "carol", 0.05).response.code == 503
    assert sorted(validation.running) == ["alice", "bob"]
    validation.go.set()
    assert {outcome.result(LONG).reason for outcome in first + second} == {"well formed"}
    assert apply(validations, "carol").reason == "well formed"


def test_user_with_many_objects_delays_no_other_user(validation: Validation, pool: ThreadPoolExecutor) -> None:
    validations = Validations(validation)
    flood = start(pool, validations, *["alice"] * (MAX_WAITING_OF_USER + 1))
    eventually(lambda: validation.running == ["alice"])
    start(pool, validations, "bob")
    eventually(lambda: sorted(validation.running) == ["alice", "bob"])
    validation.go.set()
    assert all(outcome.result(LONG).response.allowed for outcome in flood)


def test_too_many_objects_of_one_user_are_denied_at_once(validation: Validation, pool: ThreadPoolExecutor) -> None:
    validations = Validations(validation)
    flood = start(pool, validations, *["alice"] * (MAX_WAITING_OF_USER + 5))
    eventually(lambda: sum(outcome.done() for outcome in flood) == 4)
    denied = next(outcome for outcome in flood if outcome.done()).result()
    assert denied.response.message == "too many policy objects are being validated; try again in a few seconds"
    assert denied.reason == "too many validations"


def test_failed_validation_makes_room() -> None:
    def fail(request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        raise ValueError(request.uid, deadline)

    validations = Validations(fail)
    for _ in range(MAX_RUNNING + 1):
        with pytest.raises(ValueError, match="705ab4f5"):
            apply(validations, "alice")
