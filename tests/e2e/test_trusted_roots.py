"""Trusted roots of sigstore in a ConfigMap, and fetched by the operator from a TUF repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.images import PlainRegistry
from tests.e2e.kube import apply, condition, eventually, get, kubectl
from tests.e2e.objects import config_map
from tests.e2e.servers import serve
from tests.support.signers.cosign import push_classic
from tests.support.signers.keyless import ROOT, classic, keyless
from tests.support.signers.sigstore import Recipe
from tests.support.simulators.tuf import TUFRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.images import Image, ImageBuilder
    from tests.e2e.teams import Team

ROOTS, METADATA = "e2e-trusted-roots", "e2e-tuf-root"
SOURCES: dict[str, dict[str, Any]] = {
    "ConfigMap": {"configMapRef": {"name": ROOTS, "key": "trusted_root.json"}},
    "fetched": {"source": "Fetched"},
}


@pytest.fixture(scope="module")
def repository_of_roots() -> Iterator[TUFRepository]:
    """Serve a TUF repository, and have the operator fetch from it."""
    with serve(TUFRepository, "tuf.test", content=ROOT.encode()) as server:
        maps = {ROOTS: {"trusted_root.json": ROOT.encode()}, METADATA: {"root.json": server.initial}}
        apply(*(config_map(name, data) for name, data in maps.items())).checked()
        tuf = {"enabled": True, "mirror": server.url, "rootConfigMap": METADATA}
        changes = {
            "trustedRoots": {"configMaps": [ROOTS], "tuf": tuf},
            "registries": {"ca": {server.host: server.ca_pem}},
        }
        release.upgrade(changes)
        try:
            yield server
        finally:
            release.rollback()
            kubectl("-n", NAMESPACE, "delete", "configmap", *maps).checked()


@pytest.fixture(scope="module")
def images(image_builder: ImageBuilder, repository: str) -> tuple[Image, Image]:
    """Return an image that is signed by the identity, and one that another identity has signed."""
    registry = PlainRegistry(release.REGISTRY)
    pushed = [image_builder.push(f"{repository}/roots:{name}", name) for name in ("jane", "joe")]
    for image, subject in zip(pushed, (None, "joe@example.com"), strict=True):
        recipe = Recipe() if subject is None else Recipe(subject=subject)
        push_classic(registry, image.path, classic(image.digest, recipe))
    return pushed[0], pushed[1]


@pytest.mark.parametrize("source", SOURCES)
def test_images_are_verified_with_the_root(
    source: str,
    repository_of_roots: TUFRepository,
    images: tuple[Image, Image],
    new_module_team: Callable[[], Team],
) -> None:
    team = new_module_team()
    team.require(keyless(trustedRoot=SOURCES[source]))
    eventually(
        lambda: condition("authenticator", team.name).get("reason") == "KeysResolved", "the operator has the root"
    )
    signed, other = images
    team.wait_for_decision(signed.tagged, admitted=True)
    team.expect_denied(other.tagged, "IdentityMismatch")
    if source == "fetched":
        assert "/timestamp.json" in repository_of_roots.paths
        kept = get("-n", NAMESPACE, "configmap", "sealgate-trusted-root")
        assert kept["data"]["trusted_root.json"] == ROOT
