"""Signing tags: which roles, with which keys, what is stored, and what is left alone."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from sealgate.api.v1alpha1.notary import NotarySpec
from sealgate.errors import SigningError, UnauthorizedError, VerificationError
from sealgate.formats.interface import Image
from sealgate.formats.notary.errors import MissingRepositoryError
from sealgate.formats.notary.private_keys.files import read_key_file
from sealgate.formats.notary.private_keys.stores import TrustDirectory
from sealgate.formats.notary.publishing.ownership import Owner
from sealgate.formats.notary.verify import build
from sealgate.formats.signing import SigningOutcome
from sealgate.keys.resolvers import FileKeys
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from tests.support.clocks import FakeClock
from tests.support.environments.notary import role
from tests.support.environments.notary_signing import (
    ADMIN,
    PASSPHRASE,
    RELEASES,
    FixedPassphrases,
    NotarySigning,
    only,
)
from tests.support.environments.registry_clients import docker_config
from tests.support.signers.notary import NOW, Signer, certified, rsa_key

if TYPE_CHECKING:
    from pathlib import Path

    from sealgate.formats.notary.publishing.publisher import Publisher
    from sealgate.formats.notary.verify import NotaryCheck
    from tests.support.signers.private_keys import PrivateKey


def check(signing: NotarySigning, *roles: dict[str, Any]) -> NotaryCheck:
    """Return the check of a policy that pins the repository's root."""
    root = signing.trust.signed["root"]["roles"]["root"]["keyids"][0]
    written = {"server": signing.dtr.url, "root": {"keyId": root}, "roles": list(roles)}
    return build(NotarySpec.model_validate_json(json.dumps(written)), FileKeys({}))


# Which roles -----------------------------------------------------------------------------------------------------


def test_without_delegations_targets_names_the_tag(signing: NotarySigning) -> None:
    signing.owner.initialise()
    result = signing.sign()
    assert result.outcome is SigningOutcome.SIGNED
    assert result.location == f"targets of {signing.gun} on {signing.dtr.url}"
    assert list(signing.tags("targets")) == ["1.4"]
    check(signing).verify(signing.image(), signing.context.sources)


def test_delegate_with_one_certificate_signs_both_ucp_roles_in_one_post(signing: NotarySigning) -> None:
    signing.delegated()
    signing.dtr.writes.posted.clear()
    result = signing.sign(keys=only(signing.alice))
    assert signing.dtr.writes.posted == [[RELEASES, ADMIN]]
    assert result.fingerprint == signing.alice.fingerprint
    required = check(signing, role(RELEASES, signing.alice), role(ADMIN, signing.alice))
    assert required.verify(signing.image(), signing.context.sources).fingerprints == (signing.alice.fingerprint,)


def test_with_delegations_targets_is_never_signed(signing: NotarySigning) -> None:
    signing.delegated()
    with pytest.raises(SigningError, match="not signed by its targets key") as caught:
        signing.sign()
    assert f"targets/releases: its keys are {signing.alice.canonical_id}" in caught.value.message
    assert "sealgate notary delegation add" in caught.value.message


