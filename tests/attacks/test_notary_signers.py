"""Counting signers of Notary metadata: who counts, how often, and until when."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from pydantic import ValidationError

from sealgate.reasons import Reason
from tests.support.clocks import FakeClock
from tests.support.environments.notary import ADMIN, RELEASES, NotaryWorld, role
from tests.support.signers.notary import NOW, Signer, certified, key_id, key_usage, rsa_key

# 8: thresholds count distinct keys -------------------------------------------------------------------------------


def with_threshold_of_two(world: NotaryWorld, place: str, *signers: Signer) -> None:
    if "/" in place:
        world.repository.delegate(place, *signers, threshold=2)
    else:
        world.repository.set_keys(place, *signers, threshold=2)
    world.repository.publish()


@pytest.mark.parametrize("place", ["timestamp", "snapshot", "targets", RELEASES])
def test_attack_08_one_key_that_signs_twice_is_one_signer(place: str) -> None:
    with NotaryWorld() as world:
        signer = world.repository.signers[place][0]
        with_threshold_of_two(world, place, signer)
        signature = signer.sign(world.repository.message(place))
        again = signer.sign(world.repository.message(place))
        world.repository.resign(place, signature, again, signature)
        world.refuses(Reason.INVALID_SIGNATURE)


@pytest.mark.parametrize("place", ["targets", RELEASES])
def test_attack_08_one_key_in_two_certificates_and_bare_is_one_signer(place: str) -> None:
    with NotaryWorld() as world:
        first = certified("one")
        disguises = (first, certified("two", first.private), first.bare)
        with_threshold_of_two(world, place, *disguises)
        world.refuses(Reason.INVALID_SIGNATURE, roles=[role(RELEASES, first, world.alice)])


def test_attack_08_one_root_key_in_two_certificates_is_one_signer() -> None:
    with NotaryWorld() as world:
        again = certified(world.repository.gun, world.root.private)
        with_threshold_of_two(world, "root", world.root, again)
        world.refuses(Reason.INVALID_SIGNATURE, root={"pem": world.root.public_pem})


def test_attack_08_a_key_listed_under_two_ids_is_one_signer() -> None:
    """The second entry says nothing new: its id is not the hash of its content, so nobody looks at it."""
    with NotaryWorld() as world:
        with_threshold_of_two(world, RELEASES, world.alice)
        delegations = world.repository.signed["targets"]["delegations"]
        delegations["keys"]["f" * 64] = world.alice.entry
        world.repository.delegation(RELEASES)["keyids"].append("f" * 64)
        world.repository.publish()
        message = world.repository.message(RELEASES)
        world.repository.resign(RELEASES, world.alice.sign(message), world.alice.sign(message) | {"keyid": "f" * 64})
        world.refuses(Reason.UNKNOWN_KEY)


def test_attack_08_two_roles_signed_by_one_key_are_one_key_to_the_policy() -> None:
    """A policy that wants two signers gets them by distinct keys: a finding names each key once."""
    with NotaryWorld() as world:
        world.repository.delegate(ADMIN, world.alice)
        world.repository.publish()
        verified = world.verify(roles=[role(RELEASES, world.alice), role(ADMIN, world.alice)])
        assert verified.fingerprints == (world.alice.fingerprint,)


# 9: nothing is met by nobody -------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0, -1, None, "1", True])
@pytest.mark.parametrize("place", ["root", "timestamp", "snapshot", "targets", RELEASES])
def test_attack_09_a_threshold_below_one_is_met_by_nobody(place: str, threshold: object) -> None:
    with NotaryWorld() as world:
        entry = world.repository.delegation(place) if "/" in place else world.repository.signed["root"]["roles"][place]
        entry["threshold"] = threshold
        world.repository.publish()
        world.refuses(Reason.MALFORMED_EVIDENCE)


def test_attack_09_a_role_without_keys_is_signed_by_nobody() -> None:
    with NotaryWorld() as world:
        world.repository.delegation(RELEASES)["keyids"] = []
        world.repository.publish()
        world.refuses(Reason.UNKNOWN_KEY)
        world.repository.resign(RELEASES)
        world.refuses(Reason.INVALID_SIGNATURE)


def test_attack_09_a_policy_cannot_list_a_role_without_keys() -> None:
    with NotaryWorld() as world, pytest.raises(ValidationError):
        world.spec(roles=[{"name": RELEASES, "keys": []}])


# 10: algorithms belong to keys -----------------------------------------------------------------------------------


def test_attack_10_a_signature_in_the_way_of_another_kind_of_key_is_none() -> None:
    with NotaryWorld() as world:
        signers = [world.alice, certified("rsa", rsa_key()), world.repository.signers["timestamp"][0]]
        for signer in signers:
            world.repository.delegate(RELEASES, signer)
            world.repository.publish()
            good = signer.sign(world.repository.message(RELEASES))
            for method in {"ecdsa", "rsapss", "rsapkcs1v15", "eddsa", "rsapss-pycrypto", "none", ""} - {good["method"]}:
                world.repository.resign(RELEASES, good | {"method": method})
                world.refuses(Reason.INVALID_SIGNATURE, roles=[role(RELEASES, signer)])


@pytest.mark.parametrize("change", ["a zero more before s", "a zero more after s", "a zero more before r"])
def test_attack_10_an_ecdsa_signature_has_exactly_one_length(change: str) -> None:
    with NotaryWorld() as world:
        good = world.alice.sign(world.repository.message(RELEASES))
        raw = base64.b64decode(good["sig"])
        half = len(raw) // 2
        spoilt = {
            "a zero more before s": raw[:half] + b"\0" + raw[half:],
            "a zero more after s": raw + b"\0",
            "a zero more before r": b"\0" + raw,
        }[change]
        world.repository.resign(RELEASES, good | {"sig": base64.b64encode(spoilt).decode()})
        world.refuses(Reason.INVALID_SIGNATURE)


def test_attack_10_a_key_called_another_kind_than_it_is_is_no_key() -> None:
    with NotaryWorld() as world:
        rsa = certified("rsa", rsa_key()).bare
        entry = {**rsa.entry, "keytype": "ecdsa"}
        world.repository.delegate(RELEASES, rsa)
        odd = key_id("ecdsa", rsa.public)
        world.repository.signed["targets"]["delegations"]["keys"][odd] = entry
        world.repository.delegation(RELEASES)["keyids"] = [odd]
        world.repository.publish()
        world.repository.resign(RELEASES, rsa.sign(world.repository.message(RELEASES)) | {"keyid": odd})
        world.refuses(Reason.UNKNOWN_KEY, roles=[{"name": RELEASES, "keys": [{"keyId": odd}]}])


# 14: who may certify a root ------------------------------------------------------------------------------------


def test_attack_14_an_issuer_that_may_not_certify_certifies_no_root() -> None:
    with NotaryWorld() as world:
        authority = certified("authority", authority=True)
        employee = certified("employee", issuer=authority, authority=True, usage=key_usage("digital_signature"))
        world.repository.set_keys("root", certified(world.repository.gun, issuer=employee))
        world.repository.publish()
        world.refuses(Reason.UNKNOWN_KEY, root={"ca": {"pem": authority.certificate_pem}})


# 15: both roles of UCP -------------------------------------------------------------------------------------------


def test_attack_15_releases_alone_are_not_enough_for_a_team() -> None:
    with NotaryWorld() as world:
        del world.repository.signed[ADMIN]["targets"]["1.4"]
        world.repository.publish()
        world.refuses(Reason.NO_SIGNATURE)
        world.verify(roles=[role(RELEASES, world.alice)])


def test_attack_15_a_team_alone_is_not_enough_without_releases() -> None:
    with NotaryWorld() as world:
        del world.repository.signed[RELEASES]["targets"]["1.4"]
        world.repository.publish()
        world.refuses(Reason.NO_SIGNATURE)


def test_attack_15_a_team_that_was_never_delegated_to_has_not_signed() -> None:
    with NotaryWorld() as world:
        world.refuses(Reason.NO_SIGNATURE, roles=[*world.roles(), role("targets/security", world.bob)])


def test_attack_15_the_owner_cannot_put_somebody_into_a_team() -> None:
    """Who signs for a role is the repository owner's choice; who belongs to a team is the policy's."""
    with NotaryWorld() as world:
        world.repository.delegate(ADMIN, world.mallory)
        world.repository.publish()
        refusal = world.refuses(Reason.UNKNOWN_KEY)
        assert world.mallory.canonical_id in refusal.message
        (seen,) = [seen for seen in refusal.signatures if "admin" in seen.source]
        assert (seen.reason, seen.fingerprint) == (Reason.UNKNOWN_KEY, world.mallory.fingerprint)


def test_attack_15_a_member_of_the_team_whom_the_owner_has_not_let_sign_does_not_count() -> None:
    with NotaryWorld() as world:
        message = world.repository.message(ADMIN)
        world.repository.resign(ADMIN, world.mallory.sign(message))
        world.refuses(Reason.UNKNOWN_KEY, roles=[role(RELEASES, world.alice), role(ADMIN, world.mallory)])


def test_attack_15_a_member_of_one_team_does_not_speak_for_another() -> None:
    with NotaryWorld() as world:
        world.repository.delegate(ADMIN, world.alice, world.bob)
        world.repository.signers[ADMIN] = [world.alice]
        world.repository.publish()
        world.refuses(Reason.UNKNOWN_KEY)


def test_attack_15_roles_that_name_two_images_name_none() -> None:
    with NotaryWorld() as world:
        world.repository.sign_tag("1.4", world.dtr.manifest("dev/nginx", world.other)[1], ADMIN)
        world.repository.publish()
        world.refuses(Reason.DIGEST_MISMATCH)
        world.refuses(Reason.DIGEST_MISMATCH, world.image(":1.4", world.other))


# 16: what was good once ------------------------------------------------------------------------------------------


def test_attack_16_a_signature_that_was_taken_back_no_longer_counts() -> None:
    with NotaryWorld() as world:
        world.verify()
        del world.repository.signed[RELEASES]["targets"]["1.4"]
        world.repository.bump()
        world.repository.publish()
        world.refuses(Reason.NO_SIGNATURE)


def test_attack_16_a_signer_who_was_removed_no_longer_counts() -> None:
    with NotaryWorld() as world:
        world.verify()
        signed_by_alice = world.repository.files[RELEASES]
        world.repository.delegate(RELEASES, world.mallory)
        world.repository.bump("targets", "snapshot", "timestamp")
        world.repository.publish()
        world.repository.relink(RELEASES, signed_by_alice)
        world.refuses(Reason.UNKNOWN_KEY)


def test_attack_16_a_rotated_key_no_longer_counts() -> None:
    with NotaryWorld() as world:
        world.verify()
        old = list(world.repository.signers["targets"])
        world.repository.set_keys("targets", world.mallory)
        world.repository.rotate_root(world.root)
        world.verify()
        world.repository.signers["targets"] = old
        world.repository.bump()
        world.repository.publish()
        world.refuses(Reason.UNKNOWN_KEY)


@pytest.mark.parametrize("who", ["metadata", "policy"])
def test_attack_16_a_certificate_that_has_expired_no_longer_counts(who: str) -> None:
    with NotaryWorld() as world:
        clock = FakeClock()
        world.clock = clock
        short = certified("alice", world.alice.private, ends=NOW + timedelta(days=1))
        world.repository.delegate(RELEASES, short if who == "metadata" else short.bare)
        world.repository.publish()
        roles = [role(RELEASES, short.bare if who == "metadata" else short)]
        world.verify(roles=roles)
        clock.advance(timedelta(days=1, seconds=1).total_seconds())
        world.refuses(Reason.EXPIRED, roles=roles)


def test_attack_16_trust_data_that_nobody_renews_no_longer_counts() -> None:
    """The bound: at the latest when the timestamp's two weeks are over, for a server that hides what is new."""
    with NotaryWorld() as world:
        clock = FakeClock()
        world.clock = clock
        world.verify()
        clock.advance(timedelta(days=14, seconds=1).total_seconds())
        world.refuses(Reason.EXPIRED)


def test_attack_16_a_signer_whom_the_policy_drops_is_dropped_at_once() -> None:
    with NotaryWorld() as world:
        assert world.check().content != world.check(roles=[role(RELEASES, world.mallory)]).content
        world.verify()
        world.refuses(Reason.UNKNOWN_KEY, roles=[role(RELEASES, world.mallory)])
