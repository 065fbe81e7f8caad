"""Notary metadata served by somebody who holds the server, or stands between: old, mixed, spoilt or of another."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import VerificationError
from sealgate.reasons import Reason
from sealgate.trusted_state.directory import FolderTrustedState
from tests.support.clocks import FakeClock
from tests.support.environments.notary import ADMIN, PATH, RELEASES, TAG, NotaryWorld, role
from tests.support.signers.notary import certified, wire
from tests.support.simulators.notary import NotaryRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE_ROLES = ["root", "timestamp", "snapshot", "targets"]


@pytest.fixture
def world() -> Iterator[NotaryWorld]:
    with NotaryWorld() as world:
        yield world


def publish_next(world: NotaryWorld) -> None:
    world.repository.bump()
    world.repository.publish()


# 3 and 4: signed, but not this -----------------------------------------------------------------------------------


def test_attack_03_trust_data_of_another_repository_is_not_that_of_this_one(world: NotaryWorld) -> None:
    """Both repositories have their roots from one key, which is what the policy pins."""
    other = NotaryRepository(
        f"{world.dtr.host}/dev/other", root=certified(f"{world.dtr.host}/dev/other", world.root.private)
    )
    other.delegate(RELEASES, world.alice)
    other.delegate(ADMIN, world.bob)
    other.sign_tag(TAG, world.manifest, RELEASES, ADMIN)
    other.publish()
    world.dtr.trust.repositories[world.repository.gun] = other
    world.refuses(Reason.REPOSITORY_MISMATCH, root={"pem": world.root.public_pem})


def test_attack_03_a_name_that_only_begins_alike_is_another_repository(world: NotaryWorld) -> None:
    for name in (world.repository.gun + "-evil", world.repository.gun[:-1], world.repository.gun + "*evil"):
        world.repository.set_keys("root", certified(name, world.root.private))
        world.repository.publish()
        world.refuses(Reason.REPOSITORY_MISMATCH, root={"pem": world.root.public_pem})


def test_attack_04_a_tag_that_was_moved_to_an_unsigned_image_is_refused(world: NotaryWorld) -> None:
    world.verify()
    world.refuses(Reason.DIGEST_MISMATCH, world.image(f":{TAG}", world.other))


def test_attack_04_an_old_signed_image_under_a_new_tag_is_refused(world: NotaryWorld) -> None:
    newer = world.dtr.manifest(PATH, world.other)[1]
    world.repository.sign_tag("1.5", newer, RELEASES, ADMIN)
    publish_next(world)
    world.verify(world.image(":1.5", world.other))
    world.refuses(Reason.DIGEST_MISMATCH, world.image(":1.5", world.digest))


# 14: the root ----------------------------------------------------------------------------------------------------


def test_attack_14_a_root_is_not_trusted_because_it_was_seen_first(world: NotaryWorld) -> None:
    impostor = NotaryRepository(world.repository.gun)
    impostor.delegate(RELEASES, world.alice)
    impostor.delegate(ADMIN, world.bob)
    impostor.sign_tag(TAG, world.manifest, RELEASES, ADMIN)
    world.dtr.host_repository(impostor.publish())
    world.refuses(Reason.UNKNOWN_KEY)


def test_attack_14_a_root_that_claims_the_pinned_key_without_its_signature_is_refused(world: NotaryWorld) -> None:
    impostor = certified(world.repository.gun)
    world.repository.set_keys("root", world.root, impostor)
    world.repository.signers["root"] = [impostor]
    world.repository.publish()
    world.refuses(Reason.UNKNOWN_KEY)
    world.repository.resign("root", impostor.sign(world.repository.message("root")) | {"keyid": world.root.key_id})
    world.refuses(Reason.INVALID_SIGNATURE)


def test_attack_14_a_key_under_the_id_of_another_is_nobody_s_key(world: NotaryWorld) -> None:
    root = world.repository.signed["root"]
    for place in ("timestamp", "snapshot", "targets"):
        (good,) = root["roles"][place]["keyids"]
        kept, root["keys"][good] = root["keys"][good], world.mallory.entry
        world.repository.publish()
        world.repository.resign(place, world.mallory.sign(world.repository.message(place)) | {"keyid": good})
        world.refuses(Reason.UNKNOWN_KEY)
        root["keys"][good] = kept


# 14: rollback ----------------------------------------------------------------------------------------------------


def test_attack_14_yesterday_s_repository_is_refused_after_a_restart(world: NotaryWorld, tmp_path: Path) -> None:
    world.state = FolderTrustedState(tmp_path)
    yesterday = world.repository.copy()
    del world.repository.signed[RELEASES]["targets"][TAG]
    world.repository.sign_tag("1.5", world.dtr.manifest(PATH, world.other)[1], RELEASES, ADMIN)
    publish_next(world)
    world.verify(world.image(":1.5", world.other))
    world.dtr.host_repository(yesterday)
    world.state = FolderTrustedState(tmp_path)
    world.refuses(Reason.ROLLBACK)


def test_attack_14_what_one_replica_has_seen_the_others_know(world: NotaryWorld, tmp_path: Path) -> None:
    yesterday = world.repository.copy()
    publish_next(world)
    world.state = FolderTrustedState(tmp_path)
    world.verify()
    world.dtr.host_repository(yesterday)
    for _ in range(3):
        world.state = FolderTrustedState(tmp_path)
        world.refuses(Reason.ROLLBACK)


@pytest.mark.parametrize("place", ["timestamp", "snapshot", "targets", RELEASES, ADMIN])
def test_attack_14_one_old_file_among_new_ones_is_refused(world: NotaryWorld, place: str) -> None:
    publish_next(world)
    world.verify()
    world.repository.bump()
    world.repository.signed[place]["version"] -= 2
    world.repository.publish()
    world.refuses(Reason.ROLLBACK)


def test_attack_14_an_old_root_with_a_key_that_was_replaced_is_refused(world: NotaryWorld) -> None:
    """The old key was stolen, which is why it was replaced; the policy still pins both."""
    stolen = world.repository.copy()
    following = certified(world.repository.gun)
    both = {"pem": world.root.certificate_pem + following.certificate_pem}
    world.verify(root=both)
    world.repository.rotate_root(following)
    world.verify(root=both)
    stolen.bump(*stolen.signed)
    stolen.bump()
    world.dtr.host_repository(stolen.publish())
    world.refuses(Reason.ROLLBACK, root=both)
    stolen.bump("root")
    stolen.publish()
    world.refuses(Reason.UNKNOWN_KEY, root=both)


def test_attack_14_an_older_root_is_refused_though_all_below_it_is_new(world: NotaryWorld) -> None:
    """With the root go back the keys that it lists; whoever has stolen those can sign the rest anew."""
    stolen = world.repository.copy()
    world.verify()
    world.repository.rotate_root(world.root)
    world.verify()
    for _ in range(3):
        stolen.bump()
    world.dtr.host_repository(stolen.publish())
    assert "the root file" in world.refuses(Reason.ROLLBACK).message


def test_attack_14_a_stolen_timestamp_key_does_not_roll_anything_else_back(world: NotaryWorld) -> None:
    old = world.repository.copy()
    publish_next(world)
    world.verify()
    old.signed["timestamp"]["version"] = 50
    old.write("timestamp")
    world.dtr.host_repository(old)
    world.refuses(Reason.ROLLBACK)


# 14: freeze and expiry -------------------------------------------------------------------------------------------


def test_attack_14_a_server_that_hides_what_is_new_is_found_out_when_the_timestamp_expires(world: NotaryWorld) -> None:
    clock = FakeClock()
    world.clock = clock
    world.verify()
    clock.advance(timedelta(days=14).total_seconds() - 1)
    world.verify()
    clock.advance(2)
    world.refuses(Reason.EXPIRED)


@pytest.mark.parametrize("place", [*BASE_ROLES, RELEASES, ADMIN])
def test_attack_14_no_file_counts_beyond_its_time(world: NotaryWorld, place: str) -> None:
    world.repository.expire(place)
    world.repository.publish()
    refusal = world.refuses(Reason.EXPIRED)
    assert f"the {place} file" in refusal.message


def test_attack_14_an_expired_file_stays_expired_for_whoever_verified_before(world: NotaryWorld) -> None:
    world.verify()
    world.repository.expire("timestamp")
    publish_next(world)
    world.refuses(Reason.EXPIRED)
    world.refuses(Reason.EXPIRED)


# 14: mix and match -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["snapshot", "targets", RELEASES, ADMIN])
@pytest.mark.parametrize("direction", ["old among new", "new among old"])
def test_attack_14_files_of_two_publications_do_not_mix(world: NotaryWorld, place: str, direction: str) -> None:
    old = world.repository.copy()
    publish_next(world)
    served, other = (world.repository, old) if direction == "old among new" else (old, world.repository)
    world.dtr.host_repository(served)
    served.files[served.published_name(place)] = other.files[place]
    world.refuses(Reason.MALFORMED_EVIDENCE)


def test_attack_14_a_file_that_only_the_snapshot_key_vouches_for_is_refused(world: NotaryWorld) -> None:
    """Whoever holds the server has timestamp and snapshot keys, and no others."""
    for place in ("targets", RELEASES, ADMIN):
        kept = world.repository.files[place]
        forged = json.loads(kept)
        forged["signed"]["version"] = 9
        world.repository.relink(place, wire(forged))
        world.refuses(Reason.INVALID_SIGNATURE)
        world.repository.relink(place, kept)
    world.verify()


def test_attack_14_a_role_that_was_dropped_from_the_snapshot_has_not_signed(world: NotaryWorld) -> None:
    world.verify()
    del world.repository.signed["snapshot"]["meta"][ADMIN]
    world.repository.bump("snapshot", "timestamp")
    world.repository.link()
    world.refuses(Reason.NO_SIGNATURE)


# 14: delegations -------------------------------------------------------------------------------------------------


def test_attack_14_a_role_is_looked_up_where_it_was_delegated_and_nowhere_else(world: NotaryWorld) -> None:
    """One role delegates to what would be another's child, or to the name of a role that exists."""
    for name in (ADMIN, f"{ADMIN}/night-shift", "targets", "root"):
        repository = world.repository.copy()
        delegations = repository.signed[RELEASES]["delegations"]
        delegations["keys"][world.mallory.key_id] = world.mallory.entry
        delegations["roles"] = [{"name": name, "keyids": [world.mallory.key_id], "threshold": 1, "paths": [""]}]
        repository.publish()
        world.dtr.host_repository(repository)
        world.refuses(Reason.MALFORMED_EVIDENCE, roles=[role(RELEASES, world.alice), role(ADMIN, world.mallory)])


