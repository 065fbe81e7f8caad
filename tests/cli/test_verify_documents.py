"""Input of `verify -f`: files, directories, encodings, documents, lists, and unreadable objects."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.objects import deployment, dump, pod, write
from tests.support.builders.objects import policy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.shop import Shop

DUPLICATE = "apiVersion: v1\nkind: Pod\nmetadata: {name: twice, name: again}\n"


def verdicts(stdout: str) -> list[tuple[str, str]]:
    return [(entry["image"].partition("/")[2], entry["verdict"]) for entry in json.loads(stdout)]


def rollout(image: str) -> dict[str, Any]:
    return {**deployment("web", image), "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}


# Documents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", ["", "\n", "\n\n", " ", "\n---\n", "\n# a comment\n", "\n--- # a comment\n"])
def test_json_objects_in_a_row_are_read(shop: Shop, between: str) -> None:
    objects = [pod("a", shop.image("signed")), pod("b", shop.image("unsigned"))]
    text = between.join(json.dumps(obj, indent=2) for obj in objects)
    verified = shop.verify("-f", "-", "-o", "json", stdin=text)
    assert verified.exit_code == 1
    assert verdicts(verified.stdout) == [("shop/signed:1.0", "admit"), ("shop/unsigned:1.0", "deny")]


def test_json_and_yaml_may_be_mixed(shop: Shop) -> None:
    text = json.dumps(pod("a", shop.image("signed"))) + "\n---\n" + dump(pod("b", shop.image("unsigned")))
    assert verdicts(shop.verify("-f", "-", "-o", "json", stdin=text).stdout) == [
        ("shop/signed:1.0", "admit"),
        ("shop/unsigned:1.0", "deny"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: List\nitems: []\n",
        "apiVersion: v1\nkind: List\nitems:\n",
        '{"apiVersion": "v1", "kind": "PodList", "items": null}',
        "---\n---\napiVersion: v1\nkind: List\nitems: null\n",
    ],
)
def test_an_empty_list_has_no_images(shop: Shop, text: str) -> None:
    verified = shop.verify("-f", "-", stdin=text)
    assert (verified.exit_code, verified.stderr) == (0, "")
    assert verified.stdout == "no images (0 verified, 0 exempt, 0 unmatched)\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_byte_order_marks_are_accepted(shop: Shop, encoding: str) -> None:
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    text = dump(pod("a", shop.image("signed"))).removeprefix("---\n")
    verified = shop.verify("-f", "-", "-o", "json", stdin=mark + text.encode(encoding))
    assert verdicts(verified.stdout) == [("shop/signed:1.0", "admit")]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_document_may_begin_with_a_byte_order_mark(shop: Shop, newline: str) -> None:
    documents = [dump(pod(name, shop.image("signed"))).removeprefix("---\n") for name in "ab"]
    text = "---\n".join("\ufeff" + document for document in documents).replace("\n", newline)
    verified = shop.verify("-f", "-", stdin=text.encode())
    assert verified.exit_code == 0
    assert verified.stdout.count("used by Pod") == 2


def test_directives_belong_to_the_document_behind_them(shop: Shop) -> None:
    document = dump(pod("a", shop.image("signed"))).removeprefix("---\n")
    text = f"%YAML 1.1\n# first\n---\n{document}...\n%YAML 1.1\n---\n{document}"
    verified = shop.verify("-f", "-", stdin=text)
    assert verified.exit_code == 0
    assert "(standard input, document 2)" in verified.stdout


# Directories --------------------------------------------------------------------------------------------------------


def test_the_manifests_of_a_directory_are_read(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    (folder / "below").mkdir(parents=True)
    write(folder / "b.yaml", pod("b", shop.image("unsigned")))
    write(folder / "a.yml", pod("a", shop.image("signed")))
    (folder / "c.json").write_text(json.dumps(pod("c", shop.image("both"))), encoding="utf-8")
    (folder / "empty.yaml").write_text("# nothing\n", encoding="utf-8")
    (folder / "README.md").write_text("{{ no manifest }}", encoding="utf-8")
    write(folder / "below" / "d.yaml", pod("d", shop.image("foreign")))
    verified = shop.verify("-f", folder, "-o", "json")
    assert verdicts(verified.stdout) == [
        ("shop/signed:1.0", "admit"),
        ("shop/unsigned:1.0", "deny"),
        ("shop/both:1.0", "admit"),
    ]


def test_a_directory_without_manifests_is_wrong_input(shop: Shop, tmp_path: Path) -> None:
    verified = shop.verify("-f", tmp_path)
    assert verified.exit_code == 2
    assert "has no .json, .yaml, .yml file" in verified.stderr
    (tmp_path / "empty.yaml").write_text("---\n", encoding="utf-8")
    assert "has no Kubernetes object" in shop.verify("-f", tmp_path).stderr


# Objects that cannot be read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (DUPLICATE, "document 2: line 5: duplicate key name"),
        ('{"kind": "Pod", "kind": "Pod"}', "document 2: line 3: duplicate key kind"),
        ("a: [b\n", "document 2: line 4: not YAML or JSON"),
        ("apiVersion: v1\nkind: Pod\nspec: !Ref {}\n", "line 5: Kubernetes does not know the tag !Ref"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", "document 2: Pod default/x: spec is missing"),
        ("kind: Pod\n", "document 2: apiVersion is missing"),
        ("- a\n", "document 2: a Kubernetes object is a mapping"),
        ("a: " + "9" * 5000, "is not a valid number"),
        ("a: " + "[" * 300 + "]" * 300, "nested more than 200 deep"),
    ],
)
def test_invalid_object_does_not_end_the_run(shop: Shop, bad: str, why: str) -> None:
    first, last = json.dumps(pod("a", shop.image("signed"))), json.dumps(pod("b", shop.image("both")))
    verified = shop.verify("-f", "-", "-o", "json", stdin=f"{first}\n---\n{bad}\n---\n{last}\n")
    assert verified.exit_code == 2
    assert why in verified.stderr
    assert verdicts(verified.stdout) == [("shop/signed:1.0", "admit"), ("shop/both:1.0", "admit")]
    assert "Traceback" not in verified.stderr


@pytest.mark.parametrize("encode", [json.dumps, dump])
def test_unreadable_list_item_is_its_own_finding(shop: Shop, encode: Any) -> None:
    items = [pod("a", shop.image("signed")), {"TWICE": 1, "twice": 2}, pod("b", shop.image("both"))]
    text = encode({"apiVersion": "v1", "kind": "List", "items": items}).replace("TWICE", "twice")
    verified = shop.verify("-f", "-", "-o", "json", stdin=text)
    assert verified.exit_code == 2
    assert "items[1]: " in verified.stderr
    assert "duplicate key twice" in verified.stderr
    assert verdicts(verified.stdout) == [("shop/signed:1.0", "admit"), ("shop/both:1.0", "admit")]


def test_a_denial_does_not_hide_an_object_that_cannot_be_read(shop: Shop) -> None:
    text = dump(pod("a", shop.image("unsigned"))) + "---\n" + DUPLICATE
    assert shop.verify("-f", "-", stdin=text).exit_code == 2


def test_lists_do_not_nest_without_end(shop: Shop) -> None:
    obj: dict[str, Any] = pod("a", shop.image("signed"))
    for _ in range(20):
        obj = {"apiVersion": "v1", "kind": "List", "items": [obj]}
    verified = shop.verify("-f", "-", stdin=json.dumps(obj))
    assert verified.exit_code == 2
    assert "lists are nested more than 8 deep" in verified.stderr


# Kinds without configuration ----------------------------------------------------------------------------------------


def test_pod_specs_of_unknown_kinds_are_found_by_shape_and_reported(shop: Shop) -> None:
    verified = shop.verify("-f", "-", stdin=dump(rollout(shop.image("unsigned")), rollout(shop.image("signed"))))
    assert verified.exit_code == 1
    assert verified.stderr == (
        "pod specs detected by shape in 2 objects; to configure the kind: "
        "--custom-kind argoproj.io/Rollout=spec.template.spec\n"
    )
    usage = "used by Rollout default/web, spec.template.spec.containers[0].image, detected by shape (standard input"
    assert usage in verified.stdout


def test_pod_specs_are_found_wherever_they_are(shop: Shop) -> None:
    both = [{"image": shop.image("signed")}, {"name": "merged into another"}]
    obj = {
        "apiVersion": "example.org/v1",
        "kind": "Anything",
        "metadata": {"annotations": {"containers": [{"image": "not/looked/at"}]}},
        "spec": {
            "parts": [
                {"a": {"initContainers": [{"image": shop.image("unsigned")}]}},
                {"b": {"containers": both}},
            ],
            "containers": {"image": "no list"},
        },
        "template": {
            "containers": [{"image": shop.image("both")}],
            "volumes": [{"image": {"reference": shop.image("foreign")}}],
        },
        "status": {"containers": [{"image": "not/looked/at"}]},
    }
    verified = shop.verify("-f", "-", "-o", "json", stdin=dump(obj))
    assert verdicts(verified.stdout) == [
        ("shop/unsigned:1.0", "deny"),
        ("shop/signed:1.0", "admit"),
        ("shop/both:1.0", "admit"),
        ("shop/foreign:1.0", "deny"),
    ]
    assert "--custom-kind example.org/Anything=spec.parts[*].a,spec.parts[*].b,template\n" in verified.stderr


def test_pod_spec_outside_a_configured_path_is_found_by_shape(shop: Shop) -> None:
    known = ("--custom-kind", "argoproj.io/Rollout=spec.tempalte.spec")
    verified = shop.verify("-f", "-", *known, stdin=dump(rollout(shop.image("unsigned"))))
    assert verified.exit_code == 1
    assert "detected by shape in 1 object" in verified.stderr


def test_custom_object_without_a_pod_spec_is_admitted(shop: Shop) -> None:
    obj = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {"workloadRef": {"name": "a"}}}
    verified = shop.verify("-f", "-", "--custom-kind", "argoproj.io/Rollout=spec.template.spec", stdin=dump(obj))
    assert verified.exit_code == 0
    assert verified.stdout.startswith("no images")


def test_an_image_found_by_shape_must_be_readable(shop: Shop) -> None:
    verified = shop.verify("-f", "-", stdin=dump(rollout(" ")))
    assert verified.exit_code == 2
    assert "Rollout default/web: spec.template.spec.containers[0].image is empty" in verified.stderr


def test_text_in_a_config_map_is_not_parsed(shop: Shop) -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"pod.yaml": dump(pod("a", shop.image("unsigned")))}}
    assert shop.verify("-f", "-", stdin=dump(obj)).exit_code == 0


# Counts -------------------------------------------------------------------------------------------------------------


def test_images_are_counted_by_their_outcome(shop: Shop) -> None:
    elsewhere = "registry.test/elsewhere:1"
    text = dump(pod("a", shop.image("signed"), elsewhere))
    assert "(1 verified, 0 exempt, 1 unmatched)" in shop.verify("-f", "-", stdin=text).stdout
    assert shop.verify("-f", "-", stdin=text).exit_code == 0

    failed = shop.verify("-f", "-", "--fail-on-unmatched", "-o", "json", stdin=text)
    assert failed.exit_code == 1
    assert "--fail-on-unmatched: some images are neither covered nor exempt" in failed.stderr
    assert [entry["coverage"] for entry in json.loads(failed.stdout)] == ["covered", "unmatched"]

    exempt = policy("exempt", "registry.test/**", authenticators=[], action="Exempt")
    write(shop.policies / "exempt.yaml", exempt)
    admitted = shop.verify("-f", "-", "--fail-on-unmatched", "-o", "json", stdin=text)
    assert admitted.exit_code == 0
    assert [entry["coverage"] for entry in json.loads(admitted.stdout)] == ["covered", "exempt"]
    assert "(1 verified, 1 exempt, 0 unmatched)" in shop.verify("-f", "-", stdin=text).stdout
