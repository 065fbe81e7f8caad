"""Which images a Kubernetes object would run: of pods, and of everything that holds a pod template.

Containers, init containers, ephemeral containers and image volumes all count. Nothing else about an object does:
not its owner references, annotations, labels, replicas or deletion timestamp, since whoever may write the object
writes those too.

An object whose images cannot be told is an error that names the field, never an object without images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from sealgate.errors import InvalidWorkloadError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

ImageKind = Literal["container", "init", "ephemeral", "volume"]

_TEMPLATE = ("spec", "template", "spec")

#: Where each kind of object has its pod spec.
POD_SPECS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Pod": ("spec",),
        "Deployment": _TEMPLATE,
        "ReplicaSet": _TEMPLATE,
        "StatefulSet": _TEMPLATE,
        "DaemonSet": _TEMPLATE,
        "Job": _TEMPLATE,
        "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
        "ReplicationController": _TEMPLATE,
        "PodTemplate": ("template", "spec"),
    }
)

#: API groups in which those kinds are Kubernetes' own; `Job` also is the name of other people's objects.
_GROUPS = frozenset({"", "apps", "batch", "extensions"})

_CONTAINER_LISTS: tuple[tuple[str, ImageKind], ...] = (
    ("initContainers", "init"),
    ("containers", "container"),
    ("ephemeralContainers", "ephemeral"),
)

#: How deep lists of lists may go.
_MAX_LIST_DEPTH = 8


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """One image that an object would run or mount.

    Attributes:
        image: the text as written.
        field: where it stands ("spec.template.spec.initContainers[0].image").
        container: the container's name, or the volume's.
        kind: what it is the image of.
    """

    image: str
    field: str
    container: str
    kind: ImageKind


def is_workload(
    obj: Mapping[str, Any], kind: str | None = None, *, pod_specs: Mapping[str, tuple[str, ...]] = POD_SPECS
) -> bool:
    """Return whether sealgate knows where an object of this kind has its images.

    Args:
        obj: the object.
        kind: its kind, where the caller knows it from elsewhere; then `apiVersion` is not looked at.
        pod_specs: kinds, each with the path to its pod spec.

    Raises:
        InvalidWorkloadError: the object has no kind.
    """
    if kind is not None:
        return kind in pod_specs
    kind = _kind(obj)
    if kind not in pod_specs:
        return False
    group, separator, _ = str(obj.get("apiVersion") or "").partition("/")
    return kind not in POD_SPECS or not separator or group in _GROUPS


def extract_images(
    obj: Mapping[str, Any], kind: str | None = None, *, pod_specs: Mapping[str, tuple[str, ...]] = POD_SPECS
) -> tuple[ContainerImage, ...]:
    """Return every image that an object would run or mount; none for a kind that `is_workload` does not know.

    Args:
        obj: the object, as JSON has it.
        kind: its kind, where the caller knows it from elsewhere; default its own `kind`.
        pod_specs: kinds, each with the path to its pod spec.

    Raises:
        InvalidWorkloadError: its images cannot be told; the message names the field.
    """
    if not is_workload(obj, kind, pod_specs=pod_specs):
        return ()
    path = pod_specs[kind if kind is not None else _kind(obj)]
    spec: Any = obj
    for depth, part in enumerate(path, start=1):
        spec = _mapping(spec.get(part), ".".join(path[:depth]))
    return tuple(_images(spec, ".".join(path)))


def changed_images(
    obj: Mapping[str, Any],
    old: Mapping[str, Any] | None,
    kind: str | None = None,
    *,
    pod_specs: Mapping[str, tuple[str, ...]] = POD_SPECS,
) -> tuple[ContainerImage, ...]:
    """Return the images of an object that its former state did not have in the same place.

    An image is unchanged when the same list had a container (or volume) of the same name with the same text.

    Args:
        obj: the object as it would be.
        old: the object as it is; None for a new one. If its images cannot be told, everything has changed.
        kind: as in `extract_images`.
        pod_specs: as in `extract_images`.

    Raises:
        InvalidWorkloadError: the new object's images cannot be told.
    """
    images = extract_images(obj, kind, pod_specs=pod_specs)
    try:
        before = extract_images(old, kind, pod_specs=pod_specs) if old is not None else ()
    except InvalidWorkloadError:
        before = ()
    known = {(image.kind, image.container, image.image) for image in before}
    return tuple(image for image in images if (image.kind, image.container, image.image) not in known)


def flatten_lists(obj: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the objects of a `List` (or `PodList`, ...), or the object itself.

    Raises:
        InvalidWorkloadError: the object has no kind, or its items are no objects.
    """
    return tuple(_flatten(obj, "", 0))


def _flatten(obj: Mapping[str, Any], field: str, depth: int) -> Iterator[Mapping[str, Any]]:
    kind = _kind(obj)
    if not kind.endswith("List") or "items" not in obj:
        yield obj
        return
    if depth == _MAX_LIST_DEPTH:
        raise _invalid(field, f"lists are nested more than {_MAX_LIST_DEPTH} deep")
    item_kind = kind.removesuffix("List")
    for index, item in enumerate(_sequence(obj["items"], f"{field}items")):
        place = f"{field}items[{index}]"
        element = _mapping(item, place)
        if item_kind and "kind" not in element:
            # The API leaves out what the list's own kind says for all its items.
            element = {"apiVersion": obj.get("apiVersion", ""), **element, "kind": item_kind}
        yield from _flatten(element, f"{place}.", depth + 1)


def _images(spec: Mapping[str, Any], path: str) -> Iterator[ContainerImage]:
    if not _listed(spec, path, "containers"):
        raise _invalid(f"{path}.containers", "is missing or empty; a pod has at least one container")
    for name, kind in _CONTAINER_LISTS:
        for place, container in _items(spec, path, name):
            field = f"{place}.image"
            yield ContainerImage(_image(container.get("image"), field), field, _name(container, place), kind)
    for place, volume in _items(spec, path, "volumes"):
        if volume.get("image") is not None:
            source, field = _mapping(volume["image"], f"{place}.image"), f"{place}.image.reference"
            yield ContainerImage(_image(source.get("reference"), field), field, _name(volume, place), "volume")


def _items(spec: Mapping[str, Any], path: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for index, item in enumerate(_listed(spec, path, name)):
        place = f"{path}.{name}[{index}]"
        yield place, _mapping(item, place)


def _listed(spec: Mapping[str, Any], path: str, name: str) -> Sequence[Any]:
    return _sequence(spec[name], f"{path}.{name}") if spec.get(name) is not None else ()


def _kind(obj: Mapping[str, Any]) -> str:
    kind = obj.get("kind")
    if not isinstance(kind, str) or not kind:
        raise _invalid("kind", "is missing; a Kubernetes object says what it is")
    return kind


def _image(value: object, field: str) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise _invalid(field, "is empty; name an image, since what a controller fills in later cannot be verified now")
    if not isinstance(value, str):
        raise _invalid(field, f"must be text, not {type(value).__name__}; put it in quotes")
    return value


def _name(item: Mapping[str, Any], place: str) -> str:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise _invalid(f"{place}.name", "is missing or is not text")
    return name


def _mapping(value: object, field: str) -> Mapping[str, Any]:
    if value is None:
        raise _invalid(field, "is missing")
    if not isinstance(value, Mapping):
        raise _invalid(field, f"must be an object, not {type(value).__name__}")
    return value


def _sequence(value: object, field: str) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise _invalid(field, f"must be a list, not {type(value).__name__}")
    return value


def _invalid(field: str, why: str) -> InvalidWorkloadError:
    return InvalidWorkloadError(f"{quote(field)} {why}")
