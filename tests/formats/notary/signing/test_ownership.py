"""What the owner of a repository does: initialise it, delegate, rotate keys, remove tags and roles."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sealgate.errors import InvalidKeyError, SigningError
from sealgate.formats.notary.private_keys.stores import TrustDirectory
from sealgate.formats.notary.publishing.ownership import Owner
from sealgate.references import parse_repository
from tests.support.environments.notary_signing import ADMIN, RELEASES, FixedPassphrases, NotarySigning, only
from tests.support.signers.notary import NOW, certified, ed25519_signer


def test_new_repository_has_a_certified_root_and_the_servers_snapshot(signing: NotarySigning) -> None:
    root_key = signing.owner.initialise()
    root = signing.trust.signed["root"]
    (root_id,) = root["roles"]["root"]["keyids"]
    assert root["keys"][root_id]["keytype"] == "ecdsa-x509"
    assert root["expires"] == "2036-11-18T12:00:00Z"
    for role in ("snapshot", "timestamp"):
        assert root["roles"][role]["keyids"] == [signing.dtr.writes.key(signing.gun, role).key_id]
    stored = sorted(path.stem for path in (signing.folder / "trust" / "private").iterdir())
    assert stored == sorted([root_key.canonical_id, *root["roles"]["targets"]["keyids"]])


def test_one_root_key_serves_many_repositories(signing: NotarySigning) -> None:
    first = signing.owner.initialise()
    signing.repository = parse_repository(f"{signing.dtr.host}/dev/redis")
    directory = TrustDirectory(signing.folder / "trust", FixedPassphrases())
    assert Owner.of(signing.publisher, directory).initialise().canonical_id == first.canonical_id


def test_repository_name_longer_than_a_certificates_name_may_be(signing: NotarySigning) -> None:
    signing.repository = parse_repository(f"{signing.dtr.host}/{'long' * 30}")
    signing.owner.initialise()


def test_existing_repository_is_left_alone(signing: NotarySigning) -> None:
    signing.owner.initialise()
    files = dict(signing.trust.files)
    with pytest.raises(SigningError, match="has trust data already"):
        signing.owner.initialise()
    assert signing.trust.files == files


def test_delegating_twice_changes_nothing(signing: NotarySigning) -> None:
    signing.owner.initialise()
    assert signing.owner.delegate([RELEASES, ADMIN], signing.alice.certificates)
    assert not signing.owner.delegate([RELEASES, ADMIN], signing.alice.certificates)
    assert signing.owner.delegate([RELEASES], signing.bob.certificates)
    found = {role.name: sorted(role.keys) for role in signing.owner.delegations()}
    assert found == {RELEASES: sorted([signing.alice.key_id, signing.bob.key_id]), ADMIN: [signing.alice.key_id]}


def test_expired_certificate_is_not_delegated_to(signing: NotarySigning) -> None:
    signing.owner.initialise()
    old = certified("old", ends=NOW - timedelta(hours=1))
    with pytest.raises(SigningError, match="expired on 2026-11-21, so nothing was delegated"):
        signing.owner.delegate([RELEASES], old.certificates)
    with pytest.raises(InvalidKeyError, match="no certificates of Ed25519 keys"):
        signing.owner.delegate([RELEASES], certified("ed", ed25519_signer().private).certificates)


def test_removed_delegation_is_emptied_first_if_its_key_is_held(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.sign(keys=only(signing.alice))
    signing.directory.add(only(signing.alice).key, "alice")
    assert signing.owner.withdraw(RELEASES) is True
    assert signing.owner.delegations() == []
    signing.owner.delegate([RELEASES], signing.alice.certificates)
    assert signing.tags(RELEASES) == {}


def test_removed_delegation_that_could_come_back_is_reported(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    assert signing.owner.withdraw(RELEASES) is True
    signing.owner.delegate([RELEASES], signing.alice.certificates)
    signing.sign(keys=only(signing.alice))
    assert signing.owner.withdraw(RELEASES) is False


def test_keys_that_no_role_uses_are_dropped(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.owner.delegate([ADMIN], signing.bob.certificates)
    signing.owner.withdraw(ADMIN, [signing.bob.canonical_id])
    assert list(signing.trust.signed["targets"]["delegations"]["keys"]) == [signing.alice.key_id]
    with pytest.raises(SigningError, match=f"does not list the key {signing.bob.key_id}"):
        signing.owner.withdraw(RELEASES, [signing.bob.key_id])


def test_rotation_of_targets_posts_root_and_targets_together(signing: NotarySigning) -> None:
    signing.owner.initialise()
    signing.sign()
    signing.dtr.writes.posted.clear()
    key = signing.owner.rotate_targets()
    assert signing.dtr.writes.posted == [["root", "targets"]]
    assert signing.trust.signed["root"]["roles"]["targets"]["keyids"] == [key.canonical_id]
    signing.sign("1.5", digest=signing.other)
    assert sorted(signing.tags("targets")) == ["1.4", "1.5"]


def test_rotation_of_the_timestamp_is_followed_by_readers(signing: NotarySigning) -> None:
    signing.owner.initialise()
    signing.sign()
    old = signing.trust.signed["root"]["roles"]["timestamp"]["keyids"]
    new = signing.owner.rotate_timestamp()
    assert signing.trust.signed["root"]["roles"]["timestamp"]["keyids"] == [new] != old
    signing.sign("1.5", digest=signing.other)
    assert sorted(signing.tags("targets")) == ["1.4", "1.5"]


def test_rotation_of_the_root_is_followed_by_those_who_know_the_old_one(signing: NotarySigning) -> None:
    signing.owner.initialise()
    old = signing.trust.signed["root"]["roles"]["root"]["keyids"]
    for _ in range(2):
        signing.owner.rotate_root()
    assert signing.trust.signed["root"]["version"] == 3
    assert signing.trust.signed["root"]["roles"]["root"]["keyids"] != old
    assert "2.root" in signing.trust.files
    signing.sign()


def test_rotation_without_the_root_key_makes_no_key(signing: NotarySigning) -> None:
    signing.owner.initialise()
    stranger = Owner.of(signing.publisher, TrustDirectory(signing.folder / "other", FixedPassphrases()))
    for rotate in (stranger.rotate_root, stranger.rotate_targets, stranger.rotate_timestamp):
        with pytest.raises(SigningError, match="a rotation needs the root key of"):
            rotate()
    assert not (signing.folder / "other").exists()


def test_missing_targets_key_says_which_rotation_helps(signing: NotarySigning) -> None:
    signing.owner.initialise()
    stranger = Owner.of(signing.publisher, TrustDirectory(signing.folder / "other", FixedPassphrases()))
    with pytest.raises(SigningError, match=f"sealgate notary rotate {signing.gun} targets"):
        stranger.delegate([RELEASES], signing.alice.certificates)


def test_snapshot_that_the_server_holds_is_left_alone(signing: NotarySigning) -> None:
    signing.owner.initialise()
    assert signing.owner.give_snapshot_to_server() is False
    signing.dtr.writes.keys.pop((signing.gun, "snapshot"))
    assert signing.owner.give_snapshot_to_server() is True
    signing.sign()


def test_tag_is_taken_away_from_every_role_that_names_it(signing: NotarySigning) -> None:
    signing.owner.initialise()
    signing.sign("1.4")
    signing.sign("1.5", digest=signing.other)
    assert signing.owner.remove_tag("1.4", []) == ("targets",)
    assert signing.owner.remove_tag("1.4", []) == ()
    assert list(signing.tags("targets")) == ["1.5"]


def test_tag_of_a_role_whose_key_is_not_held_is_not_taken_away(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.sign(keys=only(signing.alice))
    with pytest.raises(SigningError, match="no valid signing key for targets/releases"):
        signing.owner.remove_tag("1.4", [])