def test_only_roles_whose_key_is_held_sign(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.owner.delegate([ADMIN], signing.bob.certificates)
    signing.sign(keys=only(signing.bob))
    assert list(signing.tags(ADMIN)) == ["1.4"]
    assert RELEASES not in signing.trust.files


def test_role_whose_paths_do_not_fit_is_not_chosen(signing: NotarySigning) -> None:
    signing.delegated()
    limit_paths(signing, RELEASES, "release-")
    assert "targets/admin of" in signing.sign(keys=only(signing.alice)).location
    limit_paths(signing, ADMIN, "release-")
    with pytest.raises(SigningError, match=r"its paths do not permit the tag 2.0"):
        signing.sign("2.0", keys=only(signing.alice))


def limit_paths(signing: NotarySigning, name: str, path: str) -> None:
    """Let another writer change the paths of a delegation, as notary's own programs can."""
    signing.trust.signers["targets"] = [targets_key(signing)]
    signing.trust.delegation(name)["paths"] = [path]
    signing.trust.bump("targets", "snapshot", "timestamp")
    signing.trust.write("targets")
    signing.trust.relink("targets", signing.trust.files["targets"])


def targets_key(signing: NotarySigning) -> Signer:
    (name,) = signing.trust.signed["root"]["roles"]["targets"]["keyids"]
    content = (signing.folder / "trust" / "private" / f"{name}.key").read_bytes()
    return Signer(read_key_file(content).open(PASSPHRASE))


def test_named_roles_must_exist_and_have_the_key(signing: NotarySigning) -> None:
    signing.delegated()
    with pytest.raises(SigningError, match=r"has no role targets/qa; its owner adds it with: sealgate notary del"):
        signing.sign(keys=only(signing.alice), roles=("targets/qa",))
    with pytest.raises(SigningError, match="has no role releases"):
        signing.sign(keys=only(signing.alice), roles=("releases",))
    with pytest.raises(SigningError, match="no valid signing key for targets/admin") as caught:
        signing.sign(keys=only(signing.bob), roles=(ADMIN,))
    assert signing.alice.canonical_id in caught.value.message
    signing.sign(keys=only(signing.alice), roles=(ADMIN,))
    assert RELEASES not in signing.trust.files


def test_named_role_must_permit_the_tag(signing: NotarySigning) -> None:
    signing.delegated()
    limit_paths(signing, RELEASES, "release-")
    with pytest.raises(SigningError, match=r"may not name the tag 1.4, only tags that begin with release-"):
        signing.sign(keys=only(signing.alice), roles=(RELEASES,))


def test_reference_without_tag_is_refused(signing: NotarySigning) -> None:
    signing.owner.initialise()
    image = Image(parse_reference(f"{signing.gun}@{signing.digest}"), signing.digest)
    with pytest.raises(SigningError, match="has no tag"):
        signing.signer().sign(image, signing.context)


def test_digest_that_the_tag_does_not_name_is_refused(signing: NotarySigning) -> None:
    """With --recursive each platform's digest comes with the index's tag; signing it would move the tag."""
    signing.owner.initialise()
    with pytest.raises(SigningError, match="has no signatures of the platforms of an index"):
        signing.signer().sign(signing.image("1.4", signing.other), signing.context)


# What is left alone ----------------------------------------------------------------------------------------------


def test_tag_that_is_signed_is_left_alone(signing: NotarySigning) -> None:
    signing.delegated()
    signing.sign(keys=only(signing.alice))
    files = dict(signing.trust.files)
    again = signing.sign(keys=only(signing.alice))
    assert again.outcome is SigningOutcome.ALREADY_SIGNED
    assert again.fingerprint == signing.alice.fingerprint
    assert signing.trust.files == files


def test_moved_tag_is_signed_anew_and_others_are_kept(signing: NotarySigning) -> None:
    signing.delegated()
    signing.sign("1.4", keys=only(signing.alice))
    signing.sign("1.5", keys=only(signing.alice), digest=signing.other)
    before = dict(signing.tags(RELEASES))
    result = signing.sign("1.4", keys=only(signing.alice), digest=signing.other)
    assert result.outcome is SigningOutcome.SIGNED
    assert signing.tags(RELEASES)["1.5"] == before["1.5"]
    assert signing.tags(RELEASES)["1.4"] == before["1.5"]


def test_tag_signed_by_another_key_of_the_role_is_signed_anew(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.owner.delegate([RELEASES], signing.bob.certificates)
    signing.sign(keys=only(signing.alice))
    result = signing.sign(keys=only(signing.bob))
    assert result.outcome is SigningOutcome.SIGNED
    assert result.fingerprint == signing.bob.fingerprint


def test_entries_with_custom_data_are_kept(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.sign(keys=only(signing.alice))
    entry = {**signing.tags(RELEASES)["1.4"], "custom": {"built": "by <us> & others"}}
    signing.trust.signed[RELEASES]["targets"]["1.0"] = entry
    signing.trust.signers[RELEASES] = [signing.alice]
    signing.trust.bump(RELEASES, "snapshot", "timestamp")
    signing.trust.write(RELEASES)
    signing.trust.relink(RELEASES, signing.trust.files[RELEASES])
    signing.sign("1.5", keys=only(signing.alice), digest=signing.other)
    assert signing.tags(RELEASES)["1.0"] == entry
    assert b"\\u003cus\\u003e \\u0026 others" in signing.trust.files[RELEASES]


# Keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["P-384", "P-521", "RSA", "Ed25519"])
def test_keys_of_every_kind_sign(signing: NotarySigning, kind: str) -> None:
    privates: dict[str, PrivateKey] = {
        "P-384": ec.generate_private_key(ec.SECP384R1()),
        "P-521": ec.generate_private_key(ec.SECP521R1()),
        "RSA": rsa_key(),
        "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
    private = privates[kind]
    signing.owner.initialise()
    signer = Signer(private) if kind == "Ed25519" else certified("carol", private)
    if kind == "Ed25519":
        delegate_bare(signing, signer)
    else:
        signing.owner.delegate([RELEASES], signer.certificates)
    signing.sign(keys=only(signer))
    check(signing, role(RELEASES, signer)).verify(signing.image(), signing.context.sources)


def delegate_bare(signing: NotarySigning, signer: Signer) -> None:
    """Let the owner delegate with another program to a key without certificate."""
    signing.trust.signers["targets"] = [targets_key(signing)]
    signing.trust.signed["targets"]["version"] += 1
    signing.trust.delegate(RELEASES, signer)
    del signing.trust.signed[RELEASES]
    signing.trust.bump("snapshot", "timestamp")
    signing.trust.write("targets")
    signing.trust.relink("targets", signing.trust.files["targets"])


def test_expired_certificate_of_a_delegate_is_named(signing: NotarySigning) -> None:
    carol = certified("carol", ends=NOW + timedelta(days=10))
    signing.owner.initialise()
    signing.owner.delegate([RELEASES], carol.certificates)
    clock = signing.clock
    assert isinstance(clock, FakeClock)
    clock.advance(timedelta(days=11).total_seconds())
    with pytest.raises(
        SigningError, match="certificate expired on 2026-12-01; delegate to a new certificate"
    ) as caught:
        signing.sign(keys=only(carol))
    assert carol.canonical_id in caught.value.message


def test_threshold_that_is_not_reached_is_named(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.owner.delegate([RELEASES], signing.bob.certificates)
    signing.trust.signers["targets"] = [targets_key(signing)]
    signing.trust.delegation(RELEASES)["threshold"] = 2
    signing.trust.bump("targets", "snapshot", "timestamp")
    signing.trust.write("targets")
    signing.trust.relink("targets", signing.trust.files["targets"])
    with pytest.raises(SigningError, match="of which 2 must sign"):
        signing.sign(keys=only(signing.alice), roles=(RELEASES,))


def test_locked_key_file_is_named_with_role_id_and_cause(signing: NotarySigning) -> None:
    signing.owner.initialise()
    (name,) = signing.trust.signed["root"]["roles"]["targets"]["keyids"]
    for passphrases, why in (
        (FixedPassphrases(("wrong",)), "the passphrase is wrong, or the file is damaged"),
        (FixedPassphrases(()), "it is encrypted, and no passphrase is given"),
    ):
        locked = TrustDirectory(signing.folder / "trust", passphrases)
        with pytest.raises(SigningError, match=why) as caught:
            signing.sign(keys=locked)
        assert f"the targets key {name} in " in caught.value.message
        assert "Passphrases come from the test's own list" in caught.value.message
        assert PASSPHRASE not in caught.value.message


# The repository --------------------------------------------------------------------------------------------------


def test_unknown_repository_says_the_command(signing: NotarySigning) -> None:
    with pytest.raises(MissingRepositoryError, match=f"sealgate notary init {signing.gun}"):
        signing.sign()
    assert not signing.dtr.writes.posted


def test_unknown_repository_is_initialised_if_asked_for(signing: NotarySigning) -> None:
    result = signing.sign(initialise=lambda publisher: Owner.of(publisher, signing.directory).initialise())
    assert result.outcome is SigningOutcome.SIGNED
    assert signing.dtr.writes.posted == [["root", "targets"], ["targets"]]


def test_tag_is_signed_under_a_root_that_was_certified_just_now(signing: NotarySigning) -> None:
    clock = signing.clock
    assert isinstance(clock, FakeClock)

    def initialise(publisher: Publisher) -> None:
        clock.advance(1)
        Owner.of(publisher, signing.directory).initialise()

    assert signing.sign(initialise=initialise).outcome is SigningOutcome.SIGNED


def test_expired_targets_stop_a_delegate_before_anything_is_posted(signing: NotarySigning) -> None:
    signing.delegated()
    clock = signing.clock
    assert isinstance(clock, FakeClock)
    clock.advance(timedelta(days=1100).total_seconds())
    signing.dtr.writes.posted.clear()
    with pytest.raises(VerificationError, match=r"the targets file of .* expired") as caught:
        signing.sign(keys=only(certified("alice", signing.alice.private)))
    assert caught.value.reason is Reason.EXPIRED
    assert not signing.dtr.writes.posted


def test_file_of_a_removed_signer_begins_anew_without_its_entries(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.owner.delegate([RELEASES], signing.bob.certificates)
    signing.sign("1.4", keys=only(signing.alice))
    assert signing.owner.withdraw(RELEASES, [signing.alice.canonical_id]) is False
    signing.sign("1.5", keys=only(signing.bob), digest=signing.other)
    assert list(signing.tags(RELEASES)) == ["1.5"]
    assert signing.trust.signed[RELEASES]["version"] == 2


def test_entries_of_a_stranger_are_not_signed_anew(signing: NotarySigning) -> None:
    """A server that was taken over puts a tag into a role, and waits for a real signer to sign the file."""
    signing.delegated(RELEASES)
    signing.sign("1.4", keys=only(signing.alice))
    signing.trust.signed[RELEASES]["targets"]["evil"] = signing.tags(RELEASES)["1.4"]
    for signers in ([certified("mallory")], []):
        signing.trust.signers[RELEASES] = signers
        signing.trust.bump(RELEASES, "snapshot", "timestamp")
        signing.trust.write(RELEASES)
        signing.trust.relink(RELEASES, signing.trust.files[RELEASES])
        signing.sign("1.5", keys=only(signing.alice), digest=signing.other)
        assert list(signing.tags(RELEASES)) == ["1.5"]
        signing.trust.signed[RELEASES]["targets"]["evil"] = signing.tags(RELEASES)["1.5"]


def test_rolled_back_role_is_not_extended(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.sign("1.4", keys=only(signing.alice))
    old = dict(signing.trust.files)
    signing.sign("1.5", keys=only(signing.alice), digest=signing.other)
    signing.trust.files.update(old)
    with pytest.raises(VerificationError, match="rolled back"):
        signing.sign("1.6", keys=only(signing.alice))


def test_swapped_root_is_not_trusted(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.sign(keys=only(signing.alice))
    stranger = certified(signing.gun)
    signing.trust.signers["root"] = [stranger]
    signing.trust.set_keys("root", stranger)
    signing.trust.write("root")
    with pytest.raises(VerificationError, match="not the one that was trusted before"):
        signing.sign("1.5", keys=only(signing.alice))


# Rights ----------------------------------------------------------------------------------------------------------


def test_token_for_reading_only_is_a_clear_refusal(tmp_path: Path) -> None:
    with NotarySigning(tmp_path) as signing:
        signing.delegated()
        signing.dtr.auth.mode, signing.dtr.auth.users = "bearer", {"robot": "s3cret"}
        signing.dtr.auth.issued = {}
        signing.credentials = docker_config({signing.dtr.host: {"username": "robot", "password": "s3cret"}})
        signing.sign(keys=only(signing.alice))
        assert any(f"repository:{signing.gun}:push,pull" in scopes for scopes in signing.dtr.auth.issued.values())
        signing.credentials = docker_config({signing.dtr.host: {"username": "robot", "password": "wrong"}})
        with pytest.raises(UnauthorizedError) as caught:
            signing.sign("1.5", keys=only(signing.alice))
        assert "s3cret" not in caught.value.message


def test_sealgate_refuses_every_file_after_one_byte_changed(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.sign(keys=only(signing.alice))
    required = check(signing, role(RELEASES, signing.alice))
    required.verify(signing.image(), signing.context.sources)
    for name in ("root", "targets", RELEASES):
        raw = signing.trust.files[name]
        position = raw.index(b'"sig":"') + 20
        changed = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        files = dict(signing.trust.files)
        for key in [key for key, data in files.items() if data == raw]:
            signing.trust.files[key] = changed
        with pytest.raises(VerificationError):
            required.verify(signing.image(), signing.context.sources)
        signing.trust.files = files
