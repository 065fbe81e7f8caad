"""Metadata files are verified in a fixed order, each before it verifies the next. No file is fetched here."""

from __future__ import annotations

import pytest

from sealgate.errors import VerificationError
from sealgate.formats.notary.errors import MissingRoleError, RootChangedError
from sealgate.formats.notary.pins import AcceptedKey, KeyPin
from sealgate.formats.notary.trusted_metadata import TrustedMetadata
from sealgate.reasons import Reason
from sealgate.trusted_state.records import TrustRecord
from tests.support.signers.notary import NOW, certified, ecdsa_signer
from tests.support.simulators.notary import GUN, NotaryRepository

RELEASES = "targets/releases"


@pytest.fixture
def repository() -> NotaryRepository:
    made = NotaryRepository()
    made.delegate(RELEASES, ecdsa_signer())
    made.sign_tag("1.4", b"manifest", "targets", RELEASES)
    return made.publish()


def pin_of(repository: NotaryRepository) -> KeyPin:
    return KeyPin(tuple(AcceptedKey(fingerprint=signer.fingerprint) for signer in repository.signers["root"]))


def metadata_of(repository: NotaryRepository, record: TrustRecord | None = None) -> TrustedMetadata:
    return TrustedMetadata(GUN, pin_of(repository), record or TrustRecord(), NOW)


def with_root(repository: NotaryRepository) -> TrustedMetadata:
    metadata = metadata_of(repository)
    assert list(metadata.start_root(repository.files["root"])) == []
    metadata.finish_root()
    return metadata


def with_snapshot(repository: NotaryRepository) -> TrustedMetadata:
    metadata = with_root(repository)
    metadata.update_timestamp(repository.files["timestamp"])
    metadata.update_snapshot(repository.files["snapshot"])
    return metadata


def test_files_are_trusted_from_the_root_down(repository: NotaryRepository) -> None:
    metadata = with_snapshot(repository)
    targets = metadata.update_targets("targets", repository.files["targets"])
    releases = metadata.update_targets(RELEASES, repository.files[RELEASES])
    assert metadata.targets("targets") is targets
    assert releases.entry("1.4") == targets.entry("1.4")
    assert metadata.record.versions == dict.fromkeys(("root", "timestamp", "snapshot", "targets", RELEASES), 1)
    assert metadata.record.root == repository.files["root"]


def test_file_before_the_root_is_a_programming_error(repository: NotaryRepository) -> None:
    files = repository.files
    metadata = metadata_of(repository)
    for step in (
        metadata.finish_root,
        metadata.snapshot_hashes,
        lambda: metadata.record,
        lambda: metadata.rotate_root(files["root"]),
        lambda: metadata.update_timestamp(files["timestamp"]),
        lambda: metadata.update_snapshot(files["snapshot"]),
        lambda: metadata.targets_hashes("targets"),
        lambda: metadata.update_targets("targets", files["targets"]),
    ):
        with pytest.raises(RuntimeError):
            step()


def test_files_out_of_order_are_a_mistake_of_the_caller(repository: NotaryRepository) -> None:
    files = repository.files
    metadata = with_root(repository)
    for step in (
        lambda: metadata.start_root(files["root"]),
        metadata.finish_root,
        lambda: metadata.update_snapshot(files["snapshot"]),
        lambda: metadata.update_targets("targets", files["targets"]),
    ):
        with pytest.raises(RuntimeError):
            step()
    metadata = with_snapshot(repository)
    for step in (
        lambda: metadata.update_timestamp(files["timestamp"]),
        lambda: metadata.update_snapshot(files["snapshot"]),
        lambda: metadata.update_targets(RELEASES, files[RELEASES]),
    ):
        with pytest.raises(RuntimeError):
            step()
    metadata.update_targets("targets", files["targets"])
    with pytest.raises(RuntimeError):
        metadata.update_targets("targets", files["targets"])


def test_roots_are_followed_version_by_version(repository: NotaryRepository) -> None:
    record = with_root(repository).record
    second, third = certified(GUN), certified(GUN)
    repository.rotate_root(second)
    repository.rotate_root(third)
    pin = KeyPin((AcceptedKey(fingerprint=second.fingerprint), AcceptedKey(fingerprint=third.fingerprint)))
    metadata = TrustedMetadata(GUN, pin, record, NOW)
    assert list(metadata.start_root(repository.files["root"])) == [2]
    with pytest.raises(RuntimeError):
        metadata.finish_root()
    metadata.rotate_root(repository.files["2.root"])
    with pytest.raises(RuntimeError):
        metadata.rotate_root(repository.files["2.root"])
    metadata.finish_root()
    assert metadata.record.version("root") == 3


def test_expired_file_is_neither_trusted_nor_recorded(repository: NotaryRepository) -> None:
    metadata = with_root(repository)
    good = repository.files["timestamp"]
    repository.expire("timestamp")
    repository.publish()
    with pytest.raises(VerificationError) as caught:
        metadata.update_timestamp(repository.files["timestamp"])
    assert caught.value.reason is Reason.EXPIRED
    assert metadata.record.versions == {"root": 1}
    metadata.update_timestamp(good)


def test_snapshot_of_another_root_is_reported_as_such(repository: NotaryRepository) -> None:
    metadata = with_root(repository)
    repository.signed["snapshot"]["meta"]["root"] = repository.signed["snapshot"]["meta"]["targets"]
    repository.link()
    metadata.update_timestamp(repository.files["timestamp"])
    with pytest.raises(RootChangedError):
        metadata.update_snapshot(repository.files["snapshot"])


def test_bytes_without_the_listed_hash_are_refused(repository: NotaryRepository) -> None:
    metadata = with_snapshot(repository)
    with pytest.raises(VerificationError):
        metadata.update_targets("targets", repository.files["targets"] + b" ")
    assert metadata.targets("targets") is None


def test_role_that_is_not_delegated_is_missing(repository: NotaryRepository) -> None:
    metadata = with_snapshot(repository)
    metadata.update_targets("targets", repository.files["targets"])
    with pytest.raises(MissingRoleError):
        metadata.targets_hashes("targets/other")
