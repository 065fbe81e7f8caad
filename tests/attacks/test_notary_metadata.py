"""Notary metadata from a server or connection under attack: old, mixed, damaged, or of another repository."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import VerificationError
from sealgate.reasons import Reason
from sealgate.trusted_state.directory import DirectoryTrustedState
from tests.support.clocks import FakeClock
from tests.support.environments.notary import ADMIN, PATH, RELEASES, TAG, NotaryEnvironment, role
from tests.support.signers.notary import certified, wire
from tests.support.simulators.notary import NotaryRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE_ROLES = ["root", "timestamp", "snapshot", "targets"]


@pytest.fixture
def environment() -> Iterator[NotaryEnvironment]:
    with NotaryEnvironment() as environment:
        yield environment


def publish_next(environment: NotaryEnvironment) -> None:
    environment.repository.bump()
    environment.repository.publish()


# 3 and 4: signed, but not this -----------------------------------------------------------------------------------


def test_attack_03_trust_data_of_another_repository_is_refused(environment: NotaryEnvironment) -> None:
    """Both repositories have their roots from one key, which is what the policy pins."""
    other = NotaryRepository(
        f"{environment.dtr.host}/dev/other",
        root=certified(f"{environment.dtr.host}/dev/other", environment.root.private),
    )
    other.delegate(RELEASES, environment.alice)
    other.delegate(ADMIN, environment.bob)
    other.sign_tag(TAG, environment.manifest, RELEASES, ADMIN)
    other.publish()
    environment.dtr.trust.repositories[environment.repository.gun] = other
    environment.refuses(Reason.REPOSITORY_MISMATCH, root={"pem": environment.root.public_pem})


def test_attack_03_repository_with_the_same_prefix_is_another(environment: NotaryEnvironment) -> None:
    for name in (
        environment.repository.gun + "-evil",
        environment.repository.gun[:-1],
        environment.repository.gun + "*evil",
    ):
        environment.repository.set_keys("root", certified(name, environment.root.private))
        environment.repository.publish()
        environment.refuses(Reason.REPOSITORY_MISMATCH, root={"pem": environment.root.public_pem})


def test_attack_04_tag_moved_to_an_unsigned_image_is_refused(environment: NotaryEnvironment) -> None:
    environment.verify()
    environment.refuses(Reason.DIGEST_MISMATCH, environment.image(f":{TAG}", environment.other))


def test_attack_04_an_old_signed_image_under_a_new_tag_is_refused(environment: NotaryEnvironment) -> None:
    newer = environment.dtr.manifest(PATH, environment.other)[1]
    environment.repository.sign_tag("1.5", newer, RELEASES, ADMIN)
    publish_next(environment)
    environment.verify(environment.image(":1.5", environment.other))
    environment.refuses(Reason.DIGEST_MISMATCH, environment.image(":1.5", environment.digest))


# 14: the root ----------------------------------------------------------------------------------------------------


def test_attack_14_first_root_seen_is_not_trusted_for_that(environment: NotaryEnvironment) -> None:
    impostor = NotaryRepository(environment.repository.gun)
    impostor.delegate(RELEASES, environment.alice)
    impostor.delegate(ADMIN, environment.bob)
    impostor.sign_tag(TAG, environment.manifest, RELEASES, ADMIN)
    environment.dtr.host_repository(impostor.publish())
    environment.refuses(Reason.UNKNOWN_KEY)


def test_attack_14_root_without_the_pinned_signature_is_refused(
    environment: NotaryEnvironment,
) -> None:
    impostor = certified(environment.repository.gun)
    environment.repository.set_keys("root", environment.root, impostor)
    environment.repository.signers["root"] = [impostor]
    environment.repository.publish()
    environment.refuses(Reason.UNKNOWN_KEY)
    environment.repository.resign(
        "root", impostor.sign(environment.repository.message("root")) | {"keyid": environment.root.key_id}
    )
    environment.refuses(Reason.INVALID_SIGNATURE)


def test_attack_14_a_key_under_the_id_of_another_is_nobody_s_key(environment: NotaryEnvironment) -> None:
    root = environment.repository.signed["root"]
    for role_name in ("timestamp", "snapshot", "targets"):
        (good,) = root["roles"][role_name]["keyids"]
        kept, root["keys"][good] = root["keys"][good], environment.mallory.entry
        environment.repository.publish()
        environment.repository.resign(
            role_name, environment.mallory.sign(environment.repository.message(role_name)) | {"keyid": good}
        )
        environment.refuses(Reason.UNKNOWN_KEY)
        root["keys"][good] = kept


# 14: rollback ----------------------------------------------------------------------------------------------------


def test_attack_14_replayed_repository_is_refused_after_restart(environment: NotaryEnvironment, tmp_path: Path) -> None:
    environment.state = DirectoryTrustedState(tmp_path)
    yesterday = environment.repository.copy()
    del environment.repository.signed[RELEASES]["targets"][TAG]
    environment.repository.sign_tag("1.5", environment.dtr.manifest(PATH, environment.other)[1], RELEASES, ADMIN)
    publish_next(environment)
    environment.verify(environment.image(":1.5", environment.other))
    environment.dtr.host_repository(yesterday)
    environment.state = DirectoryTrustedState(tmp_path)
    environment.refuses(Reason.ROLLBACK)


def test_attack_14_what_one_replica_has_seen_the_others_know(environment: NotaryEnvironment, tmp_path: Path) -> None:
    yesterday = environment.repository.copy()
    publish_next(environment)
    environment.state = DirectoryTrustedState(tmp_path)
    environment.verify()
    environment.dtr.host_repository(yesterday)
    for _ in range(3):
        environment.state = DirectoryTrustedState(tmp_path)
        environment.refuses(Reason.ROLLBACK)


@pytest.mark.parametrize("role_name", ["timestamp", "snapshot", "targets", RELEASES, ADMIN])
def test_attack_14_one_old_file_among_new_ones_is_refused(environment: NotaryEnvironment, role_name: str) -> None:
    publish_next(environment)
    environment.verify()
    environment.repository.bump()
    environment.repository.signed[role_name]["version"] -= 2
    environment.repository.publish()
    environment.refuses(Reason.ROLLBACK)


def test_attack_14_old_root_with_a_replaced_key_is_refused(environment: NotaryEnvironment) -> None:
    """The old key was stolen, which is why it was replaced; the policy still pins both."""
    stolen = environment.repository.copy()
    following = certified(environment.repository.gun)
    both = {"pem": environment.root.certificate_pem + following.certificate_pem}
    environment.verify(root=both)
    environment.repository.rotate_root(following)
    environment.verify(root=both)
    stolen.bump(*stolen.signed)
    stolen.bump()
    environment.dtr.host_repository(stolen.publish())
    environment.refuses(Reason.ROLLBACK, root=both)
    stolen.bump("root")
    stolen.publish()
    environment.refuses(Reason.UNKNOWN_KEY, root=both)


def test_attack_14_older_root_above_new_files_is_refused(environment: NotaryEnvironment) -> None:
    """An older root brings back the keys that it lists; a thief of those keys can sign the rest again."""
    stolen = environment.repository.copy()
    environment.verify()
    environment.repository.rotate_root(environment.root)
    environment.verify()
    for _ in range(3):
        stolen.bump()
    environment.dtr.host_repository(stolen.publish())
    assert "the root file" in environment.refuses(Reason.ROLLBACK).message


def test_attack_14_stolen_timestamp_key_rolls_nothing_else_back(environment: NotaryEnvironment) -> None:
    old = environment.repository.copy()
    publish_next(environment)
    environment.verify()
    old.signed["timestamp"]["version"] = 50
    old.write("timestamp")
    environment.dtr.host_repository(old)
    environment.refuses(Reason.ROLLBACK)


# 14: freeze and expiry -------------------------------------------------------------------------------------------


def test_attack_14_withheld_updates_end_with_the_timestamp(
    environment: NotaryEnvironment,
) -> None:
    clock = FakeClock()
    environment.clock = clock
    environment.verify()
    clock.advance(timedelta(days=14).total_seconds() - 1)
    environment.verify()
    clock.advance(2)
    environment.refuses(Reason.EXPIRED)


@pytest.mark.parametrize("role_name", [*BASE_ROLES, RELEASES, ADMIN])
def test_attack_14_no_file_counts_beyond_its_time(environment: NotaryEnvironment, role_name: str) -> None:
    environment.repository.expire(role_name)
    environment.repository.publish()
    refusal = environment.refuses(Reason.EXPIRED)
    assert f"the {role_name} file" in refusal.message


def test_attack_14_expired_file_is_refused_after_earlier_success(environment: NotaryEnvironment) -> None:
    environment.verify()
    environment.repository.expire("timestamp")
    publish_next(environment)
    environment.refuses(Reason.EXPIRED)
    environment.refuses(Reason.EXPIRED)


# 14: mix and match -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role_name", ["snapshot", "targets", RELEASES, ADMIN])
@pytest.mark.parametrize("direction", ["old among new", "new among old"])
def test_attack_14_files_of_two_publications_do_not_mix(
    environment: NotaryEnvironment, role_name: str, direction: str
) -> None:
    old = environment.repository.copy()
    publish_next(environment)
    served, other = (environment.repository, old) if direction == "old among new" else (old, environment.repository)
    environment.dtr.host_repository(served)
    served.files[served.published_name(role_name)] = other.files[role_name]
    environment.refuses(Reason.MALFORMED_EVIDENCE)


def test_attack_14_file_by_the_snapshot_key_alone_is_refused(environment: NotaryEnvironment) -> None:
    """An attacker who controls the server has the timestamp and snapshot keys, and no others."""
    for role_name in ("targets", RELEASES, ADMIN):
        kept = environment.repository.files[role_name]
        forged = json.loads(kept)
        forged["signed"]["version"] = 9
        environment.repository.relink(role_name, wire(forged))
        environment.refuses(Reason.INVALID_SIGNATURE)
        environment.repository.relink(role_name, kept)
    environment.verify()


def test_attack_14_role_dropped_from_the_snapshot_has_not_signed(environment: NotaryEnvironment) -> None:
    environment.verify()
    del environment.repository.signed["snapshot"]["meta"][ADMIN]
    environment.repository.bump("snapshot", "timestamp")
    environment.repository.link()
    environment.refuses(Reason.NO_SIGNATURE)


# 14: delegations -------------------------------------------------------------------------------------------------


def test_attack_14_role_is_looked_up_only_where_it_is_delegated(environment: NotaryEnvironment) -> None:
    """One role delegates to what would be another's child, or to the name of a role that exists."""
    for name in (ADMIN, f"{ADMIN}/night-shift", "targets", "root"):
        repository = environment.repository.copy()
        delegations = repository.signed[RELEASES]["delegations"]
        delegations["keys"][environment.mallory.key_id] = environment.mallory.entry
        delegations["roles"] = [{"name": name, "keyids": [environment.mallory.key_id], "threshold": 1, "paths": [""]}]
        repository.publish()
        environment.dtr.host_repository(repository)
        environment.refuses(
            Reason.MALFORMED_EVIDENCE, roles=[role(RELEASES, environment.alice), role(ADMIN, environment.mallory)]
        )


