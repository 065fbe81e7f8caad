"""Attacks on who counts as a signer: one key as two, keys that are spoilt, keys that are weak."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.policies.decisions import ImageVerdict, Verdict
from sealgate.reasons import Reason
from sealgate.verification.settings import VerifierSettings
from tests.support.builders.objects import policy_model
from tests.support.clocks import FakeClock
from tests.support.environments.simple_signing import SimpleSigningEnvironment, simple_authenticator, simple_check
from tests.support.environments.verifier import VerifierEnvironment, policy_set
from tests.support.signers.openpgp_certificates import NOW, certificates
from tests.support.signers.simple_signing import Signer, message, payload
from tests.support.simulators.openshift import OpenShiftSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.api.v1alpha1.authenticator import Authenticator

ONE, TWO = Signer(), Signer()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime.now(UTC))


@pytest.fixture
def registry() -> OpenShiftSimulator:
    return OpenShiftSimulator()


@pytest.fixture
def environment(registry: OpenShiftSimulator, clock: FakeClock) -> Iterator[VerifierEnvironment]:
    with VerifierEnvironment(registry=registry, clock=clock) as environment:
        yield environment


def push(environment: VerifierEnvironment, registry: OpenShiftSimulator, *signers: Signer) -> str:
    digest = registry.push_image("team/app", "v1")
    for signer in signers:
        registry.sign(digest, signer.sign(payload(digest, environment.image("v1"))))
    return environment.image("v1")


def ask(environment: VerifierEnvironment, image: str, *authenticators: Authenticator) -> ImageVerdict:
    policies = policy_set(
        authenticators, [policy_model("production", authenticators=(found.metadata.name for found in authenticators))]
    )
    return environment.verify(image, policies=policies)[0]


def refused(verdict: ImageVerdict) -> Reason:
    assert verdict.verdict is Verdict.DENY
    return verdict.policies[0].findings[0].reason


def test_attack_08_one_signature_does_not_meet_two_authenticators(
    environment: VerifierEnvironment, registry: OpenShiftSimulator
) -> None:
    image = push(environment, registry, ONE)
    release = simple_authenticator("release", ONE.public)
    security = simple_authenticator("security", ONE.public, TWO.public)
    assert ask(environment, image, release).verdict is Verdict.ADMIT
    assert ask(environment, image, security).verdict is Verdict.ADMIT
    assert ask(environment, image, release, security).verdict is Verdict.DENY


def test_attack_08_many_signatures_by_one_key_are_one(
    environment: VerifierEnvironment, registry: OpenShiftSimulator
) -> None:
    image = push(environment, registry, ONE, ONE, ONE)
    either = [simple_authenticator(name, ONE.public, TWO.public) for name in ("release", "security")]
    verdict = ask(environment, image, *either)
    assert verdict.verdict is Verdict.DENY
    assert len(verdict.policies[0].findings[0].fingerprints) == 1


def test_attack_08_two_keys_meet_two_overlapping_authenticators(
    environment: VerifierEnvironment, registry: OpenShiftSimulator
) -> None:
    image = push(environment, registry, ONE, TWO)
    release = simple_authenticator("release", ONE.public, TWO.public)
    security = simple_authenticator("security", ONE.public)
    assert ask(environment, image, release, security).verdict is Verdict.ADMIT


def test_attack_08_certificate_listed_twice_is_one_signer(
    environment: VerifierEnvironment, registry: OpenShiftSimulator
) -> None:
    image = push(environment, registry, ONE)
    twice = [simple_authenticator(name, ONE.public, ONE.public) for name in ("release", "security")]
    assert ask(environment, image, *twice).verdict is Verdict.DENY


@pytest.mark.parametrize("keyring", ["", "\n", "no key at all"])
def test_attack_09_empty_keyring_is_refused_before_verification(keyring: str) -> None:
    with pytest.raises(InvalidKeyError):
        simple_check(keyring={"inline": keyring})


@pytest.mark.parametrize("name", ["rsa-1024-too-short", "dsa-1024-too-short", "ecdsa-secp256k1-unsupported-curve"])
def test_attack_10_weak_key_is_refused_before_verification(name: str) -> None:
    with pytest.raises(InvalidKeyError, match="not accepted"):
        simple_check(name)


@pytest.mark.parametrize("name", ["sha1-digest", "ripemd160-digest"])
def test_attack_10_a_signature_over_a_weak_digest_does_not_count(name: str) -> None:
    with SimpleSigningEnvironment() as environment:
        environment.registry.sign(environment.digest, message(name))
        assert environment.refusal(simple_check("rsa-2048")).reason is Reason.INVALID_SIGNATURE


def test_attack_16_expired_key_is_refused_once_the_cache_expires(
    environment: VerifierEnvironment, registry: OpenShiftSimulator, clock: FakeClock
) -> None:
    signer = Signer(validity_seconds=3600)
    image = push(environment, registry, signer)
    release = simple_authenticator("release", signer.public)
    assert ask(environment, image, release).verdict is Verdict.ADMIT
    clock.advance(3600 + VerifierSettings().verified_seconds)
    assert refused(ask(environment, image, release)) is Reason.EXPIRED


def test_attack_16_a_revocation_in_the_keyring_refuses_at_once(
    environment: VerifierEnvironment, registry: OpenShiftSimulator
) -> None:
    image = push(environment, registry, ONE)
    assert ask(environment, image, simple_authenticator("release", ONE.public)).verdict is Verdict.ADMIT
    assert refused(ask(environment, image, simple_authenticator("release", ONE.revoked()))) is Reason.REVOKED


@pytest.mark.parametrize("why", ["without-reason", "as-compromised", "as-superseded", "as-retired"])
@pytest.mark.parametrize("which", ["revoked", "subkey-revoked"])
def test_attack_16_older_signatures_of_revoked_keys_do_not_count(which: str, why: str) -> None:
    with SimpleSigningEnvironment() as environment:
        environment.registry.sign(environment.digest, message(f"by-{which}-{why}"))
        assert environment.refusal(simple_check(f"{which}-{why}")).reason is Reason.REVOKED


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        ("expired", "by-expired"),
        ("subkey-expired", "by-subkey-expired"),
        ("primary-expired", "by-subkey-of-primary-expired"),
        ("ed25519", "expired-signature"),
    ],
)
def test_attack_16_what_has_expired_does_not_count(key: str, signed: str) -> None:
    with SimpleSigningEnvironment() as environment:
        environment.registry.sign(environment.digest, message(signed))
        assert environment.refusal(simple_check(key)).reason is Reason.EXPIRED


@pytest.mark.parametrize(
    "name",
    [
        "binding: signature expired since, alone",
        "binding: signature expired since, after a good one",
        "binding: critical notation, alone, after the message",
        "binding: agreement with a critical notation, alone, after the message",
        "newer direct over a user id that never ends: key expired",
    ],
)
def test_attack_16_keys_that_are_no_longer_bound_do_not_count(name: str) -> None:
    case = certificates()[name]
    with pytest.raises((VerificationError, InvalidKeyError)):
        load_keyring(case.certificate).verify(case.signed, NOW)


def test_attack_16_deleted_signature_expires_with_the_cache(
    environment: VerifierEnvironment, registry: OpenShiftSimulator, clock: FakeClock
) -> None:
    image = push(environment, registry, ONE)
    release = simple_authenticator("release", ONE.public)
    assert ask(environment, image, release).verdict is Verdict.ADMIT
    registry.signatures.clear()
    clock.advance(VerifierSettings().verified_seconds)
    assert refused(ask(environment, image, release)) is Reason.NO_SIGNATURE
