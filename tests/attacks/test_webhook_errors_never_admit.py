"""At the webhook: after an error in any part, in any order, the pod is not admitted."""

from __future__ import annotations

import itertools
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import (
    ConfigError,
    DeadlineError,
    InvalidWorkloadError,
    PolicyError,
    RateLimitedError,
    UnavailableError,
    VerificationError,
)
from tests.support.builders.objects import policy
from tests.webhook.objects import pod, review

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from tests.webhook.environment import WebhookEnvironment

ERRORS: tuple[Exception, ...] = (
    VerificationError("v"),
    UnavailableError("u"),
    DeadlineError("d"),
    RateLimitedError("r", retry_after=1),
    PolicyError("p"),
    ConfigError("c"),
    InvalidWorkloadError("i"),
    RuntimeError("r"),
    KeyError("k"),
    OSError("o"),
    TimeoutError("t"),
    CancelledError("c"),
    RecursionError("r"),
    MemoryError("m"),
    UnicodeDecodeError("utf-8", b"", 0, 1, "u"),
    StopIteration(),
    AssertionError("a"),
)


class Broken:
    """Replaces any part around the webhook, and raises at every use."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    @property
    def scope(self) -> str:
        raise self._error

    def on_pause(self, listener: object) -> None:
        """Accept what is called when the verifier is made, before any review."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        def fail(*_: object) -> NoReturn:
            raise self._error

        return fail


@pytest.mark.parametrize("part", ["policies", "namespaces", "credentials", "network"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_attack_17_an_error_in_any_part_denies(environment: WebhookEnvironment, part: str, error: Exception) -> None:
    image = environment.sign("team/app", "v1")
    setattr(environment, part, Broken(error))
    answer = environment.validate(review(pod(image)))
    assert not answer.allowed
    assert answer.message
    assert "Traceback" not in answer.message


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 418, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("path", ["/manifests/v1", r"\.sig", "/blobs/"])
def test_attack_17_an_error_of_the_registry_at_any_step_denies(
    environment: WebhookEnvironment, path: str, status: int
) -> None:
    image = environment.sign("team/app", "v1")
    environment.registry.faults.status(path, status)
    assert not environment.validate(review(pod(image)), "timeout=2s").allowed


def test_attack_17_a_registry_that_breaks_off_denies(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    environment.registry.faults.drop("/v2/", after=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    assert not environment.validate(review(pod(image)), "timeout=2s").allowed


@pytest.mark.parametrize("actions", sorted(set(itertools.permutations(["Enforce", "Warn", "Audit", "Warn"], 3))))
def test_attack_17_lenient_policy_never_weakens_a_strict_one(
    environment: WebhookEnvironment, actions: tuple[str, ...]
) -> None:
    everything = f"{environment.registry.host}/**"
    environment.write(*(policy(f"p{number}", everything, action=action) for number, action in enumerate(actions)))
    answer = environment.validate(review(pod(environment.push("team/app", "v1"))))
    assert answer.allowed is ("Enforce" not in actions)
    if answer.allowed:
        assert answer.response["warnings"]


def test_attack_17_unavailable_lenient_policy_weakens_no_other(
    environment: WebhookEnvironment,
) -> None:
    environment.write(
        policy("a-warn", f"{environment.registry.host}/**", action="Warn"),
        policy("b-enforce", f"{environment.registry.host}/**"),
    )
    image = environment.push("team/app", "v1")
    environment.registry.faults.status(r"\.sig", 503)
    assert not environment.validate(review(pod(image)), "timeout=2s").allowed


def test_attack_17_one_good_image_admits_no_other_in_any_order(environment: WebhookEnvironment) -> None:
    good, bad, gone = (
        environment.sign("team/good", "v1"),
        environment.push("team/bad", "v1"),
        f"{environment.registry.host}/team/gone:v1",
    )
    for order in itertools.permutations([good, bad, gone]):
        assert not environment.validate(review(pod(*order))).allowed


def test_attack_17_no_time_at_all_is_no_reason_to_admit(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    assert not environment.validate(review(pod(image)), "timeout=1ns").allowed