def test_attack_14_keys_of_one_level_do_not_sign_on_another(environment: NotaryEnvironment) -> None:
    nested = f"{RELEASES}/nightly"
    environment.repository.delegate(nested, environment.mallory)
    environment.repository.sign_tag(TAG, environment.manifest, nested)
    environment.repository.publish()
    environment.verify(roles=[role(nested, environment.mallory)])
    for signer in (environment.alice, environment.bob, environment.repository.signers["targets"][0]):
        environment.repository.resign(nested, signer.sign(environment.repository.message(nested)))
        environment.refuses(Reason.UNKNOWN_KEY, roles=[role(nested, environment.mallory)])


def test_attack_14_a_role_that_is_named_twice_is_ambiguous(environment: NotaryEnvironment) -> None:
    second = {**environment.repository.delegation(ADMIN), "keyids": [environment.mallory.key_id]}
    delegations = environment.repository.signed["targets"]["delegations"]
    delegations["keys"][environment.mallory.key_id] = environment.mallory.entry
    for roles in ([second, *delegations["roles"]], [*delegations["roles"], second]):
        delegations["roles"], kept = roles, delegations["roles"]
        environment.repository.publish()
        environment.refuses(Reason.MALFORMED_EVIDENCE)
        delegations["roles"] = kept


