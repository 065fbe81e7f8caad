"""Policy objects that are posted in any number hold up neither reviews nor other users."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sealgate.clocks import Deadline, SystemClock
from sealgate_webhook.admission.outcome import AdmissionOutcome
from sealgate_webhook.reviews.request import decode_review
from sealgate_webhook.reviews.response import ALLOWED
from sealgate_webhook.server.validations import MAX_RUNNING, MAX_WAITING_OF_USER, Validations
from tests.support.builders.objects import policy
from tests.webhook.objects import encode, review
from tests.webhook.servers import eventually

if TYPE_CHECKING:
    from sealgate_webhook.reviews.request import AdmissionRequest


def test_attack_54_flood_of_one_user_runs_one_at_a_time_and_delays_no_other_user() -> None:
    go, running, most = threading.Event(), [], []

    def validate(request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        running.append(request.username)
        most.append(len(running))
        assert go.wait(max(deadline.remaining(), 0))
        running.remove(request.username)
        return AdmissionOutcome(ALLOWED, "well formed")

    validations = Validations(validate)

    def apply(user: str) -> AdmissionOutcome:
        request = decode_review(encode(review(policy("p"), userInfo={"username": user})), None)
        return validations(request, Deadline.after(SystemClock(), 60))

    with ThreadPoolExecutor(64) as pool:
        flood = [pool.submit(apply, "mallory") for _ in range(60)]
        eventually(lambda: sum(outcome.done() for outcome in flood) == 60 - 1 - MAX_WAITING_OF_USER)
        other = pool.submit(apply, "alice")
        eventually(lambda: sorted(running) == ["alice", "mallory"])
        go.set()
        assert other.result(150).response.allowed
        denied = [outcome.result(150).response for outcome in flood if not outcome.result(150).response.allowed]
    assert len(denied) == 60 - 1 - MAX_WAITING_OF_USER
    assert {response.code for response in denied} == {503}
    assert max(most) == MAX_RUNNING
