"""What is kept of a reviewed object: its images, pull secrets, owners and names.

A decoded object takes many times the memory of its JSON, and a review may wait for a registry. So the object is reduced
to a copy of the fields that admission reads, in the same places, and the rest is freed before anything waits. For
every reader (`sealgate.workloads.images`, pull secrets, Events) the copy is as good as the object: the same images, the
same errors. A value that has the wrong type for its field is replaced by a small one of that type, different for
different values.
"""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sealgate.errors import InvalidWorkloadError
from sealgate.policies.limits import check_size
from sealgate.workloads.images import CONTAINER_LISTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.workloads.kinds import Step, WorkloadKind

#: The most containers, volumes, pull secrets and owners of one object: more than fit into the 1.5 MiB of an object that
#: Kubernetes stores.
MAX_ITEMS: Final = 10_000

#: The kept fields of an object and the shapes of their values; `[shape]` for a list of them, None for a scalar.
Shape: TypeAlias = "dict[str, Shape] | list[Shape] | None"

_NAMED_IMAGE: Final[Shape] = {"name": None, "image": None}
_POD_SPEC: Final[Shape] = {
    **{name: [_NAMED_IMAGE] for name, _ in CONTAINER_LISTS},
    "volumes": [{"name": None, "image": {"reference": None}}],
    "imagePullSecrets": [{"name": None}],
    "serviceAccountName": None,
}
_OWNER: Final[Shape] = dict.fromkeys(("apiVersion", "kind", "name", "uid", "controller"))
_METADATA: Final[Shape] = {"metadata": {"generateName": None, "ownerReferences": [_OWNER]}}
#: Kinds that make pods out of other fields name their pull secrets where a pod spec has them.
_PULL_SECRETS: Final[Shape] = {"spec": {"imagePullSecrets": [{"name": None}], "serviceAccountName": None}}


def keep(obj: Mapping[str, Any], kind: WorkloadKind | None) -> Mapping[str, Any]:
    """Return a copy of an object with the fields that admission reads.

    Args:
        obj: the object as parsed JSON.
        kind: the object's kind; None for a kind without images.

    Raises:
        InvalidWorkloadError: it has more than `MAX_ITEMS` containers, volumes, pull secrets and owners.
    """
    return _Copier().mapping(obj, _shape(kind))


def keep_policy_object(
    obj: Mapping[str, Any] | None, old: Mapping[str, Any] | None, *, with_old: bool = False
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Return copies of a policy object and its former state with the fields that are validated.

    If the spec has not changed, both are without it, so that they compare as equal; otherwise the former state is None
    unless it is asked for.

    Args:
        obj: the object as parsed JSON; None if it is deleted.
        old: its former state; None for a new object.
        with_old: whether changes are compared with the former state.

    Raises:
        ObjectTooLargeError: its spec has changed, or is new, and is too large to be validated.
    """
    if obj is None:
        return None, None
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        metadata = {name: _stand_in(metadata[name]) for name in ("name", "uid") if name in metadata}
    kept = {**{name: obj[name] for name in ("apiVersion", "kind") if name in obj}, "metadata": metadata}
    if old is not None and obj.get("spec") == old.get("spec"):
        return kept, {}
    check_size(obj)
    new = {**kept, "spec": obj["spec"]} if "spec" in obj else kept
    if old is None or not with_old:
        return new, None
    check_size(old)
    return new, {"spec": old.get("spec")}


class _Copier:
    """Copies values of one object."""

    def __init__(self) -> None:
        self._items = 0

    def mapping(self, value: Mapping[str, Any], shape: dict[str, Shape]) -> dict[str, Any]:
        return {name: self._value(value[name], below) for name, below in shape.items() if name in value}

    def _value(self, value: object, shape: Shape) -> object:
        if isinstance(shape, dict) and isinstance(value, dict):
            # What has other fields only stays non-empty: a pod spec without containers is refused, an empty one is not.
            return self.mapping(value, shape) or ({"": None} if value else {})
        if isinstance(shape, list) and isinstance(value, list):
            self._items += len(value)
            if self._items > MAX_ITEMS:
                raise InvalidWorkloadError(
                    f"the object has more than {MAX_ITEMS} containers, volumes, pull secrets and owners"
                )
            return [self._value(item, shape[0]) for item in value]
        return _stand_in(value)


def _stand_in(value: object) -> object:
    """Return a scalar as it is; for an object or list, where the field takes none, a small one that stands for it."""
    if not isinstance(value, (dict, list)) or not value:
        return value
    digest = sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    return {digest: digest} if isinstance(value, dict) else [digest]


@lru_cache(maxsize=512)  # more than the kinds that a configuration can have
def _shape(kind: WorkloadKind | None) -> dict[str, Shape]:
    shape: Shape = _METADATA
    if kind is not None:
        for path in kind.pod_specs:
            shape = _merge(shape, _at(path.steps, _POD_SPEC))
        for path in kind.images:
            shape = _merge(shape, _at(path.steps, None))
        shape = _merge(shape, _PULL_SECRETS)
    assert isinstance(shape, dict)  # noqa: S101 - every path begins with a field of the object
    return shape


def _at(steps: tuple[Step, ...], shape: Shape) -> Shape:
    """Return the shape of an object that has a value of a shape at the end of a path."""
    for step in reversed(steps):
        shape = {step.name: [shape] if step.each else shape}
    if any(step.each for step in steps):
        # Items of a list are told apart by their names (`sealgate.workloads.images.Slot`).
        return _with_names(shape)
    return shape


def _with_names(shape: Shape) -> Shape:
    if isinstance(shape, dict):
        return {name: _with_names(below) for name, below in shape.items()}
    if isinstance(shape, list):
        return [_merge(_with_names(shape[0]), {"name": None})]
    return shape


def _merge(one: Shape, other: Shape) -> Shape:
    """Return a shape that keeps what either keeps. Where one takes a list and the other an object, the first counts."""
    if isinstance(one, dict) and isinstance(other, dict):
        both = {name: _merge(one[name], other[name]) for name in one.keys() & other.keys()}
        return {**one, **other, **both}
    if isinstance(one, list) and isinstance(other, list):
        return [_merge(one[0], other[0])]
    return other if one is None else one
