"""Thousands of policies: they are read in seconds, and admission does not notice them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.kube import Api, eventually, kubectl
from tests.e2e.objects import policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Shelf
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

MANY = 5000
#: Seconds within which a replica that starts must have read them all.
SECONDS = 15.0
LABEL = "e2e=many"
POLICIES = "/apis/sealgate.dev/v1alpha1/verificationpolicies"


@pytest.fixture
def _many() -> Iterator[None]:
    api = Api()
    try:
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda number: api.ask("POST", POLICIES, _policy(number)), range(MANY)))
        assert {status for status, _ in answers} == {201}
        yield
    finally:
        api.ask("DELETE", f"{POLICIES}?labelSelector={LABEL}")


def _policy(number: int) -> Object:
    obj = policy(
        f"e2e-{number:04}", ["e2e-nobody"], f"nowhere-{number}", repository=f"registry.example.org/{number}/**"
    )
    obj["metadata"]["labels"] = {"e2e": "many"}
    return obj


@pytest.mark.usefixtures("_many")
@pytest.mark.timeout(400)
def test_five_thousand_policies_are_loaded_in_seconds(team: Team, shelf: Shelf) -> None:
    old = {pod["metadata"]["name"] for pod in release.pods("webhook")}
    release.restart("webhook")
    release.settled()
    for pod in release.pods("webhook"):
        name = pod["metadata"]["name"]
        assert name not in old
        lines = _log(name)
        loaded = next(line for line in lines if line.get("policies", 0) >= MANY)
        took = (_time(loaded) - _time(lines[0])).total_seconds()
        print(f"\n{name}: {loaded['policies']} policies loaded {took:.2f} s after its first line")  # noqa: T201 - a figure for the log
        assert took < SECONDS
    team.settle(shelf.signed.tagged, admitted=True)
    team.settle(shelf.unsigned.tagged, admitted=False)


def _log(pod: str) -> list[dict[str, Any]]:
    def read() -> list[dict[str, Any]]:
        lines = kubectl("-n", NAMESPACE, "logs", pod).out.splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return found if any(line.get("policies", 0) >= MANY for line in found) else []

    return eventually(read, "the policies are loaded")


def _time(line: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(line["time"])
