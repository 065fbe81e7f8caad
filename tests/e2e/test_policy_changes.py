"""A change of a policy, of a key or of a namespace's labels is in force at once, in every replica."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from tests.chart.rendering import NAMESPACE
from tests.e2e.kube import apply, eventually, get, kubectl
from tests.e2e.objects import authenticator, policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Key, Shelf
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

#: Seconds after which a change must be in force.
IN_FORCE = 2.0


def test_a_policy_is_in_force_within_two_seconds_and_out_of_it(team: Team, shelf: Shelf) -> None:
    took = []
    for _ in range(3):
        apply(policy(team.name, [team.name], team.name, "Audit")).checked()
        took.append(team.settle(shelf.unsigned.tagged, admitted=True))
        apply(policy(team.name, [team.name], team.name, "Enforce")).checked()
        took.append(team.settle(shelf.unsigned.tagged, admitted=False))
    print("\nin force after", ", ".join(f"{seconds:.2f} s" for seconds in took))  # noqa: T201 - a figure for the log
    assert max(took) < IN_FORCE


def test_another_key_counts_within_two_seconds(team: Team, shelf: Shelf) -> None:
    team.settle(shelf.signed.tagged, admitted=True)
    apply(authenticator(team.name, shelf.stranger.entry)).checked()
    assert team.settle(shelf.signed.tagged, admitted=False) < IN_FORCE
    team.settle(shelf.strange.tagged, admitted=True)


def test_a_label_brings_a_namespace_under_a_policy(new_team: Callable[[], Team], shelf: Shelf) -> None:
    team = new_team()
    chosen = policy(team.name, [team.name], None)
    chosen["spec"]["namespaceSelector"] = {"matchLabels": {"tier": team.name}}
    apply(authenticator(team.name, shelf.key.entry), chosen).checked()
    team.settle(shelf.unsigned.tagged, admitted=True)
    kubectl("label", "namespace", team.name, f"tier={team.name}").checked()
    assert team.settle(shelf.unsigned.tagged, admitted=False) < IN_FORCE


def test_a_key_is_rotated_through_its_secret(new_team: Callable[[], Team], shelf: Shelf) -> None:
    team = new_team()
    entry = {"secretRef": {"name": team.name, "key": "cosign.pub"}}
    try:
        apply(_secret(team.name, shelf.key)).checked()
        team.trust(entry, probe=shelf.unsigned.tagged)
        team.settle(shelf.signed.tagged, admitted=True)
        team.settle(shelf.strange.tagged, admitted=False)
        before = _fingerprints(team)
        apply(_secret(team.name, shelf.stranger)).checked()
        took = team.settle(shelf.signed.tagged, admitted=False)
        team.settle(shelf.strange.tagged, admitted=True)
        print(f"\na key in a Secret was out of force after {took:.2f} s")  # noqa: T201 - a figure for the log
        assert _fingerprints(team) != before
        kubectl("-n", NAMESPACE, "delete", "secret", team.name).checked()
        eventually(lambda: not _fingerprints(team), "a key whose Secret is gone is gone")
        team.settle(shelf.strange.tagged, admitted=False)
    finally:
        kubectl("-n", NAMESPACE, "delete", "secret", team.name, "--ignore-not-found")


def _secret(name: str, key: Key) -> Object:
    data = {"cosign.pub": base64.b64encode(key.pem.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}


def _fingerprints(team: Team) -> set[str]:
    keys = get("authenticator", team.name)["status"].get("keys", [])
    return {key["fingerprint"] for key in keys if key.get("pem")}
