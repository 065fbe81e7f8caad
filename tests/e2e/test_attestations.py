"""Attestations: images run with what a policy requires of them, and are denied for each one wrong thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e import release
from tests.e2e.images import PlainRegistry
from tests.e2e.kube import apply
from tests.e2e.objects import authenticator_of
from tests.support.signers.cosign import BundleOf, push_attestations
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.images import Image, ImageBuilder
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

KEY = new_key("ECDSA P-256", "builder")
STRANGER = new_key("ECDSA P-256", "stranger")
SLSA = "https://slsa.dev/provenance/v1"
BUILDER = "https://builder.example.org"
GOOD = {"buildDefinition": {"buildType": "t"}, "runDetails": {"builder": {"id": BUILDER}}}
BUILT_ELSEWHERE = {"buildDefinition": {"buildType": "t"}, "runDetails": {"builder": {"id": f"{BUILDER}.evil"}}}
REQUIRED = {"predicateType": SLSA, "conditions": [f"predicate.runDetails.builder.id == '{BUILDER}'"]}


def requiring(attestation: Object, *pems: str) -> Object:
    """Return the spec of an authenticator that requires an attestation, and no signature."""
    keys = [{"pem": pem} for pem in (public_pem(KEY), *pems)]
    return {"cosign": {"keys": keys, "attestations": [attestation], "signatures": "NotRequired"}}


@dataclass(frozen=True, slots=True)
class Attested:
    """Images with attestations, and a namespace that requires them.

    Attributes:
        team: the namespace.
        images: by what is special about each: `layer` and `bundle` are as required, in both layouts of cosign;
            `builder` was built elsewhere, `subject` has the attestation of another image, `key` one by a stranger,
            `bare` none.
    """

    team: Team
    images: dict[str, Image]


@pytest.fixture(scope="module")
def attested(image_builder: ImageBuilder, repository: str, new_module_team: Callable[[], Team]) -> Attested:
    registry = PlainRegistry(release.REGISTRY)
    images = {
        name: image_builder.push(f"{repository}/attested:{name}", f"attested-{name}")
        for name in ("layer", "bundle", "builder", "subject", "key", "bare")
    }
    pem = image_builder.new_key("attestations")
    for name, predicate in {"layer": GOOD, "bundle": GOOD, "builder": BUILT_ELSEWHERE}.items():
        image_builder.attest(images[name], "attestations", SLSA, predicate, bundle=name == "bundle")
    another: list[Object] = [{"digest": {"sha256": images["layer"].digest.removeprefix("sha256:")}}]
    for name, key, subjects in (("subject", KEY, another), ("key", STRANGER, None)):
        made = BundleOf(images[name].digest, key, subjects=subjects, predicate_type=SLSA, predicate=GOOD)
        push_attestations(registry, images[name].path, made)
    team = new_module_team()
    team.require(requiring(REQUIRED, pem))
    team.wait_for_decision(images["layer"].tagged, admitted=True)
    team.wait_for_decision(images["bare"].tagged, admitted=False)
    return Attested(team, images)


def test_attested_images_run(attested: Attested) -> None:
    attested.team.expect_running(attested.images["layer"], attested.images["bundle"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bare", "NoAttestation"),
        ("builder", "PredicateMismatch"),
        ("subject", "DigestMismatch"),
        ("key", "InvalidSignature"),
    ],
)
def test_image_with_one_wrong_thing_is_denied(attested: Attested, name: str, reason: str) -> None:
    attested.team.expect_denied(attested.images[name].tagged, reason)


def test_condition_that_does_not_compile_is_refused(attested: Attested) -> None:
    broken = requiring({"predicateType": SLSA, "conditions": ["predicate.builder.id =="]})
    done = apply(authenticator_of(f"{attested.team.name}-broken", broken))
    assert not done.ok
    assert "cosign.attestations[0]: condition 1 is not a valid CEL expression" in done.err
