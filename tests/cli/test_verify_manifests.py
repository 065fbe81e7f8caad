from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.objects import deployment, dump, namespace, pod, write
from tests.support.builders.objects import policy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.shop import Shop

#: What helm prints before each document.
SOURCE = "---\n# Source: shop/templates/{}.yaml\n"


def verdicts(shop: Shop, text: str | bytes, *args: object) -> list[tuple[str, str]]:
    verified = shop.verify("-f", "-", "-o", "json", *args, stdin=text)
    return [(entry["image"].partition("/")[2], entry["verdict"]) for entry in json.loads(verified.stdout)]


def test_output_of_helm_can_be_piped_in(shop: Shop) -> None:
    text = (
        SOURCE.format("service")
        + dump({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}})
        + SOURCE.format("empty")
        + SOURCE.format("deployment")
        + dump(deployment("web", shop.image("signed"), init=[shop.image("foreign")]))
        + SOURCE.format("hook")
        + dump(pod("test", shop.image("both")))
    )
    verified = shop.verify("-f", "-", stdin=text)
    assert verified.exit_code == 1
    assert verified.stderr == "3 objects; skipped because these kinds have no images: Service (1)\n"
    assert f"DENY  {shop.image('foreign')}  in namespace default" in verified.stdout
    usage = "used by Deployment default/web, spec.template.spec.initContainers[0].image (standard input, document 3)"
    assert usage in verified.stdout
    assert verdicts(shop, text) == [
        ("shop/foreign:1.0", "deny"),
        ("shop/signed:1.0", "admit"),
        ("shop/both:1.0", "admit"),
    ]


@pytest.mark.parametrize("listed", ["List", "DeploymentList"])
@pytest.mark.parametrize("encode", [json.dumps, dump])
def test_output_of_kubectl_can_be_piped_in(shop: Shop, listed: str, encode: Any) -> None:
    items = [deployment("a", shop.image("signed")), deployment("b", shop.image("unsigned"))]
    if listed == "DeploymentList":
        for item in items:
            del item["kind"], item["apiVersion"]
    text = encode({"apiVersion": "v1" if listed == "List" else "apps/v1", "kind": listed, "items": items})
    assert verdicts(shop, text) == [("shop/signed:1.0", "admit"), ("shop/unsigned:1.0", "deny")]


def test_several_files_are_verified_in_one_run(shop: Shop, tmp_path: Path) -> None:
    first = write(tmp_path / "a.yaml", pod("a", shop.image("signed")))
    second = write(tmp_path / "b.yaml", pod("b", shop.image("unsigned")))
    third = write(tmp_path / "c.yaml", pod("c", shop.image("both")))
    verified = shop.verify("-f", first, "-f", second, third, "-o", "json")
    assert [entry["verdict"] for entry in json.loads(verified.stdout)] == ["admit", "deny", "admit"]


def test_each_image_is_answered_once_for_each_namespace(shop: Shop, tmp_path: Path) -> None:
    selector = {"matchLabels": {"env": "production"}}
    write(
        shop.policies / "production.yaml",
        policy("production", f"{shop.registry.host}/**", authenticators=["qa-key"], namespaceSelector=selector),
        namespace("live", env="production"),
        namespace("test"),
    )
    image = shop.image("signed")
    path = write(
        tmp_path / "all.yaml",
        pod("a", image, image),
        pod("b", image, namespace="live"),
        pod("c", image),
        pod("d", image, namespace="live"),
    )
    verified = shop.verify("-f", path, "-o", "json", "--namespace", "test")
    assert [(entry["image"], entry["verdict"]) for entry in json.loads(verified.stdout)] == [
        (image, "admit"),
        (image, "deny"),
    ]
    shown = shop.verify("-f", path, "--namespace", "test").stdout
    assert "Pod test/c, spec.containers[0].image" in shown
    assert [cell.strip() for cell in shown.splitlines()[-3].split("│")][2] == "live"
    moved = shop.verify("-f", path, "-o", "json", "--namespace", "live")
    assert [entry["verdict"] for entry in json.loads(moved.stdout)] == ["deny"]


def test_namespaces_among_the_manifests_have_their_labels(shop: Shop) -> None:
    selector = {"matchLabels": {"env": "production"}}
    write(
        shop.policies / "production.yaml",
        policy("production", f"{shop.registry.host}/**", authenticators=["qa-key"], namespaceSelector=selector),
    )
    text = dump(pod("a", shop.image("signed"), namespace="live"), namespace("live", env="production"))
    assert verdicts(shop, text) == [("shop/signed:1.0", "deny")]
    assert verdicts(shop, text, "--namespace-label", "env=test") == [("shop/signed:1.0", "admit")]


def test_the_labels_of_the_policies_win_over_those_of_the_manifests(shop: Shop) -> None:
    selector = {"matchLabels": {"env": "production"}}
    write(
        shop.policies / "production.yaml",
        policy("production", f"{shop.registry.host}/**", authenticators=["qa-key"], namespaceSelector=selector),
        namespace("live", env="production"),
    )
    text = dump(pod("a", shop.image("signed"), namespace="live"), namespace("live", env="none"))
    assert verdicts(shop, text) == [("shop/signed:1.0", "deny")]


def test_list_of_locations_of_an_image_is_bounded(shop: Shop) -> None:
    shown = shop.verify("-f", "-", stdin=dump(*(pod(f"p{n}", shop.image("signed")) for n in range(8)))).stdout
    assert shown.count("used by Pod") == 5
    assert "used in 3 more places" in shown


