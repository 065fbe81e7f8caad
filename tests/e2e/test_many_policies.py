"""Thousands of policies are loaded in seconds, and images are still verified."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.kube import api, eventually, kubectl
from tests.e2e.objects import policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.kube import Object, Response
    from tests.e2e.teams import Team

MANY = 5000
#: Parts in which they are deleted: one request for all could exceed the API server's time limit of a request.
PARTS = 50
#: The most seconds from the start of a replica until it has loaded all policies, even on a machine that is busy with
#: other work.
SECONDS = 30.0
PART = "e2e-part"
POLICIES = "/apis/sealgate.dev/v1alpha1/verificationpolicies"


@pytest.fixture
def _many() -> Iterator[None]:
    """Install sealgate on a cluster with thousands of policies.

    They are created and deleted while sealgate is away, so that it does not check, compile and report each of them.
    """
    if release.installed():
        release.uninstall()
    release.delete_lease()
    try:
        assert _in_parallel(MANY, lambda number: api().send("POST", POLICIES, _policy(number))) == {201}
        release.install()
        yield
    finally:
        if release.installed():
            release.uninstall()
        # Policies that are left would slow down all tests that follow.
        deleted = _in_parallel(PARTS, lambda part: api().send("DELETE", f"{POLICIES}?labelSelector={PART}%3D{part}"))
        assert deleted == {200}


def _in_parallel(count: int, send: Callable[[int], Response]) -> set[int]:
    """Send numbered requests, eight at a time, and return the HTTP statuses of the responses."""
    with ThreadPoolExecutor(8) as pool:
        return {response.status for response in pool.map(send, range(count))}


def _policy(number: int) -> Object:
    repository = f"registry.example.org/{number}/**"
    made = policy(f"e2e-{number:04}", ["e2e-missing"], f"nowhere-{number}", repository=repository)
    made["metadata"]["labels"] = {PART: str(number % PARTS)}
    return made


@pytest.mark.usefixtures("_many")
def test_five_thousand_policies_load_in_seconds(team: Team, samples: SampleImages) -> None:
    found = release.pods("webhook")
    assert len(found) == 2  # noqa: PLR2004 - replicas
    for pod in found:
        name = pod["metadata"]["name"]
        lines = _log(name)
        loaded = next(line for line in lines if line.get("policies", 0) >= MANY)
        took = (_time(loaded) - _time(lines[0])).total_seconds()
        print(f"\n{name}: {loaded['policies']} policies loaded {took:.2f} s after its first line")  # noqa: T201 - a figure for the log
        assert took < SECONDS
    team.wait_for_decision(samples.signed.tagged, admitted=True)
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)


def _log(pod: str) -> list[dict[str, Any]]:
    def read() -> list[dict[str, Any]]:
        lines = kubectl("-n", NAMESPACE, "logs", pod).out.splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return found if any(line.get("policies", 0) >= MANY for line in found) else []

    return eventually(read, "the policies are loaded")


def _time(line: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(line["time"])
