"""Delegations whose key is held are signed anew before they end."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.support.clocks import FakeClock
from tests.support.environments.notary_signing import ADMIN, RELEASES, NotarySigning, only
from tests.support.signers.notary import NOW

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.formats.signing import RenewingSigner

#: What the lifetime of a delegation leaves, in days.
LIFETIME = timedelta(days=1095)


def at(signing: NotarySigning, time: datetime) -> None:
    signing.clock = FakeClock(time)


def with_releases(signing: NotarySigning) -> NotarySigning:
    """Delegate releases to alice, and sign a tag."""
    signing.delegated(RELEASES)
    signing.sign(keys=only(signing.alice))
    return signing


def renew(signing: NotarySigning, signer: RenewingSigner) -> tuple[str, ...]:
    return signer.renew(signing.repository, signing.context)


def test_delegation_is_renewed_in_its_last_month(signing: NotarySigning) -> None:
    with_releases(signing)
    signer, before = signing.signer(only(signing.alice)), signing.tags(RELEASES)
    assert renew(signing, signer) == ()
    at(signing, NOW + LIFETIME - timedelta(days=31))
    assert renew(signing, signer) == ()
    at(signing, NOW + LIFETIME - timedelta(days=29))
    assert renew(signing, signer) == (RELEASES,)
    assert renew(signing, signer) == ()
    assert signing.tags(RELEASES) == before
    assert signing.trust.signed[RELEASES]["expires"] == "2032-10-21T12:00:00Z"
    assert signing.sign(keys=only(signing.alice)).outcome == "already signed"


def test_only_chosen_roles_are_renewed(signing: NotarySigning) -> None:
    with_releases(signing)
    signing.owner.delegate([ADMIN], signing.alice.certificates)
    signing.sign(keys=only(signing.alice), roles=(ADMIN,))
    at(signing, NOW + LIFETIME - timedelta(days=29))
    assert renew(signing, signing.signer(only(signing.alice), roles=(ADMIN,))) == (ADMIN,)
    assert renew(signing, signing.signer(only(signing.alice))) == (RELEASES,)


def test_delegation_of_another_signer_is_left_alone(signing: NotarySigning) -> None:
    with_releases(signing)
    at(signing, NOW + LIFETIME - timedelta(days=29))
    assert renew(signing, signing.signer(only(signing.bob))) == ()


def test_delegation_that_has_ended_is_not_brought_back(signing: NotarySigning) -> None:
    with_releases(signing)
    at(signing, NOW + LIFETIME + timedelta(days=1))
    assert renew(signing, signing.signer(only(signing.alice))) == ()


def test_delegation_that_was_never_signed_is_left_alone(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    assert renew(signing, signing.signer(only(signing.alice))) == ()