def test_images_of_a_custom_kind_are_found(shop: Shop) -> None:
    rollout = {**deployment("web", shop.image("unsigned")), "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    for known in ("argoproj.io/Rollout=spec.template.spec", "Rollout=spec.template.spec", "Rollout"):
        verified = shop.verify("-f", "-", "--custom-kind", known, stdin=dump(rollout))
        assert verified.exit_code == 1
        assert "by shape" not in verified.stderr
        assert "Rollout default/web, spec.template.spec.containers[0].image (" in verified.stdout


def test_objects_without_images_are_admitted(shop: Shop) -> None:
    text = dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    verified = shop.verify("-f", "-", stdin=text)
    assert verified.exit_code == 0
    assert verified.stdout == "no images (0 verified, 0 exempt, 0 unmatched)\n"
    assert "1 object; skipped because these kinds have no images: ConfigMap (1)" in verified.stderr
    assert json.loads(shop.verify("-f", "-", "-o", "json", stdin=text).stdout) == []


def test_invalid_reference_is_denied_like_in_the_webhook(shop: Shop) -> None:
    verified = shop.verify("-f", "-", "-o", "json", stdin=dump(pod("a", "NOT an image\x1b[31m", shop.image("signed"))))
    assert verified.exit_code == 1
    bad, good = json.loads(verified.stdout)
    field = "spec.containers[0].image"
    assert bad == {
        "image": "NOT an image\x1b[31m",
        "namespace": None,
        "objects": [{"kind": "Pod", "name": "a", "field": field, "file": "-", "document": 1}],
        "furtherObjects": 0,
        "subject": None,
        "verdict": "deny",
        "coverage": "unmatched",
        "policies": [],
    }
    assert good["verdict"] == "admit"
    assert "is not an image reference" in verified.stderr
    assert "\x1b" not in verified.stderr + verified.stdout


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "standard input has no Kubernetes object; check that the command that wrote it succeeded"),
        ("---\n---\n", "standard input has no Kubernetes object"),
        ("# only a comment\n", "standard input has no Kubernetes object"),
        ("Error: chart not found", "document 1: kind is missing"),
        ("- a\n- b\n", "document 1: a Kubernetes object is a mapping"),
        ("a: 1\n", "document 1: kind is missing"),
        ("a: [b\n", "document 1: line 2: not YAML or JSON"),
        ("kind: Pod\nkind: Service\n", "document 1: line 2: duplicate key kind"),
        ('{"kind": "Pod", "kind": "Service"}', "duplicate key kind"),
        ("kind: List\nitems: {}\n", "items: must be a list"),
        ("kind: List\nitems: [1]\n", "items[0]: a Kubernetes object is a mapping"),
        ("apiVersion: v1\nkind: Pod\n", "document 1: Pod default/: spec is missing"),
        ("apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, image: 1}]}\n", "containers[0].image must be text"),
        ("apiVersion: v1\nkind: Pod\nspec: {containers: []}\n", "spec.containers is missing or empty"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: 7}\nspec: {containers: [{image: a}]}\n",
            "metadata.namespace must be text",
        ),
        (
            "kind: !!python/name:os.system x\n",
            "Kubernetes does not know the tag tag:yaml.org,2002:python/name:os.system",
        ),
        ("kind: Pod\nspec: !Ref {}\n", "Kubernetes does not know the tag !Ref"),
        (b"\xff\xfe\x00", "standard input is not UTF-8 text"),
    ],
)
def test_invalid_manifest_is_an_input_error_and_never_admitted(shop: Shop, text: str | bytes, why: str) -> None:
    verified = shop.verify("-f", "-", stdin=text)
    assert verified.exit_code == 2
    assert why in verified.stderr
    assert verified.stdout == ""
    assert "Traceback" not in verified.stderr


def test_standard_input_can_be_read_once(shop: Shop) -> None:
    verified = shop.verify("-f", "-", "-f", "-", stdin="")
    assert verified.exit_code == 2
    assert "only once" in verified.stderr


def test_yaml_is_read_like_kubectl_reads_it(shop: Shop) -> None:
    text = f"""
kind: Pod
apiVersion: v1
metadata: {{name: a, labels: {{"1": one, on: x, date: 2026-99-99, huge: 0x10, "null": ~}}}}
spec:
  containers:
    - &base {{name: a, image: "{shop.image("signed")}"}}
    - <<: [*base, {{image: ignored}}]
      name: b
    - <<: *base
      name: c
      image: {shop.image("unsigned")}
  volumes: [{{name: v, image: {{reference: "{shop.image("both")}"}}}}]
"""
    assert verdicts(shop, text) == [
        ("shop/signed:1.0", "admit"),
        ("shop/unsigned:1.0", "deny"),
        ("shop/both:1.0", "admit"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &a [*a]\nkind: Pod\n", "the alias *a has no anchor that ends before it"),
        ("? [a]\n: b\n", "a key must be text"),
        ("<<: [a]\nkind: Pod\n", "only mappings can be merged"),
        ("a: " + "9" * 5000, "is not a valid number"),
        ("a: *unknown\n", "the alias *unknown has no anchor"),
        ("\x00", "not YAML or JSON"),
    ],
)
def test_ambiguous_yaml_is_reported(shop: Shop, text: str, why: str) -> None:
    verified = shop.verify("-f", "-", stdin=text)
    assert verified.exit_code == 2
    assert why in verified.stderr
