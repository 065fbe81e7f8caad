"""Enforce, Warn and Audit, alone and combined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.kube import apply, kubectl
from tests.e2e.objects import pod, policy, workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team


def test_warn_admits_with_a_warning_in_kubectl(new_team: Callable[[], Team], samples: SampleImages) -> None:
    team = new_team()
    team.require_signature(samples.key.entry, action="Warn", probe=samples.unsigned.tagged)
    done = team.create(pod("app", samples.unsigned.tagged)).checked()
    assert f"Warning: sealgate: {team.name}: NoSignature: spec.containers[0]" in done.err
    done = team.create(workload("Deployment", "app", samples.unsigned.tagged)).checked()
    assert f"Warning: sealgate: {team.name}: NoSignature: spec.template.spec.containers[0]" in done.err
    assert "Warning" not in team.create(pod("good", samples.signed.tagged)).checked().err
    team.wait("condition=Ready", "pod/app")


def test_audit_admits_without_a_warning(new_team: Callable[[], Team], samples: SampleImages) -> None:
    team = new_team()
    team.require_signature(samples.key.entry, action="Audit", probe=samples.unsigned.tagged)
    assert team.create(pod("app", samples.unsigned.tagged)).checked().err == ""


def test_warn_policy_does_not_weaken_enforce_policy(team: Team, samples: SampleImages) -> None:
    name = f"{team.name}-warn"
    apply(policy(name, [team.name], team.name, "Warn")).checked()
    try:
        assert not team.create(pod("app", samples.unsigned.tagged)).ok
    finally:
        kubectl("delete", "vpol", name)
