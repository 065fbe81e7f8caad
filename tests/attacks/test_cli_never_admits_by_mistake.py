"""On the command line: after any error, the exit code is not 0."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.objects import dump, pod, write
from tests.cli.shop import Shop, open_shop
from tests.support.builders.objects import policy
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with RegistrySimulator() as registry:
        yield open_shop(registry, tmp_path)


@pytest.mark.parametrize("text", ["", "---\n", "null\n", "# nothing\n", "Error: failed to render\n", "{", "\x00", "[]"])
def test_attack_17_a_pipe_that_brings_nothing_is_not_an_admission(shop: Shop, text: str) -> None:
    assert shop.verify("-f", "-", stdin=text).exit_code == 2


FAULTS: dict[str, Callable[[Shop], Any]] = {
    "no answer": lambda shop: shop.registry.faults.drop("/shop/signed/"),
    "server error": lambda shop: shop.registry.faults.status("/shop/signed/", 500),
    "too many requests": lambda shop: shop.registry.faults.rate_limit("/shop/signed/", "3600", times=None),
    "nonsense": lambda shop: shop.registry.faults.body("/shop/signed/manifests/", b"\xff\x00{"),
    "other bytes": lambda shop: shop.registry.faults.body("/shop/signed/blobs/", b"{}"),
    "no content type": lambda shop: shop.registry.faults.header("/shop/signed/", "Content-Type", None),
    "half a line": lambda shop: shop.registry.faults.raw("/shop/signed/", b"HTTP/1.1 2"),
    "endless": lambda shop: shop.registry.faults.endless("/shop/signed/blobs/"),
    "elsewhere": lambda shop: shop.registry.faults.redirect("/shop/signed/", "http://169.254.169.254/"),
    "a password": lambda shop: setattr(shop.registry.auth, "mode", "basic"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_attack_17_a_registry_that_misbehaves_admits_nothing(shop: Shop, fault: str) -> None:
    FAULTS[fault](shop)
    verified = shop.verify(shop.image("signed"), "--timeout", "2", "-o", "json")
    assert verified.exit_code in (1, 3)
    (entry,) = json.loads(verified.stdout)
    assert entry["verdict"] in ("deny", "unavailable")
    assert entry["policies"][0]["satisfied"] == 0


def test_attack_17_order_of_images_and_policies_does_not_matter(shop: Shop, tmp_path: Path) -> None:
    lenient = policy("a-lenient", "**", authenticators=["release-key"], action="Warn")
    for name in ("policies/a.yaml", "policies/z.yaml"):
        lenient["metadata"]["name"] = name[9]
        write(tmp_path / name, lenient)
    names = ["signed", "unsigned", "gone"]
    for order in itertools.permutations(names):
        verified = shop.verify(*map(shop.image, order), "-o", "json")
        assert verified.exit_code == 3
        verdicts = {entry["image"]: entry["verdict"] for entry in json.loads(verified.stdout)}
        assert [verdicts[shop.image(name)] for name in names] == ["admit", "deny", "unavailable"]


def test_attack_17_failing_credential_helper_is_undetermined(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.registry.auth.mode = "basic"
    helper = tmp_path / "bin/docker-credential-broken"
    helper.parent.mkdir()
    helper.write_text("#!/bin/sh\nexit 1\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:/usr/bin:/bin")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"credHelpers": {shop.registry.host: "broken"}}))
    assert shop.verify(shop.image("signed"), "--docker-config", config).exit_code == 3


@pytest.mark.parametrize("field", ["initContainers", "ephemeralContainers", "containers"])
def test_attack_18_and_19_every_container_is_verified(shop: Shop, field: str) -> None:
    manifest = pod("web", shop.image("signed"))
    manifest["spec"].setdefault(field, []).append({"name": "x", "image": shop.image("unsigned")})
    assert shop.verify("-f", "-", stdin=dump(manifest)).exit_code == 1


def test_attack_19_image_volumes_of_a_manifest_are_verified(shop: Shop) -> None:
    manifest = pod("web", shop.image("signed"))
    manifest["spec"]["volumes"] = [{"name": "v", "image": {"reference": shop.image("unsigned")}}]
    assert shop.verify("-f", "-", stdin=dump(manifest)).exit_code == 1


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"name": "web", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}},
        {"metadata": {"name": "web", "ownerReferences": [{"kind": "ReplicaSet", "name": "a", "controller": True}]}},
        {"metadata": {"name": "web", "annotations": {"sealgate.dev/verified": "true"}}},
    ],
)
def test_attack_20_and_21_nothing_in_a_manifest_hides_images(shop: Shop, change: dict[str, Any]) -> None:
    manifest = {**pod("web", shop.image("unsigned")), **change}
    assert shop.verify("-f", "-", stdin=dump(manifest)).exit_code == 1


@pytest.mark.parametrize(
    "text",
    [
        "kind: Pod\nspec: {containers: [{name: a, image: BAD}]}\nspec: {containers: [{name: a, image: GOOD}]}\n",
        "kind: Pod\nspec: {containers: [{name: a, image: BAD, image: GOOD}]}\n",
        '{"kind": "Pod", "spec": {"containers": [{"name": "a", "image": "BAD", "image": "GOOD"}]}}',
        "kind: Pod\nkind: Service\nspec: {containers: [{name: a, image: BAD}]}\n",
    ],
)
def test_attack_33_a_key_written_twice_hides_no_image(shop: Shop, text: str) -> None:
    written = text.replace("BAD", shop.image("unsigned")).replace("GOOD", shop.image("signed"))
    verified = shop.verify("-f", "-", stdin=written)
    assert verified.exit_code == 2
    assert "duplicate key" in verified.stderr


@pytest.mark.parametrize("kind", ["StatefulSet", "Pod", "Job", "PodTemplate", "Anything"])
@pytest.mark.parametrize("known", [(), ("--custom-kind", "apps.kruise.io/StatefulSet=spec.template.spec")])
def test_attack_44_a_kind_named_like_a_built_in_one_is_verified(shop: Shop, kind: str, known: tuple[str, ...]) -> None:
    spec = {"template": {"spec": pod("a", shop.image("unsigned"))["spec"]}}
    obj = {"apiVersion": "apps.kruise.io/v1beta1", "kind": kind, "metadata": {"name": "web"}, "spec": spec}
    assert shop.verify("-f", "-", *known, stdin=dump(obj)).exit_code == 1


def test_attack_44_a_list_of_another_name_hides_no_object(shop: Shop) -> None:
    """kubectl takes every object with items for a list."""
    inside = pod("a", shop.image("unsigned"))
    obj = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "items": [inside]}
    assert shop.verify("-f", "-", stdin=dump(obj)).exit_code == 1


def test_attack_44_items_hide_no_object(shop: Shop) -> None:
    """The API server does not take what has items for a list, and drops them."""
    assert shop.verify("-f", "-", stdin=dump({**pod("a", shop.image("unsigned")), "items": []})).exit_code == 1