def test_attack_14_keys_of_one_level_do_not_sign_on_another(world: NotaryWorld) -> None:
    nested = f"{RELEASES}/nightly"
    world.repository.delegate(nested, world.mallory)
    world.repository.sign_tag(TAG, world.manifest, nested)
    world.repository.publish()
    world.verify(roles=[role(nested, world.mallory)])
    for signer in (world.alice, world.bob, world.repository.signers["targets"][0]):
        world.repository.resign(nested, signer.sign(world.repository.message(nested)))
        world.refuses(Reason.UNKNOWN_KEY, roles=[role(nested, world.mallory)])


def test_attack_14_a_role_that_is_named_twice_is_ambiguous(world: NotaryWorld) -> None:
    second = {**world.repository.delegation(ADMIN), "keyids": [world.mallory.key_id]}
    delegations = world.repository.signed["targets"]["delegations"]
    delegations["keys"][world.mallory.key_id] = world.mallory.entry
    for roles in ([second, *delegations["roles"]], [*delegations["roles"], second]):
        delegations["roles"], kept = roles, delegations["roles"]
        world.repository.publish()
        world.refuses(Reason.MALFORMED_EVIDENCE)
        delegations["roles"] = kept


@pytest.mark.parametrize("paths", [[], None, ["release-"], ["1.40"], ["/1.4"], [" "]])
def test_attack_14_a_role_says_nothing_about_tags_outside_its_paths(world: NotaryWorld, paths: Any) -> None:
    world.repository.delegation(ADMIN)["paths"] = paths
    world.repository.publish()
    world.refuses(Reason.NO_SIGNATURE)


