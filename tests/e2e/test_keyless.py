"""Keyless signatures: images signed by identities, with a trusted root in a Secret, and each with one thing wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.e2e import release
from tests.e2e.images import PlainRegistry
from tests.e2e.kube import condition, eventually
from tests.e2e.servers import secrets
from tests.support.signers.cosign import BUNDLE_TYPE, push_bundle, push_classic
from tests.support.signers.keyless import ROOT, SIGSTORE, V2, bundle, classic, keyless
from tests.support.signers.sigstore import Recipe, make_sigstore
from tests.support.signers.timestamps import NOON
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.images import Image, ImageBuilder
    from tests.e2e.teams import Team
    from tests.support.signers.sigstore import Sigstore

OTHER = make_sigstore("other")
#: What is wrong with an image, and the reason for which it is denied.
WRONG: dict[str, tuple[Recipe, Sigstore, str]] = {
    "identity": (Recipe(subject="joe@example.com"), SIGSTORE, "IdentityMismatch"),
    "issuer": (Recipe(issuer="https://evil.example.com"), SIGSTORE, "IdentityMismatch"),
    "log": (Recipe(), replace(SIGSTORE, keys={**SIGSTORE.keys, "rekor1": OTHER.keys["rekor1"]}), "UnknownKey"),
    "time": (Recipe(timestamp=True, stamped_at=NOON + timedelta(days=1)), SIGSTORE, "Expired"),
}


@dataclass(frozen=True, slots=True)
class KeylessImages:
    """Images in a registry, and a namespace that requires a signature by one identity.

    Attributes:
        team: the namespace.
        classic: signed as cosign 2 does.
        bundle: signed as cosign 3 does.
        wrong: images with one thing wrong, by what that is.
    """

    team: Team
    classic: Image
    bundle: Image
    wrong: dict[str, Image]


@pytest.fixture(scope="module")
def images(
    image_builder: ImageBuilder, repository: str, new_module_team: Callable[[], Team]
) -> Iterator[KeylessImages]:
    """Sign the images and wait until the policy is in force."""
    registry = PlainRegistry(release.REGISTRY)
    pushed = {name: image_builder.push(f"{repository}/keyless:{name}", name) for name in ("classic", "bundle", *WRONG)}
    push_classic(registry, pushed["classic"].path, classic(pushed["classic"].digest))
    referrer = push_bundle(registry, pushed["bundle"].path, bundle(pushed["bundle"].digest, V2))
    push_fallback(registry, pushed["bundle"], referrer)
    for name, (recipe, sigstore, _) in WRONG.items():
        push_classic(registry, pushed[name].path, classic(pushed[name].digest, recipe, sigstore))
    with secrets(e2e_sigstore={"trusted_root.json": ROOT.encode()}):
        team = new_module_team()
        team.require(keyless(trustedRoot={"secretRef": {"name": "e2e-sigstore", "key": "trusted_root.json"}}))
        team.wait_for_decision(pushed["bundle"].tagged, admitted=True)
        yield KeylessImages(team, pushed.pop("classic"), pushed.pop("bundle"), pushed)


def push_fallback(registry: PlainRegistry, image: Image, referrer: str) -> None:
    """List a referrer under the fallback tag, as clients do where a registry has no referrers API."""
    listed = {
        "mediaType": OCI_MANIFEST,
        "digest": referrer,
        "size": len(registry.manifest(replace(image, digest=referrer))),
    }
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{**listed, "artifactType": BUNDLE_TYPE}]}
    registry.push_manifest(image.path, image.digest.replace(":", "-"), encode(index), OCI_INDEX)


def test_images_signed_by_the_identity_run(images: KeylessImages) -> None:
    images.team.expect_running(images.classic, images.bundle)


@pytest.mark.parametrize("wrong", WRONG)
def test_image_with_one_thing_wrong_is_denied(images: KeylessImages, wrong: str) -> None:
    images.team.expect_denied(images.wrong[wrong].tagged, WRONG[wrong][2])


def test_authenticator_is_ready(images: KeylessImages) -> None:
    ready = eventually(lambda: condition("authenticator", images.team.name), "the operator has read the trusted root")
    assert (ready["status"], ready["reason"]) == ("True", "KeysResolved")
