"""Versions never decrease across verifications, restarts and replicas; each root is signed by its predecessor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import NotFoundError, UnavailableError, VerificationError
from sealgate.formats.interface import Sources
from sealgate.formats.notary.limits import LIMITS
from sealgate.reasons import Reason
from sealgate.trusted_state.directory import DirectoryTrustedState
from sealgate.trusted_state.records import TrustKey, TrustRecord
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.support.environments.notary import ADMIN, RELEASES, TAG, role
from tests.support.signers.notary import certified

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.environments.notary import NotaryEnvironment


def key_of(environment: NotaryEnvironment) -> TrustKey:
    return TrustKey(environment.dtr.url, environment.repository.gun)


def versions(environment: NotaryEnvironment) -> dict[str, int]:
    return dict(environment.state.load(key_of(environment)).versions)


def publish_next(environment: NotaryEnvironment) -> None:
    environment.repository.bump()
    environment.repository.publish()


def test_versions_and_root_are_stored_after_verification(environment: NotaryEnvironment) -> None:
    environment.verify()
    assert versions(environment) == dict.fromkeys(["root", "timestamp", "snapshot", "targets", RELEASES, ADMIN], 1)
    assert environment.state.load(key_of(environment)).root == environment.repository.files["root"]
    publish_next(environment)
    environment.verify(roles=[role(RELEASES, environment.alice)])
    assert versions(environment) == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2, RELEASES: 2, ADMIN: 1}


def test_untrusted_repository_is_not_stored(environment: NotaryEnvironment) -> None:
    environment.refuses(Reason.UNKNOWN_KEY, root={"pem": environment.mallory.certificate_pem})
    environment.repository.expire("timestamp")
    environment.repository.publish()
    environment.refuses(Reason.EXPIRED)
    assert not versions(environment)


def test_only_files_above_an_untrusted_one_are_stored(environment: NotaryEnvironment) -> None:
    environment.verify()
    environment.repository.bump()
    environment.repository.signers[ADMIN] = [environment.mallory]
    environment.repository.publish()
    environment.refuses(Reason.UNKNOWN_KEY)
    assert versions(environment) == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2, RELEASES: 2, ADMIN: 1}


def test_trusted_files_are_stored_although_the_tag_is_refused(environment: NotaryEnvironment) -> None:
    environment.verify()
    publish_next(environment)
    environment.refuses(Reason.NO_SIGNATURE, environment.image(":unsigned"))
    assert versions(environment) == {"root": 1} | dict.fromkeys(
        ["timestamp", "snapshot", "targets", RELEASES, ADMIN], 2
    )
    publish_next(environment)
    environment.dtr.delete("dev/nginx", environment.digest)
    with pytest.raises(NotFoundError):
        environment.verify()
    assert versions(environment)["timestamp"] == 3


def test_withdrawn_tag_is_not_restored_by_older_files(environment: NotaryEnvironment) -> None:
    environment.verify()
    signed = environment.repository.copy()
    for name in (RELEASES, ADMIN):
        del environment.repository.signed[name]["targets"][TAG]
    publish_next(environment)
    environment.refuses(Reason.NO_SIGNATURE)
    environment.dtr.host_repository(signed)
    environment.refuses(Reason.ROLLBACK)


def test_refusal_holds_although_the_state_cannot_be_written(environment: NotaryEnvironment, tmp_path: Path) -> None:
    nowhere = tmp_path / "state"
    nowhere.symlink_to(tmp_path / "gone")
    environment.state = DirectoryTrustedState(nowhere)
    environment.refuses(Reason.NO_SIGNATURE, environment.image(":unsigned"))


@pytest.mark.parametrize("rolled_back", ["timestamp", "snapshot", "targets", RELEASES])
def test_a_file_older_than_one_seen_before_is_refused(environment: NotaryEnvironment, rolled_back: str) -> None:
    publish_next(environment)
    environment.verify()
    environment.repository.bump()
    environment.repository.signed[rolled_back]["version"] = 1
    environment.repository.publish()
    refusal = environment.refuses(Reason.ROLLBACK)
    assert rolled_back in refusal.message


def test_repository_rollback_is_refused_after_a_restart(environment: NotaryEnvironment, tmp_path: Path) -> None:
    environment.state = DirectoryTrustedState(tmp_path)
    old = environment.repository.copy()
    publish_next(environment)
    environment.verify()
    environment.dtr.host_repository(old)
    environment.state = DirectoryTrustedState(tmp_path)
    refusal = environment.refuses(Reason.ROLLBACK)
    assert "version 1" in refusal.message
    assert "version 2" in refusal.message


def test_recreated_repository_is_refused_until_its_record_is_removed(
    environment: NotaryEnvironment, tmp_path: Path
) -> None:
    environment.state = DirectoryTrustedState(tmp_path)
    environment.verify()
    anew = certified(environment.repository.gun)
    environment.repository.set_keys("root", anew)
    environment.repository.publish()
    refusal = environment.refuses(Reason.ROLLBACK, root={"pem": anew.certificate_pem})
    (record,) = tmp_path.glob("*.json")
    assert str(record) in refusal.message
    record.unlink()
    environment.verify(root={"pem": anew.certificate_pem})


def test_state_is_separate_per_server(environment: NotaryEnvironment) -> None:
    environment.state.advance(
        TrustKey("https://other.example.org", environment.repository.gun), TrustRecord({"timestamp": 9})
    )
    environment.state.advance(TrustKey(environment.dtr.url, "another/name"), TrustRecord({"timestamp": 9}))
    environment.verify()


def test_without_a_state_nothing_is_verified(environment: NotaryEnvironment) -> None:
    sources = environment.sources()
    forgetful = Sources(sources.registry, sources.services, sources.clock, sources.deadline)
    with pytest.raises(UnavailableError) as caught:
        environment.check().verify(environment.image(), forgetful)
    assert caught.value.reason is Reason.STATE_UNAVAILABLE


# Roots that follow one another -----------------------------------------------------------------------------------


def test_every_root_since_the_last_trusted_one_is_followed(environment: NotaryEnvironment) -> None:
    environment.verify()
    pinned = environment.root.certificate_pem
    for _ in range(3):
        following = certified(environment.repository.gun)
        pinned += following.certificate_pem
        environment.repository.rotate_root(following)
    environment.dtr.requests.clear()
    environment.verify(root={"pem": pinned})
    assert environment.dtr.asked[:4] == ["root", "2.root", "3.root", "timestamp"]
    assert environment.state.load(key_of(environment)).root == environment.repository.files["root"]
    assert versions(environment)["root"] == 4


def test_root_changed_in_place_is_accepted_with_the_same_key(environment: NotaryEnvironment) -> None:
    environment.verify()
    environment.repository.rotate_root(environment.root)
    environment.verify()
    assert versions(environment)["root"] == 2


def test_pinned_root_unsigned_by_its_predecessor_is_refused(
    environment: NotaryEnvironment,
) -> None:
    environment.verify()
    usurper = certified(environment.repository.gun)
    environment.repository.signed["root"]["version"] = 2
    environment.repository.set_keys("root", usurper)
    publish_next(environment)
    environment.refuses(Reason.UNKNOWN_KEY, root={"pem": usurper.certificate_pem})


def test_unpinned_root_signed_by_its_predecessor_is_refused(
    environment: NotaryEnvironment,
) -> None:
    environment.verify()
    environment.repository.rotate_root(certified(environment.repository.gun))
    environment.refuses(Reason.UNKNOWN_KEY)


def test_every_root_on_the_way_must_be_pinned(environment: NotaryEnvironment) -> None:
    environment.verify()
    environment.repository.rotate_root(certified(environment.repository.gun))
    environment.repository.rotate_root(last := certified(environment.repository.gun))
    environment.refuses(Reason.UNKNOWN_KEY, root={"pem": environment.root.certificate_pem + last.certificate_pem})


def test_missing_or_misnumbered_intermediate_root_is_refused(environment: NotaryEnvironment) -> None:
    environment.verify()
    for _ in range(3):
        environment.repository.rotate_root(environment.root)
    environment.repository.files["2.root"] = environment.repository.files["3.root"]
    assert "version 3" in environment.refuses(Reason.MALFORMED_EVIDENCE).message
    del environment.repository.files["2.root"]
    environment.refuses(Reason.MALFORMED_EVIDENCE)


def test_only_intermediate_roots_may_have_expired(environment: NotaryEnvironment) -> None:
    environment.verify()
    expires = environment.repository.signed["root"]["expires"]
    environment.repository.expire("root")
    environment.repository.rotate_root(environment.root)
    environment.refuses(Reason.EXPIRED)
    environment.repository.signed["root"]["expires"] = expires
    environment.repository.rotate_root(environment.root)
    environment.verify()


def test_the_first_contact_needs_no_older_roots(environment: NotaryEnvironment) -> None:
    environment.repository.rotate_root(following := certified(environment.repository.gun))
    environment.verify(root={"pem": following.certificate_pem})
    assert environment.dtr.asked[:2] == ["root", "timestamp"]


def test_root_far_ahead_is_refused_without_fetching_predecessors(environment: NotaryEnvironment) -> None:
    environment.verify()
    environment.dtr.requests.clear()
    environment.repository.signed["root"]["version"] = 2 + LIMITS.rotations
    environment.repository.publish()
    environment.refuses(Reason.EVIDENCE_TOO_LARGE)
    assert environment.dtr.asked == ["root"]


def test_an_older_root_is_refused(environment: NotaryEnvironment) -> None:
    old = environment.repository.copy()
    environment.repository.rotate_root(environment.root)
    environment.verify()
    environment.dtr.host_repository(old)
    environment.refuses(Reason.ROLLBACK)


def test_damaged_stored_root_is_not_an_empty_state(environment: NotaryEnvironment) -> None:
    for record in (
        TrustRecord({"root": 1}, b"{}"),
        TrustRecord({"root": 2}, environment.repository.files["root"]),
    ):
        environment.state = MemoryTrustedState()
        environment.state.advance(key_of(environment), record)
        environment.repository.rotate_root(environment.root)
        with pytest.raises(UnavailableError) as caught:
            environment.verify()
        assert caught.value.reason is Reason.STATE_UNAVAILABLE


# A concurrent publication, or a concurrent read by another replica ---------------------------------------------------


def test_root_published_during_a_read_causes_one_more_read(environment: NotaryEnvironment) -> None:
    def rotate_once(name: str) -> None:
        if name == "timestamp":
            environment.dtr.trust.before = None
            environment.repository.rotate_root(environment.root)

    environment.dtr.trust.before = rotate_once
    environment.verify()
    assert environment.dtr.asked.count("root") == 2
    assert versions(environment)["root"] == 2


def test_root_that_never_matches_the_snapshot_is_refused(environment: NotaryEnvironment) -> None:
    environment.repository.files["root"] = environment.repository.files["root"].replace(b'"signed"', b' "signed"')
    environment.refuses(Reason.MALFORMED_EVIDENCE)
    assert environment.dtr.asked.count("root") == 2


def test_tags_published_during_a_read_do_no_harm(environment: NotaryEnvironment) -> None:
    def publish(name: str) -> None:
        if name.startswith("snapshot"):
            environment.repository.sign_tag("1.9", b"another", RELEASES)
            publish_next(environment)

    environment.dtr.trust.before = publish
    environment.verify()
    assert set(versions(environment).values()) == {1}


def test_newer_state_of_another_replica_causes_another_read(environment: NotaryEnvironment) -> None:
    """Two replicas share a memory; the other one is ahead by the time this one is done."""

    def overtake(name: str) -> None:
        if name.startswith(ADMIN):
            environment.dtr.trust.before = None
            publish_next(environment)
            environment.state.advance(key_of(environment), TrustRecord({"timestamp": 2}))

    environment.dtr.trust.before = overtake
    environment.verify()
    assert environment.dtr.asked.count("timestamp") == 2
    assert versions(environment)["timestamp"] == 2


def test_metadata_older_than_another_replicas_is_not_verified(environment: NotaryEnvironment) -> None:
    """A server shows this replica something older than it has shown the other."""

    def overtake(name: str) -> None:
        if name.startswith(ADMIN):
            environment.dtr.trust.before = None
            environment.state.advance(key_of(environment), TrustRecord({"timestamp": 2}))

    environment.dtr.trust.before = overtake
    environment.refuses(Reason.ROLLBACK)


def test_constantly_changing_repository_is_unavailable(environment: NotaryEnvironment) -> None:
    def overtake(name: str) -> None:
        if name.startswith(ADMIN):
            publish_next(environment)
            seen = environment.repository.signed["timestamp"]["version"]
            environment.state.advance(key_of(environment), TrustRecord({"timestamp": seen}))

    environment.dtr.trust.before = overtake
    with pytest.raises(UnavailableError, match="keeps changing"):
        environment.verify()
    assert environment.dtr.asked.count("root") == LIMITS.attempts


def test_replicas_never_trust_two_roots_of_one_version(environment: NotaryEnvironment) -> None:
    twin = certified(environment.repository.gun)
    both = {"pem": environment.root.certificate_pem + twin.certificate_pem}
    other = environment.repository.copy()
    other.set_keys("root", twin)
    other.publish()

    def overtake(name: str) -> None:
        if name.startswith(ADMIN):
            environment.dtr.trust.before = None
            environment.state.advance(key_of(environment), TrustRecord({"root": 1}, other.files["root"]))

    environment.dtr.trust.before = overtake
    environment.refuses(Reason.ROLLBACK, root=both)


def test_unwritable_state_means_not_verified(environment: NotaryEnvironment, tmp_path: Path) -> None:
    nowhere = tmp_path / "state"
    nowhere.symlink_to(tmp_path / "gone")
    environment.state = DirectoryTrustedState(nowhere)
    with pytest.raises(UnavailableError, match="cannot be written") as caught:
        environment.verify()
    assert caught.value.reason is Reason.STATE_UNAVAILABLE


def test_unchanged_state_is_not_written(environment: NotaryEnvironment, tmp_path: Path) -> None:
    environment.state = DirectoryTrustedState(tmp_path)
    environment.verify()
    (record,) = tmp_path.glob("*.json")
    before = record.stat()
    environment.verify()
    assert (record.stat().st_ino, record.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_additional_signatures_do_not_make_another_root(environment: NotaryEnvironment) -> None:
    environment.verify()
    message = environment.repository.message("root")
    environment.repository.bump("snapshot", "timestamp")
    environment.repository.resign("root", environment.mallory.sign(message), environment.root.sign(message))
    environment.verify()
    environment.verify()


def test_rollback_refusal_names_the_record_and_its_reason(environment: NotaryEnvironment) -> None:
    environment.state.advance(key_of(environment), TrustRecord({"timestamp": 7}))
    with pytest.raises(VerificationError) as caught:
        environment.verify()
    assert "this process's memory" in caught.value.message
    assert TAG not in caught.value.message


def test_sources_accept_another_state(environment: NotaryEnvironment) -> None:
    other = MemoryTrustedState()
    environment.check().verify(environment.image(), replace(environment.sources(), state=other))
    assert other.load(key_of(environment)).versions
    assert not versions(environment)