def test_attack_14_hashed_paths_which_nobody_here_knows_name_nothing(world: NotaryWorld) -> None:
    del world.repository.delegation(ADMIN)["paths"]
    world.repository.delegation(ADMIN)["path_hash_prefixes"] = [""]
    world.repository.publish()
    world.refuses(Reason.NO_SIGNATURE)


def test_attack_14_a_tag_is_a_name_and_not_a_beginning(world: NotaryWorld) -> None:
    world.dtr.tag(PATH, "1", world.digest)
    for reference in (":1", ":1.", ":1.40"):
        world.refuses(Reason.NO_SIGNATURE, world.image(reference))


# 14: whatever a file may hold ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, [], "", 0, {"": None}, [None]])
@pytest.mark.parametrize(
    ("place", "member"),
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
def test_attack_14_a_member_that_is_not_what_it_should_be_is_no_crash(
    world: NotaryWorld, place: str, member: str, value: Any
) -> None:
    world.repository.signed[place][member] = value
    if member == "meta":
        world.repository.write(place)
        if place == "snapshot":
            world.repository.relink("snapshot", world.repository.files["snapshot"])
    else:
        world.repository.resign(place, world.repository.signers[place][0].sign(world.repository.message(place)))
    with pytest.raises(VerificationError) as caught:
        world.verify()
    assert caught.value.reason in (Reason.MALFORMED_EVIDENCE, Reason.NO_SIGNATURE)


@pytest.mark.parametrize("length", [0, -1, 2**40, 1.5, "8", None, True])
def test_attack_14_a_length_that_is_not_the_manifest_s_is_refused(world: NotaryWorld, length: Any) -> None:
    world.repository.signed[ADMIN]["targets"][TAG]["length"] = length
    world.repository.publish()
    world.refuses(Reason.MALFORMED_EVIDENCE)


def test_attack_14_a_hash_is_compared_in_full(world: NotaryWorld) -> None:
    hashes = world.repository.signed[ADMIN]["targets"][TAG]["hashes"]
    for sha256 in (
        "",
        "AA==",
        hashes["sha256"] + hashes["sha256"],
        hashes["sha256"].rstrip("="),
        hashes["sha256"] + " ",
    ):
        world.repository.signed[ADMIN]["targets"][TAG]["hashes"] = {**hashes, "sha256": sha256}
        world.repository.publish()
        world.refuses(Reason.MALFORMED_EVIDENCE)
    world.repository.signed[ADMIN]["targets"][TAG]["hashes"] = {"md5": hashes["sha256"], "sha512": hashes["sha512"]}
    world.repository.publish()
    world.refuses(Reason.MALFORMED_EVIDENCE)


def test_attack_14_a_file_of_the_right_length_is_compared_by_its_one_hash(world: NotaryWorld) -> None:
    """Older servers list no sha512 beside the sha256."""
    del world.repository.signed["snapshot"]["meta"]["targets"]["hashes"]["sha512"]
    world.repository.link()
    del world.repository.signed["timestamp"]["meta"]["snapshot"]["hashes"]["sha512"]
    world.repository.write("timestamp")
    world.verify()
    good = world.repository.files["targets"]
    world.repository.files[world.repository.published_name("targets")] = good.replace(b'"version":1', b'"version":2')
    refusal = world.refuses(Reason.MALFORMED_EVIDENCE)
    assert "hash" in refusal.message
