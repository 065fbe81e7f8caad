"""Counting signers of Notary metadata: who counts, how often, and until when."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from pydantic import ValidationError

from sealgate.reasons import Reason
from tests.support.clocks import FakeClock
from tests.support.environments.notary import ADMIN, RELEASES, NotaryEnvironment, role
from tests.support.signers.notary import NOW, Signer, certified, key_id, key_usage, rsa_key

# 8: thresholds count distinct keys -------------------------------------------------------------------------------


def with_threshold_of_two(environment: NotaryEnvironment, role_name: str, *signers: Signer) -> None:
    if "/" in role_name:
        environment.repository.delegate(role_name, *signers, threshold=2)
    else:
        environment.repository.set_keys(role_name, *signers, threshold=2)
    environment.repository.publish()


@pytest.mark.parametrize("role_name", ["timestamp", "snapshot", "targets", RELEASES])
def test_attack_08_one_key_that_signs_twice_is_one_signer(role_name: str) -> None:
    with NotaryEnvironment() as environment:
        signer = environment.repository.signers[role_name][0]
        with_threshold_of_two(environment, role_name, signer)
        signature = signer.sign(environment.repository.message(role_name))
        again = signer.sign(environment.repository.message(role_name))
        environment.repository.resign(role_name, signature, again, signature)
        environment.refuses(Reason.INVALID_SIGNATURE)


@pytest.mark.parametrize("role_name", ["targets", RELEASES])
def test_attack_08_one_key_bare_and_certified_is_one_signer(role_name: str) -> None:
    with NotaryEnvironment() as environment:
        first = certified("one")
        disguises = (first, certified("two", first.private), first.bare)
        with_threshold_of_two(environment, role_name, *disguises)
        environment.refuses(Reason.INVALID_SIGNATURE, roles=[role(RELEASES, first, environment.alice)])


def test_attack_08_one_root_key_in_two_certificates_is_one_signer() -> None:
    with NotaryEnvironment() as environment:
        again = certified(environment.repository.gun, environment.root.private)
        with_threshold_of_two(environment, "root", environment.root, again)
        environment.refuses(Reason.INVALID_SIGNATURE, root={"pem": environment.root.public_pem})


def test_attack_08_a_key_listed_under_two_ids_is_one_signer() -> None:
    """The second entry is ignored, because its id is not the hash of its content."""
    with NotaryEnvironment() as environment:
        with_threshold_of_two(environment, RELEASES, environment.alice)
        delegations = environment.repository.signed["targets"]["delegations"]
        delegations["keys"]["f" * 64] = environment.alice.entry
        environment.repository.delegation(RELEASES)["keyids"].append("f" * 64)
        environment.repository.publish()
        message = environment.repository.message(RELEASES)
        environment.repository.resign(
            RELEASES, environment.alice.sign(message), environment.alice.sign(message) | {"keyid": "f" * 64}
        )
        environment.refuses(Reason.UNKNOWN_KEY)


def test_attack_08_two_roles_signed_by_one_key_count_as_one_key() -> None:
    """A policy that wants two signers gets them by distinct keys: a finding names each key once."""
    with NotaryEnvironment() as environment:
        environment.repository.delegate(ADMIN, environment.alice)
        environment.repository.publish()
        verified = environment.verify(roles=[role(RELEASES, environment.alice), role(ADMIN, environment.alice)])
        assert verified.fingerprints == (environment.alice.fingerprint,)


# 9: a threshold needs a signer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0, -1, None, "1", True])
@pytest.mark.parametrize("role_name", ["root", "timestamp", "snapshot", "targets", RELEASES])
def test_attack_09_a_threshold_below_one_is_never_met(role_name: str, threshold: object) -> None:
    with NotaryEnvironment() as environment:
        entry = (
            environment.repository.delegation(role_name)
            if "/" in role_name
            else environment.repository.signed["root"]["roles"][role_name]
        )
        entry["threshold"] = threshold
        environment.repository.publish()
        environment.refuses(Reason.MALFORMED_EVIDENCE)


def test_attack_09_a_role_without_keys_is_signed_by_nobody() -> None:
    with NotaryEnvironment() as environment:
        environment.repository.delegation(RELEASES)["keyids"] = []
        environment.repository.publish()
        environment.refuses(Reason.UNKNOWN_KEY)
        environment.repository.resign(RELEASES)
        environment.refuses(Reason.INVALID_SIGNATURE)


def test_attack_09_a_policy_cannot_list_a_role_without_keys() -> None:
    with NotaryEnvironment() as environment, pytest.raises(ValidationError):
        environment.spec(roles=[{"name": RELEASES, "keys": []}])


# 10: algorithms belong to keys -----------------------------------------------------------------------------------


def test_attack_10_signature_method_of_another_key_is_refused() -> None:
    with NotaryEnvironment() as environment:
        signers = [environment.alice, certified("rsa", rsa_key()), environment.repository.signers["timestamp"][0]]
        for signer in signers:
            environment.repository.delegate(RELEASES, signer)
            environment.repository.publish()
            good = signer.sign(environment.repository.message(RELEASES))
            for method in {"ecdsa", "rsapss", "rsapkcs1v15", "eddsa", "rsapss-pycrypto", "none", ""} - {good["method"]}:
                environment.repository.resign(RELEASES, good | {"method": method})
                environment.refuses(Reason.INVALID_SIGNATURE, roles=[role(RELEASES, signer)])


@pytest.mark.parametrize("change", ["a zero more before s", "a zero more after s", "a zero more before r"])
def test_attack_10_an_ecdsa_signature_has_exactly_one_length(change: str) -> None:
    with NotaryEnvironment() as environment:
        good = environment.alice.sign(environment.repository.message(RELEASES))
        raw = base64.b64decode(good["sig"])
        half = len(raw) // 2
        spoilt = {
            "a zero more before s": raw[:half] + b"\0" + raw[half:],
            "a zero more after s": raw + b"\0",
            "a zero more before r": b"\0" + raw,
        }[change]
        environment.repository.resign(RELEASES, good | {"sig": base64.b64encode(spoilt).decode()})
        environment.refuses(Reason.INVALID_SIGNATURE)


def test_attack_10_a_key_called_another_kind_than_it_is_is_no_key() -> None:
    with NotaryEnvironment() as environment:
        rsa = certified("rsa", rsa_key()).bare
        entry = {**rsa.entry, "keytype": "ecdsa"}
        environment.repository.delegate(RELEASES, rsa)
        odd = key_id("ecdsa", rsa.public)
        environment.repository.signed["targets"]["delegations"]["keys"][odd] = entry
        environment.repository.delegation(RELEASES)["keyids"] = [odd]
        environment.repository.publish()
        environment.repository.resign(RELEASES, rsa.sign(environment.repository.message(RELEASES)) | {"keyid": odd})
        environment.refuses(Reason.UNKNOWN_KEY, roles=[{"name": RELEASES, "keys": [{"keyId": odd}]}])


# 14: who may certify a root ------------------------------------------------------------------------------------


def test_attack_14_issuer_that_may_not_certify_certifies_no_root() -> None:
    with NotaryEnvironment() as environment:
        authority = certified("authority", authority=True)
        employee = certified("employee", issuer=authority, authority=True, usage=key_usage("digital_signature"))
        environment.repository.set_keys("root", certified(environment.repository.gun, issuer=employee))
        environment.repository.publish()
        environment.refuses(Reason.UNKNOWN_KEY, root={"ca": {"pem": authority.certificate_pem}})


# 15: both roles of UCP -------------------------------------------------------------------------------------------


def test_attack_15_releases_alone_are_not_enough_for_a_team() -> None:
    with NotaryEnvironment() as environment:
        del environment.repository.signed[ADMIN]["targets"]["1.4"]
        environment.repository.publish()
        environment.refuses(Reason.NO_SIGNATURE)
        environment.verify(roles=[role(RELEASES, environment.alice)])


def test_attack_15_a_team_alone_is_not_enough_without_releases() -> None:
    with NotaryEnvironment() as environment:
        del environment.repository.signed[RELEASES]["targets"]["1.4"]
        environment.repository.publish()
        environment.refuses(Reason.NO_SIGNATURE)


def test_attack_15_team_without_a_delegation_has_not_signed() -> None:
    with NotaryEnvironment() as environment:
        environment.refuses(
            Reason.NO_SIGNATURE, roles=[*environment.roles(), role("targets/security", environment.bob)]
        )


def test_attack_15_the_owner_cannot_put_somebody_into_a_team() -> None:
    """Who signs for a role is the repository owner's choice; who belongs to a team is the policy's."""
    with NotaryEnvironment() as environment:
        environment.repository.delegate(ADMIN, environment.mallory)
        environment.repository.publish()
        refusal = environment.refuses(Reason.UNKNOWN_KEY)
        assert environment.mallory.canonical_id in refusal.message
        (seen,) = [seen for seen in refusal.signatures if "admin" in seen.source]
        assert (seen.reason, seen.fingerprint) == (Reason.UNKNOWN_KEY, environment.mallory.fingerprint)


def test_attack_15_team_member_without_a_delegation_is_refused() -> None:
    with NotaryEnvironment() as environment:
        message = environment.repository.message(ADMIN)
        environment.repository.resign(ADMIN, environment.mallory.sign(message))
        environment.refuses(
            Reason.UNKNOWN_KEY, roles=[role(RELEASES, environment.alice), role(ADMIN, environment.mallory)]
        )


def test_attack_15_member_of_one_team_does_not_sign_for_another() -> None:
    with NotaryEnvironment() as environment:
        environment.repository.delegate(ADMIN, environment.alice, environment.bob)
        environment.repository.signers[ADMIN] = [environment.alice]
        environment.repository.publish()
        environment.refuses(Reason.UNKNOWN_KEY)


def test_attack_15_roles_that_name_two_images_name_none() -> None:
    with NotaryEnvironment() as environment:
        environment.repository.sign_tag("1.4", environment.dtr.manifest("dev/nginx", environment.other)[1], ADMIN)
        environment.repository.publish()
        environment.refuses(Reason.DIGEST_MISMATCH)
        environment.refuses(Reason.DIGEST_MISMATCH, environment.image(":1.4", environment.other))


# 16: what was good once ------------------------------------------------------------------------------------------


def test_attack_16_withdrawn_signature_no_longer_counts() -> None:
    with NotaryEnvironment() as environment:
        environment.verify()
        del environment.repository.signed[RELEASES]["targets"]["1.4"]
        environment.repository.bump()
        environment.repository.publish()
        environment.refuses(Reason.NO_SIGNATURE)


def test_attack_16_a_signer_who_was_removed_no_longer_counts() -> None:
    with NotaryEnvironment() as environment:
        environment.verify()
        signed_by_alice = environment.repository.files[RELEASES]
        environment.repository.delegate(RELEASES, environment.mallory)
        environment.repository.bump("targets", "snapshot", "timestamp")
        environment.repository.publish()
        environment.repository.relink(RELEASES, signed_by_alice)
        environment.refuses(Reason.UNKNOWN_KEY)


def test_attack_16_a_rotated_key_no_longer_counts() -> None:
    with NotaryEnvironment() as environment:
        environment.verify()
        old = list(environment.repository.signers["targets"])
        environment.repository.set_keys("targets", environment.mallory)
        environment.repository.rotate_root(environment.root)
        environment.verify()
        environment.repository.signers["targets"] = old
        environment.repository.bump()
        environment.repository.publish()
        environment.refuses(Reason.UNKNOWN_KEY)


@pytest.mark.parametrize("who", ["metadata", "policy"])
def test_attack_16_expired_certificate_no_longer_counts(who: str) -> None:
    with NotaryEnvironment() as environment:
        clock = FakeClock()
        environment.clock = clock
        short = certified("alice", environment.alice.private, ends=NOW + timedelta(days=1))
        environment.repository.delegate(RELEASES, short if who == "metadata" else short.bare)
        environment.repository.publish()
        roles = [role(RELEASES, short.bare if who == "metadata" else short)]
        environment.verify(roles=roles)
        clock.advance(timedelta(days=1, seconds=1).total_seconds())
        environment.refuses(Reason.EXPIRED, roles=roles)


def test_attack_16_trust_data_that_nobody_renews_no_longer_counts() -> None:
    """The bound: at the latest when the timestamp's two weeks are over, for a server that hides what is new."""
    with NotaryEnvironment() as environment:
        clock = FakeClock()
        environment.clock = clock
        environment.verify()
        clock.advance(timedelta(days=14, seconds=1).total_seconds())
        environment.refuses(Reason.EXPIRED)


def test_attack_16_signer_removed_from_the_policy_stops_at_once() -> None:
    with NotaryEnvironment() as environment:
        assert environment.check().content != environment.check(roles=[role(RELEASES, environment.mallory)]).content
        environment.verify()
        environment.refuses(Reason.UNKNOWN_KEY, roles=[role(RELEASES, environment.mallory)])