@pytest.mark.parametrize("paths", [[], None, ["release-"], ["1.40"], ["/1.4"], [" "]])
def test_attack_14_role_cannot_name_tags_outside_its_paths(environment: NotaryEnvironment, paths: Any) -> None:
    environment.repository.delegation(ADMIN)["paths"] = paths
    environment.repository.publish()
    environment.refuses(Reason.NO_SIGNATURE)


def test_attack_14_unsupported_hashed_paths_name_nothing(environment: NotaryEnvironment) -> None:
    del environment.repository.delegation(ADMIN)["paths"]
    environment.repository.delegation(ADMIN)["path_hash_prefixes"] = [""]
    environment.repository.publish()
    environment.refuses(Reason.NO_SIGNATURE)


def test_attack_14_a_tag_is_a_name_and_not_a_beginning(environment: NotaryEnvironment) -> None:
    environment.dtr.tag(PATH, "1", environment.digest)
    for reference in (":1", ":1.", ":1.40"):
        environment.refuses(Reason.NO_SIGNATURE, environment.image(reference))


# 14: any content of a file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, [], "", 0, {"": None}, [None]])
@pytest.mark.parametrize(
    ("role_name", "member"),
    [
        ("root", "roles"),
        ("root", "keys"),
        ("timestamp", "meta"),
        ("snapshot", "meta"),
        ("targets", "delegations"),
        (RELEASES, "targets"),
        (RELEASES, "delegations"),
    ],
)
def test_attack_14_member_of_a_wrong_type_is_not_a_crash(
    environment: NotaryEnvironment, role_name: str, member: str, value: Any
) -> None:
    environment.repository.signed[role_name][member] = value
    if member == "meta":
        environment.repository.write(role_name)
        if role_name == "snapshot":
            environment.repository.relink("snapshot", environment.repository.files["snapshot"])
    else:
        environment.repository.resign(
            role_name, environment.repository.signers[role_name][0].sign(environment.repository.message(role_name))
        )
    with pytest.raises(VerificationError) as caught:
        environment.verify()
    assert caught.value.reason in (Reason.MALFORMED_EVIDENCE, Reason.NO_SIGNATURE)


