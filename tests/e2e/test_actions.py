"""What Enforce, Warn and Audit do, and how they go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.kube import apply, kubectl
from tests.e2e.objects import maker, pod, policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Shelf
    from tests.e2e.teams import Team


def test_warn_admits_and_says_so_on_kubectls_screen(new_team: Callable[[], Team], shelf: Shelf) -> None:
    team = new_team()
    team.trust(shelf.key.entry, action="Warn", probe=shelf.unsigned.tagged)
    done = team.create(pod("app", shelf.unsigned.tagged)).checked()
    assert "Warning: sealgate: spec.containers[0]" in done.err
    done = team.create(maker("Deployment", "app", shelf.unsigned.tagged)).checked()
    assert "Warning: sealgate: spec.template.spec.containers[0]" in done.err
    assert "Warning" not in team.create(pod("good", shelf.signed.tagged)).checked().err
    team.wait("condition=Ready", "pod/app")


def test_audit_admits_in_silence(new_team: Callable[[], Team], shelf: Shelf) -> None:
    team = new_team()
    team.trust(shelf.key.entry, action="Audit", probe=shelf.unsigned.tagged)
    assert team.create(pod("app", shelf.unsigned.tagged)).checked().err == ""


def test_a_policy_that_warns_never_weakens_one_that_enforces(team: Team, shelf: Shelf) -> None:
    name = f"{team.name}-warn"
    apply(policy(name, [team.name], team.name, "Warn")).checked()
    try:
        assert not team.create(pod("app", shelf.unsigned.tagged)).ok
    finally:
        kubectl("delete", "vpol", name)
