"""Attacks on what a simple-signing signature is about: another image, another name, another kind of statement."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sealgate.keys.openpgp.packets import read_packets, read_signature
from sealgate.policies.decisions import ImageVerdict, Verdict
from sealgate.reasons import Reason
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.support.builders.objects import policy_model
from tests.support.clocks import FakeClock
from tests.support.environments.simple_signing import SimpleSigningEnvironment, rule, simple_authenticator, simple_check
from tests.support.environments.verifier import VerifierEnvironment, policy_set
from tests.support.signers.simple_signing import Signer, message, packet, payload
from tests.support.simulators.http_messages import encode
from tests.support.simulators.openshift import OpenShiftSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.api.v1alpha1.authenticator import Authenticator

RELEASE, STRANGER = Signer(), Signer()


@pytest.fixture
def registry() -> OpenShiftSimulator:
    return OpenShiftSimulator()


@pytest.fixture
def environment(registry: OpenShiftSimulator) -> Iterator[VerifierEnvironment]:
    with VerifierEnvironment(registry=registry, clock=FakeClock(datetime.now(UTC))) as environment:
        yield environment


def ask(environment: VerifierEnvironment, image: str, *authenticators: Authenticator) -> ImageVerdict:
    given = authenticators or (simple_authenticator("release", RELEASE.public),)
    policies = policy_set(given, [policy_model("production", authenticators=(found.metadata.name for found in given))])
    return environment.verify(image, policies=policies)[0]


def refused(verdict: ImageVerdict) -> Reason:
    assert verdict.verdict is Verdict.DENY
    return verdict.policies[0].findings[0].reason


def test_attack_03_a_signature_of_another_image_does_not_count(
    environment: VerifierEnvironment, registry: OpenShiftSimulator
) -> None:
    signed, other = registry.push_image("team/app", "v1"), registry.push_image("team/app", "v2")
    message_of_v1 = RELEASE.sign(payload(signed, environment.image("v1")))
    registry.sign(signed, message_of_v1)
    registry.sign(other, message_of_v1)
    assert ask(environment, environment.image("v1")).verdict is Verdict.ADMIT
    assert refused(ask(environment, environment.image("v2"))) is Reason.DIGEST_MISMATCH


def test_attack_03_copied_image_does_not_take_its_signature(
    environment: VerifierEnvironment, registry: OpenShiftSimulator
) -> None:
    digest = registry.push_image("team/app", "v1")
    media_type, body = registry.manifest("team/app", "v1")
    registry.push_manifest("evil/app", "v1", body, media_type)
    registry.sign(digest, RELEASE.sign(payload(digest, environment.image("v1"))))
    # The extension keeps signatures by image, so both repositories serve it.
    assert ask(environment, environment.image("v1")).verdict is Verdict.ADMIT
    assert refused(ask(environment, environment.image("v1", "evil/app"))) is Reason.REPOSITORY_MISMATCH


def test_attack_03_a_list_for_another_digest_is_not_one_for_this(
    environment: VerifierEnvironment, registry: OpenShiftSimulator
) -> None:
    digest = registry.push_image("team/app", "v1")
    entry = f"sha256:{'0' * 64}@{'a' * 32}"
    registry.sign(digest, RELEASE.sign(payload(digest, environment.image("v1"))), name=entry)
    assert refused(ask(environment, environment.image("v1"))) is Reason.DIGEST_MISMATCH


def test_attack_03_a_mirror_counts_only_where_the_policy_says_so(
    environment: VerifierEnvironment, registry: OpenShiftSimulator
) -> None:
    digest = registry.push_image("team/app", "v1")
    registry.sign(digest, RELEASE.sign(payload(digest, "registry.example.org/team/app:v1")))
    assert refused(ask(environment, environment.image("v1"))) is Reason.REPOSITORY_MISMATCH
    remap = {"prefix": registry.host, "signedPrefix": "registry.example.org"}
    remapped = simple_authenticator(
        "release", RELEASE.public, signedIdentity=rule("RemapIdentity", remapIdentity=remap)
    )
    assert ask(environment, environment.image("v1"), remapped).verdict is Verdict.ADMIT


@pytest.mark.parametrize("policy_name", ["MatchExact", "MatchRepoDigestOrExact"])
def test_attack_04_an_old_signature_does_not_count_for_a_new_tag(
    environment: VerifierEnvironment, registry: OpenShiftSimulator, policy_name: str
) -> None:
    digest = registry.push_image("team/app", "v1")
    registry.sign(digest, RELEASE.sign(payload(digest, environment.image("v1"))))
    registry.tag("team/app", "v2", digest)
    strict = simple_authenticator("release", RELEASE.public, signedIdentity=rule(policy_name))
    assert ask(environment, environment.image("v1"), strict).verdict is Verdict.ADMIT
    assert refused(ask(environment, environment.image("v2"), strict)) is Reason.IDENTITY_MISMATCH
    assert refused(ask(environment, f"{environment.image('v2')}@{digest}", strict)) is Reason.IDENTITY_MISMATCH
    assert ask(environment, f"{environment.image('v1')}@{digest}", strict).verdict is Verdict.ADMIT


@pytest.mark.parametrize("switch", [False, True])
def test_attack_05_signed_platform_does_not_admit_the_index(
    environment: VerifierEnvironment,
    registry: OpenShiftSimulator,
    switch: bool,  # noqa: FBT001 - a column of the table
) -> None:
    release = simple_authenticator("release", RELEASE.public, acceptPlatformSignatures=switch)
    amd64, arm64 = (registry.push_image("team/app", None, content=name) for name in (b"amd64", b"arm64"))
    index = registry.push_index("team/app", "v1", (amd64, arm64))
    registry.sign(amd64, RELEASE.sign(payload(amd64, environment.image("v1"))))
    assert refused(ask(environment, environment.image("v1"), release)) is Reason.NO_SIGNATURE
    assert refused(ask(environment, f"{environment.image('v1')}@{index}", release)) is Reason.NO_SIGNATURE
    assert ask(environment, f"{environment.image('v1')}@{amd64}", release).verdict is Verdict.ADMIT


@pytest.mark.parametrize("switch", [False, True])
def test_attack_05_signed_index_does_not_admit_a_platform(
    environment: VerifierEnvironment,
    registry: OpenShiftSimulator,
    switch: bool,  # noqa: FBT001 - a column of the table
) -> None:
    release = simple_authenticator("release", RELEASE.public, acceptPlatformSignatures=switch)
    platform = registry.push_image("team/app", None)
    index = registry.push_index("team/app", "v1", (platform,))
    registry.sign(index, RELEASE.sign(payload(index, environment.image("v1"))))
    assert ask(environment, environment.image("v1"), release).verdict is Verdict.ADMIT
    assert refused(ask(environment, f"{environment.image('v1')}@{platform}", release)) is Reason.NO_SIGNATURE


@pytest.mark.parametrize("member", ["layers", "Manifests", "MANIFESTS", "manifest\u017f", "fsLayers"])
def test_attack_05_ambiguous_index_of_signed_images_is_refused(
    environment: VerifierEnvironment, registry: OpenShiftSimulator, member: str
) -> None:
    """Go's decoder takes members in any case, the last one winning; a runtime may run the image that it finds."""
    release = simple_authenticator("release", RELEASE.public, acceptPlatformSignatures=True)
    signed, evil = (registry.push_image("team/app", None, content=name) for name in (b"signed", b"evil"))
    registry.sign(signed, RELEASE.sign(payload(signed, environment.image("v1"))))
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{"mediaType": OCI_MANIFEST, "digest": signed}],
    }
    registry.push_manifest("team/app", "v1", encode(document), OCI_INDEX)
    assert ask(environment, environment.image("v1"), release).verdict is Verdict.ADMIT
    document[member] = [{"mediaType": OCI_MANIFEST, "digest": evil}]
    registry.push_manifest("team/app", "v2", encode(document), OCI_INDEX)
    registry.sign(signed, RELEASE.sign(payload(signed, environment.image("v2"))))
    assert refused(ask(environment, environment.image("v2"), release)) is Reason.MALFORMED_EVIDENCE


