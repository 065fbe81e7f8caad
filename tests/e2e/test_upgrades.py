"""Upgrades and rollbacks under load, and a value that changes the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e import release
from tests.e2e.admission_load import AdmissionLoad
from tests.e2e.objects import pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team


def test_no_call_fails_during_an_upgrade(team: Team, samples: SampleImages) -> None:
    with AdmissionLoad(team.name, samples.signed.tagged) as load:
        release.upgrade({"logLevel": "debug"})
        release.rollback()
    assert load.calls > 0
    assert load.failures == []


def test_unmatched_images_are_denied_if_configured(new_team: Callable[[], Team], samples: SampleImages) -> None:
    team = new_team()
    team.wait_for_decision(samples.unsigned.tagged, admitted=True)
    release.upgrade({"unmatchedImages": "Deny"})
    try:
        release.wait_for_old_replicas()
        team.wait_for_decision(samples.signed.tagged, admitted=False)
        done = team.create(pod("app", samples.signed.tagged))
        assert not done.ok
        assert "no verification policy covers it" in done.err
        team.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
        team.create(pod("app", samples.signed.tagged)).checked()
    finally:
        release.rollback()
