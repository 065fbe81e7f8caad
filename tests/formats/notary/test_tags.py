"""Roles that decide about a tag: those of the policy, or docker's own order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from sealgate.reasons import Reason
from tests.support.environments.notary import ADMIN, PATH, RELEASES, TAG, role
from tests.support.signers.notary import certified, ecdsa_signer, ed25519_signer, rsa_key

if TYPE_CHECKING:
    from tests.support.environments.notary import NotaryEnvironment


def test_tag_signed_in_every_role_by_policy_keys_is_verified(environment: NotaryEnvironment) -> None:
    verified = environment.verify()
    assert verified.fingerprints == (environment.alice.fingerprint, environment.bob.fingerprint)
    assert [seen.reason for seen in verified.signatures] == [Reason.VERIFIED, Reason.VERIFIED]


def test_verification_fetches_each_file_once_and_the_manifest(environment: NotaryEnvironment) -> None:
    environment.verify()
    assert environment.dtr.asked == ["root", "timestamp", "snapshot", "targets", RELEASES, ADMIN]
    assert environment.dtr.paths[-1] == f"/v2/{PATH}/manifests/{environment.digest}"
    assert len(environment.dtr.requests) == 7


def test_one_signer_of_several_roles_counts_as_one_key(environment: NotaryEnvironment) -> None:
    environment.repository.delegate(ADMIN, environment.alice)
    environment.repository.publish()
    verified = environment.verify(roles=[role(RELEASES, environment.alice), role(ADMIN, environment.alice)])
    assert verified.fingerprints == (environment.alice.fingerprint,)


def test_any_one_of_the_keys_of_a_role_will_do(environment: NotaryEnvironment) -> None:
    verified = environment.verify(
        roles=[role(RELEASES, environment.mallory, environment.alice), role(ADMIN, environment.bob)]
    )
    assert environment.alice.fingerprint in verified.fingerprints


def test_a_signer_may_be_named_by_certificate_bare_key_or_id(environment: NotaryEnvironment) -> None:
    for key in (
        {"pem": environment.alice.certificate_pem},
        {"pem": environment.alice.public_pem},
        {"keyId": environment.alice.key_id},
        {"keyId": environment.alice.canonical_id},
    ):
        verified = environment.verify(roles=[{"name": RELEASES, "keys": [key]}])
        assert verified.fingerprints == (environment.alice.fingerprint,)


def test_signers_of_every_kind_are_verified(environment: NotaryEnvironment) -> None:
    signers = [
        ecdsa_signer(),
        ed25519_signer(),
        certified("rsa", rsa_key()),
        certified("rsa", rsa_key()).bare,
        certified("p384", ec.generate_private_key(ec.SECP384R1())),
        ecdsa_signer(ec.SECP521R1()),
    ]
    for signer in signers:
        environment.repository.delegate(RELEASES, signer)
        environment.repository.bump()
        environment.repository.publish()
        assert environment.verify(roles=[role(RELEASES, signer)]).fingerprints == (signer.fingerprint,)


def test_rsa_may_sign_in_the_older_way(environment: NotaryEnvironment) -> None:
    signer = certified("rsa", rsa_key())
    environment.repository.delegate(RELEASES, signer)
    message = environment.repository.publish().message(RELEASES)
    environment.repository.resign(RELEASES, signer.sign(message, "RSAPKCS1v15"))
    assert environment.verify(roles=[role(RELEASES, signer)]).fingerprints == (signer.fingerprint,)


def test_targets_itself_may_be_a_role_of_the_policy(environment: NotaryEnvironment) -> None:
    environment.repository.sign_tag(TAG, environment.manifest, "targets")
    environment.repository.publish()
    (signer,) = environment.repository.signers["targets"]
    assert environment.verify(roles=[role("targets", signer)]).fingerprints == (signer.fingerprint,)


def test_nested_role_is_verified_with_its_parents(environment: NotaryEnvironment) -> None:
    nested = f"{ADMIN}/night-shift"
    environment.repository.delegate(nested, environment.mallory)
    environment.repository.sign_tag(TAG, environment.manifest, nested)
    environment.repository.publish()
    assert environment.verify(roles=[role(nested, environment.mallory)]).fingerprints == (
        environment.mallory.fingerprint,
    )
    assert environment.dtr.asked == ["root", "timestamp", "snapshot", "targets", ADMIN, nested]
    environment.repository.expire(ADMIN)
    environment.repository.publish()
    environment.refuses(Reason.EXPIRED, roles=[role(nested, environment.mallory)])


def test_nested_role_is_limited_to_the_paths_of_its_parent(environment: NotaryEnvironment) -> None:
    nested = f"{ADMIN}/night-shift"
    environment.repository.delegate(ADMIN, environment.bob, paths=["1."])
    environment.repository.delegate(nested, environment.mallory, paths=["", "1.4", "2."])
    environment.repository.sign_tag(TAG, environment.manifest, nested)
    environment.repository.sign_tag("2.0", environment.manifest, nested)
    environment.repository.publish()
    roles = [role(nested, environment.mallory)]
    assert environment.verify(roles=roles).fingerprints == (environment.mallory.fingerprint,)
    environment.refuses(Reason.NO_SIGNATURE, environment.image(":2.0"), roles=roles)


def test_role_without_keys_does_not_affect_other_roles(environment: NotaryEnvironment) -> None:
    """The notary client then writes null for the list of its keys."""
    nobodys = "targets/nobodys"
    environment.repository.delegate(nobodys, environment.mallory)
    environment.repository.sign_tag(TAG, environment.manifest, nobodys)
    environment.repository.delegation(nobodys)["keyids"] = None
    environment.repository.publish()
    environment.verify()
    environment.refuses(Reason.UNKNOWN_KEY, roles=[role(nobodys, environment.mallory)])


def test_targets_count_after_all_roles_are_removed(environment: NotaryEnvironment) -> None:
    """The notary client then writes null for the list of roles."""
    environment.repository.sign_tag(TAG, environment.manifest, "targets")
    environment.repository.signed["targets"]["delegations"] = {"keys": {}, "roles": None}
    environment.repository.publish()
    environment.verify(roles=[])
    environment.refuses(Reason.NO_SIGNATURE)


def test_the_threshold_of_a_role_is_met_by_distinct_keys(environment: NotaryEnvironment) -> None:
    environment.repository.delegate(RELEASES, environment.alice, environment.mallory, threshold=2)
    environment.repository.publish()
    verified = environment.verify(roles=[role(RELEASES, environment.alice)])
    assert verified.fingerprints == (environment.alice.fingerprint,)
    assert [seen.reason for seen in verified.signatures] == [Reason.VERIFIED, Reason.UNKNOWN_KEY]


def test_a_good_signature_beside_bad_ones_counts(environment: NotaryEnvironment) -> None:
    message = environment.repository.message(RELEASES)
    environment.repository.resign(
        RELEASES,
        environment.mallory.sign(message),
        environment.alice.sign(b"something else"),
        environment.alice.sign(message, "unheard-of"),
        environment.alice.sign(message),
    )
    verified = environment.verify(roles=[role(RELEASES, environment.alice)])
    reasons = [seen.reason for seen in verified.signatures]
    assert reasons == [Reason.UNKNOWN_KEY, Reason.INVALID_SIGNATURE, Reason.INVALID_SIGNATURE, Reason.VERIFIED]


def test_without_tag_and_digest_the_tag_is_latest(environment: NotaryEnvironment) -> None:
    environment.refuses(Reason.NO_SIGNATURE, environment.image(""))
    environment.repository.sign_tag("latest", environment.manifest, RELEASES, ADMIN)
    environment.repository.bump()
    environment.repository.publish()
    environment.verify(environment.image(""))


def test_a_tag_beside_a_digest_must_name_that_digest(environment: NotaryEnvironment) -> None:
    environment.verify(environment.image(f":{TAG}@{environment.digest}"))
    environment.refuses(Reason.DIGEST_MISMATCH, environment.image(f":{TAG}@{environment.other}", environment.other))
    environment.refuses(Reason.NO_SIGNATURE, environment.image(f":1.5@{environment.digest}"), allowAnyTag=True)


def test_digest_without_tag_is_refused_without_a_request(environment: NotaryEnvironment) -> None:
    refusal = environment.refuses(Reason.NO_SIGNATURE, environment.image(f"@{environment.digest}"))
    assert "allowAnyTag" in refusal.message
    assert environment.dtr.requests == []


def test_policy_can_accept_any_tag_that_all_roles_name(environment: NotaryEnvironment) -> None:
    image = environment.image(f"@{environment.digest}")
    verified = environment.verify(image, allowAnyTag=True)
    assert verified.fingerprints == (environment.alice.fingerprint, environment.bob.fingerprint)
    environment.refuses(
        Reason.NO_SIGNATURE, environment.image(f"@{environment.other}", environment.other), allowAnyTag=True
    )


def test_roles_with_different_tags_for_a_digest_do_not_agree(environment: NotaryEnvironment) -> None:
    del environment.repository.signed[ADMIN]["targets"][TAG]
    environment.repository.sign_tag("1.4-admin", environment.manifest, ADMIN)
    environment.repository.publish()
    environment.refuses(Reason.NO_SIGNATURE, environment.image(f"@{environment.digest}"), allowAnyTag=True)


def test_any_tag_skips_invalid_entries(environment: NotaryEnvironment) -> None:
    environment.repository.signed[RELEASES]["targets"] |= {"odd": 1, "odder": {"hashes": []}}
    environment.repository.publish()
    environment.verify(environment.image(f"@{environment.digest}"), allowAnyTag=True)


# Without roles: docker's own order -------------------------------------------------------------------------------


def test_without_roles_releases_has_precedence(environment: NotaryEnvironment) -> None:
    environment.repository.sign_tag(TAG, b"another image", "targets")
    environment.repository.publish()
    assert environment.verify(roles=[]).fingerprints == (environment.alice.fingerprint,)
    assert environment.dtr.asked == ["root", "timestamp", "snapshot", "targets", RELEASES]


def test_without_roles_releases_entry_is_final(environment: NotaryEnvironment) -> None:
    environment.repository.sign_tag(TAG, b"another image", RELEASES)
    environment.repository.sign_tag(TAG, environment.manifest, "targets")
    environment.repository.publish()
    environment.refuses(Reason.DIGEST_MISMATCH, roles=[])
    environment.refuses(Reason.NO_SIGNATURE, environment.image(f"@{environment.digest}"), roles=[], allowAnyTag=True)


def test_without_roles_targets_complement_releases(environment: NotaryEnvironment) -> None:
    del environment.repository.signed[RELEASES]["targets"][TAG]
    environment.repository.sign_tag(TAG, environment.manifest, "targets")
    environment.repository.publish()
    (signer,) = environment.repository.signers["targets"]
    assert environment.verify(roles=[]).fingerprints == (signer.fingerprint,)


def test_without_roles_no_other_delegation_counts(environment: NotaryEnvironment) -> None:
    del environment.repository.signed[RELEASES]["targets"][TAG]
    environment.repository.publish()
    environment.refuses(Reason.NO_SIGNATURE, roles=[])


def test_without_roles_expired_releases_are_skipped_like_docker(environment: NotaryEnvironment) -> None:
    environment.repository.expire(RELEASES)
    environment.repository.publish()
    environment.refuses(Reason.NO_SIGNATURE, roles=[])
    environment.repository.sign_tag(TAG, environment.manifest, "targets")
    environment.repository.publish()
    (signer,) = environment.repository.signers["targets"]
    assert environment.verify(roles=[]).fingerprints == (signer.fingerprint,)


def test_without_roles_releases_below_threshold_are_reported(environment: NotaryEnvironment) -> None:
    environment.repository.signers[RELEASES] = [environment.mallory]
    environment.repository.sign_tag(TAG, environment.manifest, "targets")
    environment.repository.publish()
    verified = environment.verify(roles=[])
    assert [seen.reason for seen in verified.signatures] == [Reason.UNKNOWN_KEY, Reason.VERIFIED]


def test_without_roles_tampered_releases_are_not_skipped(environment: NotaryEnvironment) -> None:
    environment.repository.sign_tag(TAG, environment.manifest, "targets")
    environment.repository.publish()
    asked = environment.repository.published_name(RELEASES)
    environment.repository.files[asked] = environment.repository.files[ADMIN].ljust(
        len(environment.repository.files[RELEASES])
    )
    environment.refuses(Reason.MALFORMED_EVIDENCE, roles=[])


def test_without_roles_expired_targets_are_the_end(environment: NotaryEnvironment) -> None:
    environment.repository.expire("targets")
    environment.repository.publish()
    environment.refuses(Reason.EXPIRED, roles=[])


def test_role_may_count_every_key_that_the_owner_permits(environment: NotaryEnvironment) -> None:
    roles = [{"name": RELEASES, "anyPermittedKey": True}, role(ADMIN, environment.bob)]
    verified = environment.verify(roles=roles)
    assert verified.fingerprints == (environment.alice.fingerprint, environment.bob.fingerprint)
    assert environment.check(roles=roles).keys_at(environment.clock.now()) is None
    del environment.repository.signed[RELEASES]["targets"][TAG]
    environment.repository.publish()
    environment.refuses(Reason.NO_SIGNATURE, roles=roles)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"roles": [{"name": RELEASES}]}, "has no keys"),
        ({"roles": [{"name": RELEASES, "keys": []}]}, "at least 1 item"),
        ({"roles": [{"name": RELEASES, "keys": [{"keyId": "4a" * 32}], "anyPermittedKey": True}]}, "write either"),
        ({"roles": [{"name": RELEASES, "anyPermittedKey": True}], "releasesOnly": True}, "beside roles"),
    ],
)
def test_who_signs_is_said_once(environment: NotaryEnvironment, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        environment.spec(**fields)


def test_releases_alone_count_where_there_are_delegations(environment: NotaryEnvironment) -> None:
    alone: dict[str, Any] = {"roles": [], "releasesOnly": True}
    assert environment.verify(**alone).fingerprints == (environment.alice.fingerprint,)
    environment.repository.sign_tag(TAG, environment.manifest, "targets")
    del environment.repository.signed[RELEASES]["targets"][TAG]
    environment.repository.publish()
    environment.verify(roles=[])
    environment.refuses(Reason.NO_SIGNATURE, **alone)


def test_expired_releases_are_not_replaced_by_targets(environment: NotaryEnvironment) -> None:
    environment.repository.sign_tag(TAG, environment.manifest, "targets")
    environment.repository.expire(RELEASES)
    environment.repository.publish()
    environment.verify(roles=[])
    environment.refuses(Reason.EXPIRED, roles=[], releasesOnly=True)


def test_missing_releases_are_not_replaced_by_targets(environment: NotaryEnvironment) -> None:
    environment.repository.sign_tag(TAG, environment.manifest, "targets")
    delegations = environment.repository.signed["targets"]["delegations"]
    delegations["roles"] = [one for one in delegations["roles"] if one["name"] != RELEASES]
    environment.repository.publish()
    environment.verify(roles=[])
    environment.refuses(Reason.NO_SIGNATURE, roles=[], releasesOnly=True)
    delegations["roles"] = []
    environment.repository.publish()
    (signer,) = environment.repository.signers["targets"]
    assert environment.verify(roles=[], releasesOnly=True).fingerprints == (signer.fingerprint,)