def test_attack_06_cosign_payload_signed_by_openpgp_is_refused(
    environment: VerifierEnvironment, registry: OpenShiftSimulator
) -> None:
    digest = registry.push_image("team/app", "v1")
    text = payload(digest, environment.image("v1")).replace(
        b"atomic container signature", b"cosign container image signature"
    )
    registry.sign(digest, RELEASE.sign(text))
    assert refused(ask(environment, environment.image("v1"))) is Reason.TYPE_MISMATCH


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (b'{"critical"', b'{"critical": {}, "critical"'),
        (b'"docker-manifest-digest": ', b'"docker-manifest-digest": "sha256:0", "docker-manifest-digest": '),
        (b'"type": ', b'"extra": 1, "type": '),
        (b'"optional": {}', b'"optional": {}, "extra": {}'),
        (b', "optional": {}', b""),
        (b'"optional": {}', b'"optional": {"timestamp": 1e400}'),
        (b'"optional": {}', b'"optional": {"timestamp": NaN}'),
        (b'"optional": {}', b'"optional": {"creator": []}'),
        (b'"optional": {}}', b'"optional": {}}{}'),
        (b'"optional": {}}', b'"optional": {}}\0'),
        (b"atomic", b"\xff"),
    ],
)
def test_attack_13_ambiguous_signed_text_is_refused(
    environment: VerifierEnvironment, registry: OpenShiftSimulator, given: bytes, wanted: bytes
) -> None:
    digest = registry.push_image("team/app", "v1")
    text = payload(digest, environment.image("v1"))
    assert given in text
    registry.sign(digest, RELEASE.sign(text.replace(given, wanted, 1)))
    assert refused(ask(environment, environment.image("v1"))) is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize(
    "name",
    [
        "",
        "{}",
        "{}@",
        "{}@short",
        "{}@" + "a" * 33,
        "sha256:abc@" + "a" * 32,
        "{}@" + "a" * 31 + " ",
        "../{}@" + "a" * 32,
    ],
)
def test_attack_13_entry_name_must_be_digest_and_32_characters(
    environment: VerifierEnvironment, registry: OpenShiftSimulator, name: str
) -> None:
    digest = registry.push_image("team/app", "v1")
    good = RELEASE.sign(payload(digest, environment.image("v1")))
    registry.sign(digest, good, name=name.format(digest))
    assert refused(ask(environment, environment.image("v1"))) is Reason.MALFORMED_EVIDENCE


