"""Which roles decide about a tag: the policy's, or docker's own order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from sealgate.reasons import Reason
from tests.support.environments.notary import ADMIN, PATH, RELEASES, TAG, role
from tests.support.signers.notary import certified, ecdsa_signer, ed25519_signer, rsa_key

if TYPE_CHECKING:
    from tests.support.environments.notary import NotaryWorld


def test_a_tag_signed_in_every_role_by_a_key_of_the_policy_is_verified(world: NotaryWorld) -> None:
    verified = world.verify()
    assert verified.fingerprints == (world.alice.fingerprint, world.bob.fingerprint)
    assert [seen.reason for seen in verified.signatures] == [Reason.VERIFIED, Reason.VERIFIED]


def test_a_verification_asks_for_each_file_once_and_for_the_manifest(world: NotaryWorld) -> None:
    world.verify()
    assert world.dtr.asked == ["root", "timestamp", "snapshot", "targets", RELEASES, ADMIN]
    assert world.dtr.paths[-1] == f"/v2/{PATH}/manifests/{world.digest}"
    assert len(world.dtr.requests) == 7


def test_one_signer_may_serve_several_roles_and_is_one_key(world: NotaryWorld) -> None:
    world.repository.delegate(ADMIN, world.alice)
    world.repository.publish()
    verified = world.verify(roles=[role(RELEASES, world.alice), role(ADMIN, world.alice)])
    assert verified.fingerprints == (world.alice.fingerprint,)


def test_any_one_of_the_keys_of_a_role_will_do(world: NotaryWorld) -> None:
    verified = world.verify(roles=[role(RELEASES, world.mallory, world.alice), role(ADMIN, world.bob)])
    assert world.alice.fingerprint in verified.fingerprints


def test_a_signer_may_be_named_by_certificate_bare_key_or_id(world: NotaryWorld) -> None:
    for key in (
        {"pem": world.alice.certificate_pem},
        {"pem": world.alice.public_pem},
        {"keyId": world.alice.key_id},
        {"keyId": world.alice.canonical_id},
    ):
        verified = world.verify(roles=[{"name": RELEASES, "keys": [key]}])
        assert verified.fingerprints == (world.alice.fingerprint,)


def test_signers_of_every_kind_are_verified(world: NotaryWorld) -> None:
    signers = [
        ecdsa_signer(),
        ed25519_signer(),
        certified("rsa", rsa_key()),
        certified("rsa", rsa_key()).bare,
        certified("p384", ec.generate_private_key(ec.SECP384R1())),
        ecdsa_signer(ec.SECP521R1()),
    ]
    for signer in signers:
        world.repository.delegate(RELEASES, signer)
        world.repository.bump()
        world.repository.publish()
        assert world.verify(roles=[role(RELEASES, signer)]).fingerprints == (signer.fingerprint,)


def test_rsa_may_sign_in_the_older_way(world: NotaryWorld) -> None:
    signer = certified("rsa", rsa_key())
    world.repository.delegate(RELEASES, signer)
    message = world.repository.publish().message(RELEASES)
    world.repository.resign(RELEASES, signer.sign(message, "RSAPKCS1v15"))
    assert world.verify(roles=[role(RELEASES, signer)]).fingerprints == (signer.fingerprint,)


def test_targets_itself_may_be_a_role_of_the_policy(world: NotaryWorld) -> None:
    world.repository.sign_tag(TAG, world.manifest, "targets")
    world.repository.publish()
    (signer,) = world.repository.signers["targets"]
    assert world.verify(roles=[role("targets", signer)]).fingerprints == (signer.fingerprint,)


def test_a_role_below_a_role_is_verified_with_those_above_it(world: NotaryWorld) -> None:
    nested = f"{ADMIN}/night-shift"
    world.repository.delegate(nested, world.mallory)
    world.repository.sign_tag(TAG, world.manifest, nested)
    world.repository.publish()
    assert world.verify(roles=[role(nested, world.mallory)]).fingerprints == (world.mallory.fingerprint,)
    assert world.dtr.asked == ["root", "timestamp", "snapshot", "targets", ADMIN, nested]
    world.repository.expire(ADMIN)
    world.repository.publish()
    world.refuses(Reason.EXPIRED, roles=[role(nested, world.mallory)])


def test_a_role_below_a_role_may_name_no_more_than_the_one_above(world: NotaryWorld) -> None:
    nested = f"{ADMIN}/night-shift"
    world.repository.delegate(ADMIN, world.bob, paths=["1."])
    world.repository.delegate(nested, world.mallory, paths=["", "1.4", "2."])
    world.repository.sign_tag(TAG, world.manifest, nested)
    world.repository.sign_tag("2.0", world.manifest, nested)
    world.repository.publish()
    roles = [role(nested, world.mallory)]
    assert world.verify(roles=roles).fingerprints == (world.mallory.fingerprint,)
    world.refuses(Reason.NO_SIGNATURE, world.image(":2.0"), roles=roles)


def test_a_role_whose_last_key_was_taken_away_spoils_no_other(world: NotaryWorld) -> None:
    """The notary client then writes null for the list of its keys."""
    nobodys = "targets/nobodys"
    world.repository.delegate(nobodys, world.mallory)
    world.repository.sign_tag(TAG, world.manifest, nobodys)
    world.repository.delegation(nobodys)["keyids"] = None
    world.repository.publish()
    world.verify()
    world.refuses(Reason.UNKNOWN_KEY, roles=[role(nobodys, world.mallory)])


def test_when_all_roles_were_taken_away_targets_still_count(world: NotaryWorld) -> None:
    """The notary client then writes null for the list of roles."""
    world.repository.sign_tag(TAG, world.manifest, "targets")
    world.repository.signed["targets"]["delegations"] = {"keys": {}, "roles": None}
    world.repository.publish()
    world.verify(roles=[])
    world.refuses(Reason.NO_SIGNATURE)


def test_the_threshold_of_a_role_is_met_by_distinct_keys(world: NotaryWorld) -> None:
    world.repository.delegate(RELEASES, world.alice, world.mallory, threshold=2)
    world.repository.publish()
    verified = world.verify(roles=[role(RELEASES, world.alice)])
    assert verified.fingerprints == (world.alice.fingerprint,)
    assert [seen.reason for seen in verified.signatures] == [Reason.VERIFIED, Reason.UNKNOWN_KEY]


def test_a_good_signature_beside_bad_ones_counts(world: NotaryWorld) -> None:
    message = world.repository.message(RELEASES)
    world.repository.resign(
        RELEASES,
        world.mallory.sign(message),
        world.alice.sign(b"something else"),
        world.alice.sign(message, "unheard-of"),
        world.alice.sign(message),
    )
    verified = world.verify(roles=[role(RELEASES, world.alice)])
    reasons = [seen.reason for seen in verified.signatures]
    assert reasons == [Reason.UNKNOWN_KEY, Reason.INVALID_SIGNATURE, Reason.INVALID_SIGNATURE, Reason.VERIFIED]


def test_without_tag_and_digest_the_tag_is_latest(world: NotaryWorld) -> None:
    world.refuses(Reason.NO_SIGNATURE, world.image(""))
    world.repository.sign_tag("latest", world.manifest, RELEASES, ADMIN)
    world.repository.bump()
    world.repository.publish()
    world.verify(world.image(""))


def test_a_tag_beside_a_digest_must_name_that_digest(world: NotaryWorld) -> None:
    world.verify(world.image(f":{TAG}@{world.digest}"))
    world.refuses(Reason.DIGEST_MISMATCH, world.image(f":{TAG}@{world.other}", world.other))
    world.refuses(Reason.NO_SIGNATURE, world.image(f":1.5@{world.digest}"), allowAnyTag=True)


def test_a_digest_without_tag_is_refused_before_anything_is_asked(world: NotaryWorld) -> None:
    refusal = world.refuses(Reason.NO_SIGNATURE, world.image(f"@{world.digest}"))
    assert "allowAnyTag" in refusal.message
    assert world.dtr.requests == []


def test_any_tag_that_all_roles_name_will_do_if_the_policy_says_so(world: NotaryWorld) -> None:
    image = world.image(f"@{world.digest}")
    verified = world.verify(image, allowAnyTag=True)
    assert verified.fingerprints == (world.alice.fingerprint, world.bob.fingerprint)
    world.refuses(Reason.NO_SIGNATURE, world.image(f"@{world.other}", world.other), allowAnyTag=True)


def test_two_roles_that_name_the_digest_by_two_tags_do_not_agree(world: NotaryWorld) -> None:
    del world.repository.signed[ADMIN]["targets"][TAG]
    world.repository.sign_tag("1.4-admin", world.manifest, ADMIN)
    world.repository.publish()
    world.refuses(Reason.NO_SIGNATURE, world.image(f"@{world.digest}"), allowAnyTag=True)


def test_any_tag_passes_over_entries_that_are_none(world: NotaryWorld) -> None:
    world.repository.signed[RELEASES]["targets"] |= {"odd": 1, "odder": {"hashes": []}}
    world.repository.publish()
    world.verify(world.image(f"@{world.digest}"), allowAnyTag=True)


# Without roles: docker's own order -------------------------------------------------------------------------------


def test_without_roles_releases_come_first(world: NotaryWorld) -> None:
    world.repository.sign_tag(TAG, b"another image", "targets")
    world.repository.publish()
    assert world.verify(roles=[]).fingerprints == (world.alice.fingerprint,)
    assert world.dtr.asked == ["root", "timestamp", "snapshot", "targets", RELEASES]


def test_without_roles_what_releases_say_is_final(world: NotaryWorld) -> None:
    world.repository.sign_tag(TAG, b"another image", RELEASES)
    world.repository.sign_tag(TAG, world.manifest, "targets")
    world.repository.publish()
    world.refuses(Reason.DIGEST_MISMATCH, roles=[])
    world.refuses(Reason.NO_SIGNATURE, world.image(f"@{world.digest}"), roles=[], allowAnyTag=True)


def test_without_roles_targets_name_what_releases_do_not(world: NotaryWorld) -> None:
    del world.repository.signed[RELEASES]["targets"][TAG]
    world.repository.sign_tag(TAG, world.manifest, "targets")
    world.repository.publish()
    (signer,) = world.repository.signers["targets"]
    assert world.verify(roles=[]).fingerprints == (signer.fingerprint,)


def test_without_roles_no_other_delegation_counts(world: NotaryWorld) -> None:
    del world.repository.signed[RELEASES]["targets"][TAG]
    world.repository.publish()
    world.refuses(Reason.NO_SIGNATURE, roles=[])


def test_without_roles_expired_releases_are_passed_over_as_docker_does(world: NotaryWorld) -> None:
    world.repository.expire(RELEASES)
    world.repository.publish()
    world.refuses(Reason.NO_SIGNATURE, roles=[])
    world.repository.sign_tag(TAG, world.manifest, "targets")
    world.repository.publish()
    (signer,) = world.repository.signers["targets"]
    assert world.verify(roles=[]).fingerprints == (signer.fingerprint,)


def test_without_roles_releases_signed_by_too_few_are_passed_over_and_reported(world: NotaryWorld) -> None:
    world.repository.signers[RELEASES] = [world.mallory]
    world.repository.sign_tag(TAG, world.manifest, "targets")
    world.repository.publish()
    verified = world.verify(roles=[])
    assert [seen.reason for seen in verified.signatures] == [Reason.UNKNOWN_KEY, Reason.VERIFIED]


def test_without_roles_releases_that_were_tampered_with_are_not_passed_over(world: NotaryWorld) -> None:
    world.repository.sign_tag(TAG, world.manifest, "targets")
    world.repository.publish()
    asked = world.repository.published_name(RELEASES)
    world.repository.files[asked] = world.repository.files[ADMIN].ljust(len(world.repository.files[RELEASES]))
    world.refuses(Reason.MALFORMED_EVIDENCE, roles=[])


def test_without_roles_expired_targets_are_the_end(world: NotaryWorld) -> None:
    world.repository.expire("targets")
    world.repository.publish()
    world.refuses(Reason.EXPIRED, roles=[])
