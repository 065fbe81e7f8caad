"""What is kept of reviewed objects is read as the objects are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidWorkloadError
from sealgate.workloads.images import changed_images, pod_specs
from sealgate.workloads.kinds import BUILT_IN, POD, WorkloadKind
from sealgate.workloads.ready_made_kinds import READY_MADE
from sealgate_webhook.reviews.kept import MAX_ITEMS, keep
from tests.support.examples import examples
from tests.webhook.objects import GROUPS, pod, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.workloads.kinds import FieldPath

PIPELINE = WorkloadKind.custom("ci.example.org", "Run", ["spec.pod", "spec.tasks[*].pod"], ["spec.images[*]"])
TASK_RUN = READY_MADE.named("TaskRun")[0]


def kind(name: str) -> WorkloadKind:
    found = BUILT_IN.find(GROUPS[name], name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", GROUPS)
def test_images_of_every_kind_are_kept_and_the_rest_is_not(name: str) -> None:
    obj = workload(name, "a", "b", init=("c",), ephemeral=("d",), volumes=("e",))
    large = {**obj, "status": {"a": 1}, "data": [1, 2]}
    kept = keep(large, kind(name))
    assert changed_images(kept, None, kind(name)) == changed_images(obj, None, kind(name))
    assert "status" not in kept
    assert "data" not in kept


def test_fields_of_a_pod_that_decide_nothing_are_left_out() -> None:
    obj = pod("app")
    obj["spec"]["containers"][0]["env"] = [{"name": "A", "value": "x" * 1000}]
    obj["spec"] |= {"nodeName": "n", "serviceAccountName": "builder", "imagePullSecrets": [{"name": "a", "b": 1}]}
    owner = {"kind": "ReplicaSet", "name": "r", "uid": "1", "apiVersion": "apps/v1", "controller": True, "more": 1}
    obj["metadata"] |= {"generateName": "web-", "ownerReferences": [owner], "annotations": {"a": "b"}}
    assert keep(obj, POD) == {
        "metadata": {"generateName": "web-", "ownerReferences": [{k: v for k, v in owner.items() if k != "more"}]},
        "spec": {
            "containers": [{"name": "main-0", "image": "app"}],
            "serviceAccountName": "builder",
            "imagePullSecrets": [{"name": "a"}],
        },
    }


def test_kind_without_images_keeps_its_owner() -> None:
    assert keep({"metadata": {"generateName": "x-"}, "data": {"a": "b"}}, None) == {"metadata": {"generateName": "x-"}}


@pytest.mark.parametrize("field", ["containers", "volumes", "imagePullSecrets"])
def test_endless_lists_are_refused(field: str) -> None:
    obj = pod("app")
    obj["spec"][field] = [{"name": "a", "image": "app"}] * (MAX_ITEMS + 1)
    with pytest.raises(InvalidWorkloadError, match=f"more than {MAX_ITEMS} containers, volumes"):
        keep(obj, POD)


def test_large_value_of_the_wrong_type_is_not_kept() -> None:
    obj = pod("app")
    obj["spec"]["containers"] = {"a": ["x" * 1000]}
    kept = keep(obj, POD)
    assert len(str(kept)) < 300
    with pytest.raises(InvalidWorkloadError, match=r"spec\.containers must be a list, not dict"):
        changed_images(kept, None, POD)


_NAMES = st.sampled_from(["a", "b", "", 1, None])
_JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 1, "text", {}, [], {"a": 1}, {"a": 2}, [1], [[]], ["text"]]
)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return strategy | _JUNK


def _fields(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return _maybe(st.fixed_dictionaries({}, optional={name: _maybe(value) for name, value in fields.items()}))


def _list(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(items, max_size=3)


_CONTAINERS = _list(_fields(name=_NAMES, image=_NAMES, env=_JUNK))
_POD_SPECS = _fields(
    containers=_CONTAINERS,
    initContainers=_CONTAINERS,
    volumes=_list(_fields(name=_NAMES, image=_fields(reference=_NAMES, policy=_JUNK))),
    imagePullSecrets=_list(_fields(name=_NAMES, more=_JUNK)),
    serviceAccountName=_NAMES,
    nodeName=_NAMES,
)
_OBJECTS: dict[WorkloadKind, st.SearchStrategy[Any]] = {
    POD: st.fixed_dictionaries({"spec": _POD_SPECS}),
    kind("CronJob"): st.fixed_dictionaries(
        {"spec": _fields(jobTemplate=_fields(spec=_fields(template=_fields(spec=_POD_SPECS))))}
    ),
    TASK_RUN: st.fixed_dictionaries(
        {"spec": _fields(taskSpec=_fields(steps=_CONTAINERS, stepTemplate=_fields(image=_NAMES)))}
    ),
    PIPELINE: st.fixed_dictionaries(
        {"spec": _fields(pod=_POD_SPECS, tasks=_list(_fields(name=_NAMES, pod=_POD_SPECS)), images=_list(_NAMES))}
    ),
}


def outcome(read: Callable[[], object]) -> object:
    """Return what reading returns, or the message of its error."""
    try:
        return read()
    except InvalidWorkloadError as error:
        return error.message


@settings(max_examples=examples(400), deadline=None)
@given(st.data(), st.sampled_from(list(_OBJECTS)))
def test_images_and_errors_of_what_is_kept_are_those_of_the_object(data: st.DataObject, of: WorkloadKind) -> None:
    obj = data.draw(_OBJECTS[of])
    kept = keep(obj, of)
    assert outcome(lambda: changed_images(kept, None, of)) == outcome(lambda: changed_images(obj, None, of))
    if not isinstance(outcome(lambda: changed_images(obj, None, of)), str):
        assert _pull_secrets(kept, of) == _pull_secrets(obj, of)


def _pull_secrets(obj: Mapping[str, Any], of: WorkloadKind) -> object:
    """Return the names that `ClusterCredentials` reads of an object."""
    specs = pod_specs(obj, of) or ((obj["spec"],) if isinstance(obj.get("spec"), dict) else ())
    return [
        (
            [_text(item, "name") for item in _listed(spec, "imagePullSecrets") if isinstance(item, dict)],
            _text(spec, "serviceAccountName"),
        )
        for spec in specs
    ]


def _text(parent: Mapping[str, Any], name: str) -> str | None:
    """Return a text; all other values count as missing."""
    value = parent.get(name)
    return value if isinstance(value, str) else None


def _listed(spec: Mapping[str, Any], name: str) -> list[Any]:
    value = spec.get(name)
    return value if isinstance(value, list) else []


@settings(max_examples=examples(400), deadline=None)
@given(st.data(), st.sampled_from(list(_OBJECTS)))
def test_changed_images_of_what_is_kept_are_those_of_the_objects(data: st.DataObject, of: WorkloadKind) -> None:
    """Save that an object whose images cannot be read has not changed if only fields without images have."""
    obj, old = data.draw(_OBJECTS[of]), data.draw(_OBJECTS[of])
    whole = outcome(lambda: changed_images(obj, old, of))
    kept = outcome(lambda: changed_images(keep(obj, of), keep(old, of), of))
    if kept != whole:
        assert kept == ()
        assert isinstance(whole, str)
        assert all(_values(keep(obj, of), path) == _values(keep(old, of), path) for path in (*of.pod_specs, *of.images))


def _values(obj: Mapping[str, Any], path: FieldPath) -> list[Any]:
    """Return the values at a path that are there; an empty list has none."""
    values: list[Any] = [obj]
    for step in path.steps:
        found = [value[step.name] for value in values if value.get(step.name) is not None]
        values = [item for items in found for item in items] if step.each else found
    return values
