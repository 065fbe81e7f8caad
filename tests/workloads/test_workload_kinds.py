"""Kinds with images and their paths: built-in, custom and predefined custom kinds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from sealgate.errors import ConfigError, InvalidWorkloadError
from sealgate.workloads.images import changed_images, extract_images, identify, pod_specs
from sealgate.workloads.kinds import BUILT_IN, MAX_KINDS, MAX_PATHS, FieldPath, WorkloadKind, WorkloadKinds
from sealgate.workloads.ready_made_kinds import READY_MADE
from sealgate_webhook.backends.cluster.config import CustomKind

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "tests" / "data" / "custom_kinds"

ROLLOUT = WorkloadKind.custom("argoproj.io", "Rollout", ["spec.template.spec"])
VOLCANO = WorkloadKind.custom("batch.volcano.sh", "Job", ["spec.tasks[*].template.spec"])
TASK = WorkloadKind.custom("tekton.dev", "TaskRun", images=["spec.taskSpec.steps[*].image"])


def manifest(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


def rollout(spec: Any) -> dict[str, Any]:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": spec}


def images(obj: dict[str, Any], kind: WorkloadKind) -> list[str]:
    return [image.image for image in extract_images(obj, kind)]


def changed(obj: dict[str, Any], old: dict[str, Any], kind: WorkloadKind) -> list[str]:
    return [image.field for image in changed_images(obj, old, kind)]


# Paths --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["spec", "spec.template.spec", "spec.tasks[*].template.spec", "a_b.c-d[*]", "_x"])
def test_a_path_is_read_and_written_alike(text: str) -> None:
    assert str(FieldPath.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a field"),
        (".spec", "'' is not a field"),
        ("spec.", "'' is not a field"),
        ("spec..template", "'' is not a field"),
        ("$.spec", r"'\$' is not a field"),
        ("spec.tasks[0].template", r"'tasks\[0\]' is not a field"),
        ("spec.tasks[*][*]", "is not a field"),
        ("spec.[*]", "is not a field"),
        ("spec template", "'spec template' is not a field"),
        ("spec.*.template", "is not a field"),
        ("spec/template", "is not a field"),
        ("spec\n", "is not a field"),
        ("a" * 64, "is not a field"),
        (".".join(["a"] * 17), "more than 16 fields"),
    ],
)
def test_text_that_is_not_a_path_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        FieldPath.parse(text)
    assert "\n" not in caught.value.message


# Kinds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "kind", "paths", "message"),
    [
        ("", "Rollout", ["spec"], "has no API group"),
        ("argoproj.io/v1alpha1", "Rollout", ["spec"], "is not an API group; write it without the version"),
        ("Argoproj.io", "Rollout", ["spec"], "is not an API group"),
        ("a" * 254, "Rollout", ["spec"], "is not an API group"),
        ("argoproj.io", "", ["spec"], "is not a kind"),
        ("argoproj.io", "roll-out", ["spec"], "is not a kind"),
        ("argoproj.io", "Rollout", [], "has no field"),
        ("argoproj.io", "Rollout", ["spec", "spec"], "has a duplicate field"),
        ("argoproj.io", "Rollout", [f"a{n}" for n in range(MAX_PATHS + 1)], "at most 16"),
        ("argoproj.io", "Rollout", ["spec."], "custom kind argoproj.io/Rollout: spec. is not a field path"),
    ],
)
def test_invalid_custom_kind_is_an_error(group: str, kind: str, paths: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WorkloadKind.custom(group, kind, paths)


def test_kinds_of_one_name_in_two_groups_are_two() -> None:
    kruise = WorkloadKind.custom("apps.kruise.io", "StatefulSet", ["spec.template.spec"])
    other = WorkloadKind.custom("example.org", "StatefulSet", ["spec.pod"])
    kinds = BUILT_IN.with_custom([kruise, other])

    assert kinds.find("apps.kruise.io", "StatefulSet") is kruise
    assert kinds.find("example.org", "StatefulSet") is other
    assert kinds.find("apps", "StatefulSet") is BUILT_IN.find("apps", "StatefulSet")
    assert kinds.find("", "StatefulSet") is None
    assert kinds.named("StatefulSet")[-2:] == (kruise, other)


def test_one_kind_is_configured_once() -> None:
    with pytest.raises(ConfigError, match=r"custom kind argoproj\.io/Rollout is configured twice"):
        BUILT_IN.with_custom([ROLLOUT, WorkloadKind.custom("argoproj.io", "Rollout", ["spec.other"])])
    with pytest.raises(ConfigError, match="apps/Deployment is built in and cannot be a custom kind"):
        BUILT_IN.with_custom([WorkloadKind.custom("apps", "Deployment", ["spec.other"])])


def test_kinds_are_bounded_in_number() -> None:
    with pytest.raises(ConfigError, match=f"at most {MAX_KINDS}"):
        WorkloadKinds(tuple(WorkloadKind.custom("example.org", f"K{n}", ["spec"]) for n in range(MAX_KINDS + 1)))


@pytest.mark.parametrize("group", ["apps", "extensions"])
@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"])
def test_the_kinds_of_kubernetes_are_of_its_own_groups(group: str, kind: str) -> None:
    assert BUILT_IN.find(group, kind) is not None
    assert BUILT_IN.find("batch", kind) is None


# What is read -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"workloadRef": {"kind": "Deployment"}},
        {"template": None},
        {"template": {"metadata": {"creationTimestamp": None}}},
        {"template": {"spec": None}},
        {"template": {"spec": {}}},
        {"template": {"metadata": {"creationTimestamp": None}, "spec": {"containers": None}}},
        {"template": {"spec": {"containers": []}}},
    ],
)
def test_absent_field_of_a_custom_kind_has_no_images(spec: Any) -> None:
    assert images(rollout(spec), ROLLOUT) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([], "spec must be an object, not list"),
        ("x", "spec must be an object, not str"),
        ({"template": []}, "spec.template must be an object, not list"),
        ({"template": False}, "spec.template must be an object, not bool"),
        ({"template": {"spec": ""}}, "spec.template.spec must be an object, not str"),
        ({"template": {"spec": {"template": {}}}}, "is that the path of a pod spec"),
        ({"template": {"spec": {"containers": {}}}}, "containers must be a list, not dict"),
        ({"template": {"spec": {"containers": ["a"]}}}, r"containers\[0\] must be an object"),
        ({"template": {"spec": {"containers": [{"name": "a"}]}}}, r"containers\[0\].image is empty"),
        ({"template": {"spec": {"containers": [{"image": " "}]}}}, r"containers\[0\].image is empty"),
    ],
)
def test_existing_field_must_be_readable(spec: Any, message: str) -> None:
    with pytest.raises(InvalidWorkloadError, match=message):
        extract_images(rollout(spec), ROLLOUT)


def test_a_pod_spec_in_every_item_of_a_list_is_read() -> None:
    found = extract_images(manifest("batch.volcano.sh_Job"), VOLCANO)

    assert [(image.image, image.field) for image in found] == [
        ("registry.example.org/ml/ps:1.4", "spec.tasks[0].template.spec.containers[0].image"),
        ("registry.example.org/ml/worker:1.4", "spec.tasks[1].template.spec.containers[0].image"),
    ]
    assert len(pod_specs(manifest("batch.volcano.sh_Job"), VOLCANO)) == 2


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({}, "spec.tasks must be a list, not dict"),
        ("x", "spec.tasks must be a list, not str"),
        ([None], r"spec.tasks\[0\] is missing"),
        ([[]], r"spec.tasks\[0\] must be an object, not list"),
        ([{"template": 1}], r"spec.tasks\[0\].template must be an object, not int"),
    ],
)
def test_a_list_on_the_path_must_be_one(tasks: Any, message: str) -> None:
    with pytest.raises(InvalidWorkloadError, match=message):
        extract_images(rollout({"tasks": tasks}), VOLCANO)


def test_images_can_be_named_beside_pod_specs() -> None:
    kind = WorkloadKind.custom("example.org", "Both", ["spec.pod"], ["spec.image", "spec.more[*]"])
    obj = rollout({"pod": {"containers": [{"image": "a"}]}, "image": "b", "more": ["c", "d"]})

    assert [(image.image, image.field, image.kind) for image in extract_images(obj, kind)] == [
        ("a", "spec.pod.containers[0].image", "container"),
        ("b", "spec.image", "container"),
        ("c", "spec.more[0]", "container"),
        ("d", "spec.more[1]", "container"),
    ]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"image": 1}], r"spec.taskSpec.steps\[0\].image must be text"),
        ([{"image": {}}], r"spec.taskSpec.steps\[0\].image must be text"),
        ([{"image": ""}], r"spec.taskSpec.steps\[0\].image is empty"),
        ("x", "spec.taskSpec.steps must be a list"),
    ],
)
def test_an_image_that_is_not_text_is_an_error(steps: Any, message: str) -> None:
    with pytest.raises(InvalidWorkloadError, match=message):
        extract_images(rollout({"taskSpec": {"steps": steps}}), TASK)


# Updates ------------------------------------------------------------------------------------------------------------


def template(*containers: dict[str, Any]) -> dict[str, Any]:
    return rollout({"template": {"spec": {"containers": list(containers)}}})


def test_containers_without_names_are_compared_by_position() -> None:
    old = template({"image": "a"}, {"image": "b"})

    assert changed(copy.deepcopy(old), old, ROLLOUT) == []
    assert changed(template({"image": "b"}, {"image": "a"}), old, ROLLOUT) == [
        "spec.template.spec.containers[0].image",
        "spec.template.spec.containers[1].image",
    ]
    assert changed(template({"image": "a"}, {"image": "b"}, {"image": "b"}), old, ROLLOUT) == [
        "spec.template.spec.containers[2].image"
    ]
    assert changed(template({"image": "a"}), old, ROLLOUT) == []


def test_containers_of_one_name_are_compared_by_their_position() -> None:
    old = template({"name": "c", "image": "a"}, {"name": "c", "image": "b"})

    assert changed(copy.deepcopy(old), old, ROLLOUT) == []
    assert len(changed(template({"name": "c", "image": "b"}, {"name": "c", "image": "a"}), old, ROLLOUT)) == 2


def test_the_same_container_of_another_task_is_another_one() -> None:
    def job(*tasks: tuple[str, str]) -> dict[str, Any]:
        return rollout(
            {
                "tasks": [
                    {"name": name, "template": {"spec": {"containers": [{"name": "main", "image": image}]}}}
                    for name, image in tasks
                ]
            }
        )

    old = job(("ps", "a"), ("worker", "b"))

    assert changed(job(("worker", "b"), ("ps", "a")), old, VOLCANO) == []
    assert len(changed(job(("ps", "b"), ("worker", "a")), old, VOLCANO)) == 2


def test_all_images_are_new_if_the_old_object_had_none() -> None:
    assert changed(template({"image": "a"}), rollout({}), ROLLOUT) == ["spec.template.spec.containers[0].image"]


# Predefined kinds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_image_of_a_real_object_is_found(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    obj = yaml.safe_load(text)
    kind = READY_MADE.find(*identify(obj))
    assert kind is not None
    assert path.stem.startswith(f"{kind.group}_{kind.kind}")

    found = extract_images(obj, kind)

    assert len(found) == text.count("image: ")
    assert changed_images(obj, obj, kind) == ()


def test_every_predefined_kind_has_a_test_object() -> None:
    assert {"_".join(path.stem.split("_")[:2]) for path in MANIFESTS.glob("*.yaml")} == {
        f"{kind.group}_{kind.kind}" for kind in READY_MADE.kinds
    }


def test_documented_entries_are_the_predefined_kinds() -> None:
    text = (ROOT / "docs" / "custom-kinds.md").read_text(encoding="utf-8")
    block = text.partition("```yaml\ncustomKinds:")[2].partition("```")[0]
    entries = yaml.safe_load("customKinds:" + block)["customKinds"]
    kinds = {CustomKind.model_validate(entry).workload_kind() for entry in entries}

    assert kinds == set(READY_MADE.kinds)
    assert {entry["resource"] for entry in entries} == {f"{entry['kind'].lower()}s" for entry in entries}
    values = (ROOT / "charts/sealgate/values-custom-kinds.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(values) == {"customKinds": entries}
