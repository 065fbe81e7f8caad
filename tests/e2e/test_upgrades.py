"""Upgrades and rollbacks under load, and a value that changes the decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e import release
from tests.e2e.admission_load import AdmissionLoad
from tests.e2e.objects import pod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team


@dataclass(slots=True)
class Upgrade:
    """An upgrade of both components, with two changed values.

    Attributes:
        load: the admission requests during the upgrade.
        covered: a namespace with a policy.
        uncovered: a namespace without a policy.
        rolled_back: whether the upgrade has been undone.
    """

    load: AdmissionLoad
    covered: Team
    uncovered: Team
    rolled_back: bool = False


@pytest.fixture(scope="module")
def upgrade(new_module_team: Callable[[], Team], samples: SampleImages) -> Iterator[Upgrade]:
    """Upgrade the release under load: another log level, and unmatched images are denied."""
    covered, uncovered = new_module_team(), new_module_team()
    covered.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
    uncovered.wait_for_decision(samples.unsigned.tagged, admitted=True)
    with AdmissionLoad(covered.name, samples.signed.tagged) as load:
        release.upgrade({"logLevel": "debug", "unmatchedImages": "Deny"})
    done = Upgrade(load, covered, uncovered)
    yield done
    if not done.rolled_back:
        release.rollback()


def test_no_call_fails_during_an_upgrade(upgrade: Upgrade) -> None:
    assert upgrade.load.calls > 0
    assert upgrade.load.failures == []


def test_unmatched_images_are_denied_if_configured(upgrade: Upgrade, samples: SampleImages) -> None:
    team = upgrade.uncovered
    release.wait_for_old_replicas()
    team.wait_for_decision(samples.signed.tagged, admitted=False)
    done = team.create(pod("app", samples.signed.tagged))
    assert not done.ok
    assert "no verification policy covers it" in done.err
    team.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
    team.create(pod("app", samples.signed.tagged)).checked()


def test_no_call_fails_during_a_rollback(upgrade: Upgrade, samples: SampleImages) -> None:
    with AdmissionLoad(upgrade.covered.name, samples.signed.tagged) as load:
        release.rollback()
        upgrade.rolled_back = True
    assert load.calls > 0
    assert load.failures == []