@pytest.mark.parametrize("length", [0, -1, 2**40, 1.5, "8", None, True])
def test_attack_14_a_length_that_is_not_the_manifest_s_is_refused(environment: NotaryEnvironment, length: Any) -> None:
    environment.repository.signed[ADMIN]["targets"][TAG]["length"] = length
    environment.repository.publish()
    environment.refuses(Reason.MALFORMED_EVIDENCE)


def test_attack_14_a_hash_is_compared_in_full(environment: NotaryEnvironment) -> None:
    hashes = environment.repository.signed[ADMIN]["targets"][TAG]["hashes"]
    for sha256 in (
        "",
        "AA==",
        hashes["sha256"] + hashes["sha256"],
        hashes["sha256"].rstrip("="),
        hashes["sha256"] + " ",
    ):
        environment.repository.signed[ADMIN]["targets"][TAG]["hashes"] = {**hashes, "sha256": sha256}
        environment.repository.publish()
        environment.refuses(Reason.MALFORMED_EVIDENCE)
    environment.repository.signed[ADMIN]["targets"][TAG]["hashes"] = {
        "md5": hashes["sha256"],
        "sha512": hashes["sha512"],
    }
    environment.repository.publish()
    environment.refuses(Reason.MALFORMED_EVIDENCE)


def test_attack_14_file_of_the_right_length_is_compared_by_hash(environment: NotaryEnvironment) -> None:
    """Older servers list no sha512 beside the sha256."""
    del environment.repository.signed["snapshot"]["meta"]["targets"]["hashes"]["sha512"]
    environment.repository.link()
    del environment.repository.signed["timestamp"]["meta"]["snapshot"]["hashes"]["sha512"]
    environment.repository.write("timestamp")
    environment.verify()
    good = environment.repository.files["targets"]
    environment.repository.files[environment.repository.published_name("targets")] = good.replace(
        b'"version":1', b'"version":2'
    )
    refusal = environment.refuses(Reason.MALFORMED_EVIDENCE)
    assert "hash" in refusal.message
