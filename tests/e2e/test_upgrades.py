"""An upgrade that nobody notices, values that change what is answered, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e import release
from tests.e2e.admission_load import Witness
from tests.e2e.objects import pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Shelf
    from tests.e2e.teams import Team


def test_no_call_fails_while_everything_is_replaced(team: Team, shelf: Shelf) -> None:
    with Witness(team.name, shelf.signed.tagged) as witness:
        release.upgrade({"logLevel": "debug"})
        release.rollback()
    assert witness.calls > 0
    assert witness.failures == []


def test_unmatched_images_are_refused_when_the_value_says_so(new_team: Callable[[], Team], shelf: Shelf) -> None:
    team = new_team()
    team.settle(shelf.unsigned.tagged, admitted=True)
    release.upgrade({"unmatchedImages": "Deny"})
    try:
        release.replaced()
        team.settle(shelf.signed.tagged, admitted=False)
        done = team.create(pod("app", shelf.signed.tagged))
        assert not done.ok
        assert "no verification policy covers it" in done.err
        team.trust(shelf.key.entry, probe=shelf.unsigned.tagged)
        team.create(pod("app", shelf.signed.tagged)).checked()
    finally:
        release.rollback()
