"""Versions only go forward: across verifications, restarts and replicas; and roots follow one another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import NotFoundError, UnavailableError, VerificationError
from sealgate.formats.interface import Sources
from sealgate.formats.notary.limits import LIMITS
from sealgate.reasons import Reason
from sealgate.trusted_state.directory import FolderTrustedState
from sealgate.trusted_state.records import TrustKey, TrustRecord
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.support.environments.notary import ADMIN, RELEASES, TAG, role
from tests.support.signers.notary import certified

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.environments.notary import NotaryWorld


def key_of(world: NotaryWorld) -> TrustKey:
    return TrustKey(world.dtr.url, world.repository.gun)


def versions(world: NotaryWorld) -> dict[str, int]:
    return dict(world.state.load(key_of(world)).versions)


def publish_next(world: NotaryWorld) -> None:
    world.repository.bump()
    world.repository.publish()


def test_versions_and_root_are_remembered_once_all_is_verified(world: NotaryWorld) -> None:
    world.verify()
    assert versions(world) == dict.fromkeys(["root", "timestamp", "snapshot", "targets", RELEASES, ADMIN], 1)
    assert world.state.load(key_of(world)).root == world.repository.files["root"]
    publish_next(world)
    world.verify(roles=[role(RELEASES, world.alice)])
    assert versions(world) == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2, RELEASES: 2, ADMIN: 1}


def test_nothing_is_remembered_of_a_repository_that_is_not_trusted(world: NotaryWorld) -> None:
    world.refuses(Reason.UNKNOWN_KEY, root={"pem": world.mallory.certificate_pem})
    world.repository.expire("timestamp")
    world.repository.publish()
    world.refuses(Reason.EXPIRED)
    assert not versions(world)


def test_a_file_that_is_not_trusted_is_not_remembered_and_those_above_it_are(world: NotaryWorld) -> None:
    world.verify()
    world.repository.bump()
    world.repository.signers[ADMIN] = [world.mallory]
    world.repository.publish()
    world.refuses(Reason.UNKNOWN_KEY)
    assert versions(world) == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2, RELEASES: 2, ADMIN: 1}


def test_trusted_files_are_remembered_though_the_answer_is_no(world: NotaryWorld) -> None:
    world.verify()
    publish_next(world)
    world.refuses(Reason.NO_SIGNATURE, world.image(":unsigned"))
    assert versions(world) == {"root": 1} | dict.fromkeys(["timestamp", "snapshot", "targets", RELEASES, ADMIN], 2)
    publish_next(world)
    world.dtr.delete("dev/nginx", world.digest)
    with pytest.raises(NotFoundError):
        world.verify()
    assert versions(world)["timestamp"] == 3


def test_a_tag_that_was_withdrawn_is_not_brought_back_by_older_files(world: NotaryWorld) -> None:
    world.verify()
    signed = world.repository.copy()
    for name in (RELEASES, ADMIN):
        del world.repository.signed[name]["targets"][TAG]
    publish_next(world)
    world.refuses(Reason.NO_SIGNATURE)
    world.dtr.host_repository(signed)
    world.refuses(Reason.ROLLBACK)


def test_a_refusal_stands_though_the_memory_cannot_be_written(world: NotaryWorld, tmp_path: Path) -> None:
    nowhere = tmp_path / "state"
    nowhere.symlink_to(tmp_path / "gone")
    world.state = FolderTrustedState(nowhere)
    world.refuses(Reason.NO_SIGNATURE, world.image(":unsigned"))


@pytest.mark.parametrize("rolled_back", ["timestamp", "snapshot", "targets", RELEASES])
def test_a_file_older_than_one_seen_before_is_refused(world: NotaryWorld, rolled_back: str) -> None:
    publish_next(world)
    world.verify()
    world.repository.bump()
    world.repository.signed[rolled_back]["version"] = 1
    world.repository.publish()
    refusal = world.refuses(Reason.ROLLBACK)
    assert rolled_back in refusal.message


def test_a_whole_repository_rolled_back_is_refused_after_a_restart(world: NotaryWorld, tmp_path: Path) -> None:
    world.state = FolderTrustedState(tmp_path)
    old = world.repository.copy()
    publish_next(world)
    world.verify()
    world.dtr.host_repository(old)
    world.state = FolderTrustedState(tmp_path)
    refusal = world.refuses(Reason.ROLLBACK)
    assert "version 1" in refusal.message
    assert "version 2" in refusal.message


def test_a_repository_made_anew_is_refused_until_its_record_is_removed_on_purpose(
    world: NotaryWorld, tmp_path: Path
) -> None:
    world.state = FolderTrustedState(tmp_path)
    world.verify()
    anew = certified(world.repository.gun)
    world.repository.set_keys("root", anew)
    world.repository.publish()
    refusal = world.refuses(Reason.ROLLBACK, root={"pem": anew.certificate_pem})
    (record,) = tmp_path.glob("*.json")
    assert str(record) in refusal.message
    record.unlink()
    world.verify(root={"pem": anew.certificate_pem})


def test_a_name_on_another_server_has_a_memory_of_its_own(world: NotaryWorld) -> None:
    world.state.advance(TrustKey("https://other.example.org", world.repository.gun), TrustRecord({"timestamp": 9}))
    world.state.advance(TrustKey(world.dtr.url, "another/name"), TrustRecord({"timestamp": 9}))
    world.verify()


def test_without_a_memory_nothing_is_verified(world: NotaryWorld) -> None:
    sources = world.sources()
    forgetful = Sources(sources.registry, sources.services, sources.clock, sources.deadline)
    with pytest.raises(UnavailableError) as caught:
        world.check().verify(world.image(), forgetful)
    assert caught.value.reason is Reason.STATE_UNAVAILABLE


# Roots that follow one another -----------------------------------------------------------------------------------


def test_every_root_since_the_last_trusted_one_is_followed(world: NotaryWorld) -> None:
    world.verify()
    pinned = world.root.certificate_pem
    for _ in range(3):
        following = certified(world.repository.gun)
        pinned += following.certificate_pem
        world.repository.rotate_root(following)
    world.dtr.requests.clear()
    world.verify(root={"pem": pinned})
    assert world.dtr.asked[:4] == ["root", "2.root", "3.root", "timestamp"]
    assert world.state.load(key_of(world)).root == world.repository.files["root"]
    assert versions(world)["root"] == 4


def test_a_root_changed_in_place_goes_forward_with_the_same_key(world: NotaryWorld) -> None:
    world.verify()
    world.repository.rotate_root(world.root)
    world.verify()
    assert versions(world)["root"] == 2


def test_a_root_that_the_one_before_has_not_signed_is_refused_though_it_is_pinned(world: NotaryWorld) -> None:
    world.verify()
    usurper = certified(world.repository.gun)
    world.repository.signed["root"]["version"] = 2
    world.repository.set_keys("root", usurper)
    publish_next(world)
    world.refuses(Reason.UNKNOWN_KEY, root={"pem": usurper.certificate_pem})


def test_a_root_that_is_not_pinned_is_refused_though_the_one_before_has_signed_it(world: NotaryWorld) -> None:
    world.verify()
    world.repository.rotate_root(certified(world.repository.gun))
    world.refuses(Reason.UNKNOWN_KEY)


def test_every_root_on_the_way_must_be_pinned(world: NotaryWorld) -> None:
    world.verify()
    world.repository.rotate_root(certified(world.repository.gun))
    world.repository.rotate_root(last := certified(world.repository.gun))
    world.refuses(Reason.UNKNOWN_KEY, root={"pem": world.root.certificate_pem + last.certificate_pem})


def test_a_root_on_the_way_that_is_missing_or_another_version_is_refused(world: NotaryWorld) -> None:
    world.verify()
    for _ in range(3):
        world.repository.rotate_root(world.root)
    world.repository.files["2.root"] = world.repository.files["3.root"]
    assert "version 3" in world.refuses(Reason.MALFORMED_EVIDENCE).message
    del world.repository.files["2.root"]
    world.refuses(Reason.MALFORMED_EVIDENCE)


def test_roots_on_the_way_may_have_expired_and_the_last_may_not(world: NotaryWorld) -> None:
    world.verify()
    expires = world.repository.signed["root"]["expires"]
    world.repository.expire("root")
    world.repository.rotate_root(world.root)
    world.refuses(Reason.EXPIRED)
    world.repository.signed["root"]["expires"] = expires
    world.repository.rotate_root(world.root)
    world.verify()


def test_the_first_contact_needs_no_older_roots(world: NotaryWorld) -> None:
    world.repository.rotate_root(following := certified(world.repository.gun))
    world.verify(root={"pem": following.certificate_pem})
    assert world.dtr.asked[:2] == ["root", "timestamp"]


def test_a_root_far_ahead_is_refused_before_its_predecessors_are_fetched(world: NotaryWorld) -> None:
    world.verify()
    world.dtr.requests.clear()
    world.repository.signed["root"]["version"] = 2 + LIMITS.rotations
    world.repository.publish()
    world.refuses(Reason.EVIDENCE_TOO_LARGE)
    assert world.dtr.asked == ["root"]


def test_an_older_root_is_refused(world: NotaryWorld) -> None:
    old = world.repository.copy()
    world.repository.rotate_root(world.root)
    world.verify()
    world.dtr.host_repository(old)
    world.refuses(Reason.ROLLBACK)


def test_a_remembered_root_that_is_damaged_is_no_empty_memory(world: NotaryWorld) -> None:
    for record in (
        TrustRecord({"root": 1}, b"{}"),
        TrustRecord({"root": 2}, world.repository.files["root"]),
    ):
        world.state = MemoryTrustedState()
        world.state.advance(key_of(world), record)
        world.repository.rotate_root(world.root)
        with pytest.raises(UnavailableError) as caught:
            world.verify()
        assert caught.value.reason is Reason.STATE_UNAVAILABLE


# Somebody publishes, or another replica reads, meanwhile ---------------------------------------------------------


def test_a_root_published_between_two_requests_makes_it_read_once_more(world: NotaryWorld) -> None:
    def rotate_once(name: str) -> None:
        if name == "timestamp":
            world.dtr.trust.before = None
            world.repository.rotate_root(world.root)

    world.dtr.trust.before = rotate_once
    world.verify()
    assert world.dtr.asked.count("root") == 2
    assert versions(world)["root"] == 2


def test_a_root_that_keeps_differing_from_the_snapshot_is_refused(world: NotaryWorld) -> None:
    world.repository.files["root"] = world.repository.files["root"].replace(b'"signed"', b' "signed"')
    world.refuses(Reason.MALFORMED_EVIDENCE)
    assert world.dtr.asked.count("root") == 2


def test_tags_published_between_two_requests_do_not_spoil_the_reading(world: NotaryWorld) -> None:
    def publish(name: str) -> None:
        if name.startswith("snapshot"):
            world.repository.sign_tag("1.9", b"another", RELEASES)
            publish_next(world)

    world.dtr.trust.before = publish
    world.verify()
    assert set(versions(world).values()) == {1}


def test_when_another_replica_has_seen_newer_meanwhile_it_is_read_again(world: NotaryWorld) -> None:
    """Two replicas share a memory; the other one is ahead by the time this one is done."""

    def overtake(name: str) -> None:
        if name.startswith(ADMIN):
            world.dtr.trust.before = None
            publish_next(world)
            world.state.advance(key_of(world), TrustRecord({"timestamp": 2}))

    world.dtr.trust.before = overtake
    world.verify()
    assert world.dtr.asked.count("timestamp") == 2
    assert versions(world)["timestamp"] == 2


def test_what_another_replica_has_overtaken_is_not_verified(world: NotaryWorld) -> None:
    """A server shows this replica something older than it has shown the other."""

    def overtake(name: str) -> None:
        if name.startswith(ADMIN):
            world.dtr.trust.before = None
            world.state.advance(key_of(world), TrustRecord({"timestamp": 2}))

    world.dtr.trust.before = overtake
    world.refuses(Reason.ROLLBACK)


def test_a_repository_that_never_holds_still_is_unavailable(world: NotaryWorld) -> None:
    def overtake(name: str) -> None:
        if name.startswith(ADMIN):
            publish_next(world)
            seen = world.repository.signed["timestamp"]["version"]
            world.state.advance(key_of(world), TrustRecord({"timestamp": seen}))

    world.dtr.trust.before = overtake
    with pytest.raises(UnavailableError, match="keeps changing"):
        world.verify()
    assert world.dtr.asked.count("root") == LIMITS.attempts


def test_two_replicas_that_trust_two_roots_of_one_version_do_not_both_verify(world: NotaryWorld) -> None:
    twin = certified(world.repository.gun)
    both = {"pem": world.root.certificate_pem + twin.certificate_pem}
    other = world.repository.copy()
    other.set_keys("root", twin)
    other.publish()

    def overtake(name: str) -> None:
        if name.startswith(ADMIN):
            world.dtr.trust.before = None
            world.state.advance(key_of(world), TrustRecord({"root": 1}, other.files["root"]))

    world.dtr.trust.before = overtake
    world.refuses(Reason.ROLLBACK, root=both)


def test_a_memory_that_cannot_be_written_means_not_verified(world: NotaryWorld, tmp_path: Path) -> None:
    nowhere = tmp_path / "state"
    nowhere.symlink_to(tmp_path / "gone")
    world.state = FolderTrustedState(nowhere)
    with pytest.raises(UnavailableError, match="cannot be written") as caught:
        world.verify()
    assert caught.value.reason is Reason.STATE_UNAVAILABLE


def test_when_nothing_is_new_nothing_is_written(world: NotaryWorld, tmp_path: Path) -> None:
    world.state = FolderTrustedState(tmp_path)
    world.verify()
    (record,) = tmp_path.glob("*.json")
    before = record.stat()
    world.verify()
    assert (record.stat().st_ino, record.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_with_more_signatures_of_the_same_root_is_the_same_root(world: NotaryWorld) -> None:
    world.verify()
    message = world.repository.message("root")
    world.repository.bump("snapshot", "timestamp")
    world.repository.resign("root", world.mallory.sign(message), world.root.sign(message))
    world.verify()
    world.verify()


def test_the_refusal_of_a_rollback_names_the_record_and_keeps_its_reason(world: NotaryWorld) -> None:
    world.state.advance(key_of(world), TrustRecord({"timestamp": 7}))
    with pytest.raises(VerificationError) as caught:
        world.verify()
    assert "this process's memory" in caught.value.message
    assert TAG not in caught.value.message


def test_sources_can_be_given_another_memory(world: NotaryWorld) -> None:
    other = MemoryTrustedState()
    world.check().verify(world.image(), replace(world.sources(), state=other))
    assert other.load(key_of(world)).versions
    assert not versions(world)
