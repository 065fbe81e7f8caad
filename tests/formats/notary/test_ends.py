"""Until when a signed tag counts: the first end of the metadata, and of the certificates of those who signed it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sealgate.trusted_state.stores import MemoryTrustedState
from tests.support.environments.notary import ADMIN, RELEASES, NotaryEnvironment, role
from tests.support.signers.notary import NOW, certified, key_usage

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("expiring", ["root", "timestamp", "snapshot", "targets", RELEASES, ADMIN])
def test_every_file_is_an_end(environment: NotaryEnvironment, expiring: str) -> None:
    environment.repository.expire(expiring, NOW + HOUR)
    environment.repository.publish()
    assert environment.verify().valid_until == NOW + HOUR


def test_file_that_is_not_read_is_no_end(environment: NotaryEnvironment) -> None:
    environment.repository.expire(ADMIN, NOW + HOUR)
    environment.repository.publish()
    assert environment.verify(roles=[role(RELEASES, environment.alice)]).valid_until != NOW + HOUR


def test_certificate_of_a_signer_is_an_end(environment: NotaryEnvironment) -> None:
    private, releases = environment.bob.private, role(RELEASES, environment.alice)
    environment.repository.delegate(ADMIN, certified("bob", private, ends=NOW + HOUR))
    environment.repository.publish()
    # In the metadata, and in the policy.
    for ends, first in ((NOW + 2 * HOUR, NOW + HOUR), (NOW + HOUR / 2, NOW + HOUR / 2)):
        accepted = role(ADMIN, certified("bob", private, ends=ends))
        assert environment.verify(roles=[releases, accepted]).valid_until == first


def test_certificate_of_the_root_key_is_an_end() -> None:
    with NotaryEnvironment() as environment:
        gun = environment.repository.gun
        authority = certified("CA", authority=True, ends=NOW + 2 * HOUR, usage=key_usage("key_cert_sign"))
        for ends, first in ((NOW + HOUR, NOW + HOUR), (NOW + 3 * HOUR, NOW + 2 * HOUR)):
            environment.repository.set_keys("root", certified(gun, issuer=authority, ends=ends))
            environment.state = MemoryTrustedState()
            environment.repository.publish()
            assert environment.verify(root={"ca": {"pem": authority.certificate_pem}}).valid_until == first