def test_attack_12_file_name_is_never_taken_for_a_verdict() -> None:
    with SimpleSigningEnvironment() as environment:
        environment.registry.sign(environment.digest, message("hostile-file-name"))
        assert environment.refusal(simple_check("stranger")).reason is Reason.UNKNOWN_KEY


@pytest.mark.parametrize(
    "name",
    [
        "armored",
        "cleartext",
        "detached",
        "armored-detached",
        "two-signatures",
        "no-signature",
        "followed-by-another",
        "followed-by-bytes",
        "encrypted",
    ],
)
def test_attack_12_one_binary_message_with_one_signature_counts(name: str) -> None:
    with SimpleSigningEnvironment() as environment:
        environment.registry.sign(environment.digest, message(name))
        assert environment.refusal(simple_check("ed25519", "rsa-2048")).reason is Reason.MALFORMED_EVIDENCE


def test_attack_12_claimed_key_id_does_not_count_as_signer(
    environment: VerifierEnvironment, registry: OpenShiftSimulator
) -> None:
    digest = registry.push_image("team/app", "v1")
    text = payload(digest, environment.image("v1"))
    honest, forged = read_packets(RELEASE.sign(text))[2], read_packets(STRANGER.sign(text))
    registry.sign(digest, b"".join(map(bytes, forged[:2])) + _claiming(forged[2].body, honest.body))
    assert refused(ask(environment, environment.image("v1"))) is Reason.INVALID_SIGNATURE


def _claiming(stranger: bytes, honest: bytes) -> bytes:
    """The stranger's signature with the honest signer's key id in the part that no signature covers."""
    end = 6 + int.from_bytes(stranger[4:6], "big")
    size = int.from_bytes(stranger[end : end + 2], "big")
    fingerprint = bytes.fromhex(max(read_signature(honest).issuers, key=len))
    issuer = bytes([9, 16]) + fingerprint[-8:]
    return packet(2, stranger[:end] + len(issuer).to_bytes(2, "big") + issuer + stranger[end + 2 + size :])
