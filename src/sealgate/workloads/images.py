"""Images that a Kubernetes object would run: those of pods and of pod templates.

Containers, init containers, ephemeral containers and image volumes count, and the fields that a custom kind names.
Owner references, annotations, labels, replicas and the deletion timestamp are ignored, because the author of an object
can set them.

The caller determines the kind (`sealgate.workloads.kinds`). If the images of an object cannot be determined, that is an
error that names the field; the object never counts as one without images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sealgate.errors import InvalidWorkloadError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.workloads.kinds import FieldPath, Step, WorkloadKind

ImageKind = Literal["container", "init", "ephemeral", "volume"]

#: Position in an object that does not depend on the order of named items: the fields, and for each list item its name
#: and its index among the items of that name. Items without a name are distinguished by that index.
Slot = tuple["str | tuple[str, int]", ...]

#: The lists of containers in a pod spec, and the kind of image in each.
CONTAINER_LISTS: tuple[tuple[str, ImageKind], ...] = (
    ("initContainers", "init"),
    ("containers", "container"),
    ("ephemeralContainers", "ephemeral"),
)


#: The types of JSON come first: they are found at once, where an abstract class takes a function call.
_MAPPING = (dict, Mapping)
_SEQUENCE = (list, Sequence)


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """One image that an object would run or mount.

    Attributes:
        image: the reference as written.
        field: field path ("spec.template.spec.initContainers[0].image").
        container: name of the container or volume; empty if it has none.
        kind: what uses the image.
        slot: position, for the comparison with an object's previous state.
    """

    image: str
    field: str
    container: str
    kind: ImageKind
    slot: Slot = ()


@dataclass(frozen=True, slots=True)
class _Located:
    """A value in an object with its field path and position."""

    value: Any
    field: str
    slot: Slot


def identify(obj: Mapping[str, Any]) -> tuple[str, str]:
    """Return API group and kind of an object.

    Raises:
        InvalidWorkloadError: kind or apiVersion is missing.
    """
    kind = _kind(obj)
    version = obj.get("apiVersion")
    if not isinstance(version, str) or not version:
        raise _invalid("apiVersion", "is missing; every Kubernetes object needs one")
    return version.rpartition("/")[0], kind


def extract_images(obj: Mapping[str, Any], kind: WorkloadKind) -> tuple[ContainerImage, ...]:
    """Return every image that an object would run or mount.

    Args:
        obj: the object as parsed JSON.
        kind: the object's kind.

    Raises:
        InvalidWorkloadError: the images cannot be determined; the message names the field.
    """
    found: list[ContainerImage] = []
    for path in kind.pod_specs:
        for spec in _follow(obj, path, required=not kind.optional):
            found += _images(_mapping(spec.value, spec.field), spec.field, spec.slot, required=not kind.optional)
    for path in kind.images:
        for text in _follow(obj, path, required=not kind.optional):
            image = read_image(text.value, text.field)
            container = next((part[0] for part in reversed(text.slot) if isinstance(part, tuple)), "")
            found.append(ContainerImage(image, text.field, container, "container", text.slot))
    return tuple(found)


def changed_images(
    obj: Mapping[str, Any], old: Mapping[str, Any] | None, kind: WorkloadKind
) -> tuple[ContainerImage, ...]:
    """Return the images of an object that its previous state did not have at the same position.

    An image is unchanged when the same list had a container (or volume) of the same name with the same text. Among
    several containers with the same name, or without one, the index counts. If the fields that have images are
    unchanged, no image has changed, even if those fields cannot be read: such an object may have
    been stored before sealgate was installed, and changes of its labels and finalizers must be possible.

    Args:
        obj: the new state of the object.
        old: the previous state; None for a new object. If its images cannot be determined, every image has changed.
        kind: the kind of both.

    Raises:
        InvalidWorkloadError: the images of `obj` cannot be determined and may have changed.
    """
    try:
        images = extract_images(obj, kind)
    except InvalidWorkloadError:
        if old is not None and _hold_the_same(obj, old, kind):
            return ()
        raise
    try:
        before = extract_images(old, kind) if old is not None else ()
    except InvalidWorkloadError:
        before = ()
    known = {(image.slot, image.image) for image in before}
    return tuple(image for image in images if (image.slot, image.image) not in known)


def pod_specs(obj: Mapping[str, Any], kind: WorkloadKind) -> tuple[Mapping[str, Any], ...]:
    """Return the pod specs of an object; none for an object of a custom kind that has none.

    Args:
        obj: the object as parsed JSON.
        kind: the object's kind.

    Raises:
        InvalidWorkloadError: a pod spec is missing or is not an object.
    """
    return tuple(
        _mapping(spec.value, spec.field)
        for path in kind.pod_specs
        for spec in _follow(obj, path, required=not kind.optional)
    )


def read_image(value: object, field: str) -> str:
    """Return the text of an image as it is written in an object.

    Args:
        value: the value of the field; None if it is missing.
        field: the field path, for the message.

    Raises:
        InvalidWorkloadError: the value is missing, blank, or not a string.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise _invalid(field, "is empty; name an image, since what a controller fills in later cannot be verified now")
    if not isinstance(value, str):
        raise _invalid(field, f"must be text, not {type(value).__name__}; put it in quotes")
    return value


def _hold_the_same(obj: Mapping[str, Any], old: Mapping[str, Any], kind: WorkloadKind) -> bool:
    """Return whether both states have the same values at the kind's paths; False if a path cannot be followed."""
    try:
        return all(
            [located.value for located in _follow(obj, path, required=False)]
            == [located.value for located in _follow(old, path, required=False)]
            for path in (*kind.pod_specs, *kind.images)
        )
    except InvalidWorkloadError:
        return False


def _images(spec: Mapping[str, Any], path: str, slot: Slot, *, required: bool) -> Iterator[ContainerImage]:
    if required and not _listed(spec, path, "containers"):
        raise _invalid(f"{path}.containers", "is missing or empty; a pod has at least one container")
    if spec and not any(name in spec for name, _ in CONTAINER_LISTS):
        raise _invalid(path, "has neither containers nor initContainers; is that the path of a pod spec?")
    for name, kind in CONTAINER_LISTS:
        for item in _items(spec, path, slot, name) if name in spec else ():
            field = f"{item.field}.image"
            image = read_image(item.value.get("image"), field)
            yield ContainerImage(image, field, _name(item.value, item.field), kind, item.slot)
    for item in _items(spec, path, slot, "volumes") if "volumes" in spec else ():
        volume = item.value
        if volume.get("image") is not None:
            source, field = _mapping(volume["image"], f"{item.field}.image"), f"{item.field}.image.reference"
            image = read_image(source.get("reference"), field)
            yield ContainerImage(image, field, _name(volume, item.field), "volume", item.slot)


def _items(spec: Mapping[str, Any], path: str, slot: Slot, name: str) -> Iterator[_Located]:
    for located in _numbered(_listed(spec, path, name), f"{path}.{name}", (*slot, name)):
        _mapping(located.value, located.field)
        yield located


def _listed(spec: Mapping[str, Any], path: str, name: str) -> Sequence[Any]:
    return _sequence(spec[name], f"{path}.{name}") if spec.get(name) is not None else ()


def _follow(obj: Mapping[str, Any], path: FieldPath, *, required: bool) -> list[_Located]:
    """Return the values at a path; none if a field of the path is missing and not required."""
    found = [_Located(obj, "", ())]
    for step in path.steps:
        found = [below for located in found for below in _enter(located, step, required=required)]
    return found


def _enter(located: _Located, step: Step, *, required: bool) -> Iterator[_Located]:
    field = f"{located.field}.{step.name}" if located.field else step.name
    value = _mapping(located.value, located.field).get(step.name)
    slot = (*located.slot, step.name)
    if value is None and not required:
        return
    if step.each:
        yield from _numbered(_sequence(value, field), field, slot)
    else:
        yield _Located(value, field, slot)


def _numbered(items: Sequence[Any], field: str, slot: Slot) -> Iterator[_Located]:
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        name = item.get("name") if isinstance(item, _MAPPING) else None
        name = name if isinstance(name, str) else ""
        before = seen.get(name, 0)
        seen[name] = before + 1
        yield _Located(item, f"{field}[{index}]", (*slot, (name, before)))


def _kind(obj: Mapping[str, Any]) -> str:
    kind = obj.get("kind")
    if not isinstance(kind, str) or not kind:
        raise _invalid("kind", "is missing; every Kubernetes object needs one")
    return kind


def _name(item: Mapping[str, Any], field: str) -> str:
    name = item.get("name")
    if name is None:
        return ""
    if not isinstance(name, str):
        raise _invalid(f"{field}.name", f"must be text, not {type(name).__name__}; put it in quotes")
    return name


def _mapping(value: object, field: str) -> Mapping[str, Any]:
    if value is None:
        raise _invalid(field, "is missing")
    if not isinstance(value, _MAPPING):
        raise _invalid(field, f"must be an object, not {type(value).__name__}")
    return value


def _sequence(value: object, field: str) -> Sequence[Any]:
    if not isinstance(value, _SEQUENCE) or isinstance(value, (str, bytes)):
        raise _invalid(field, f"must be a list, not {type(value).__name__}")
    return value


def _invalid(field: str, why: str) -> InvalidWorkloadError:
    return InvalidWorkloadError(f"{quote(field)} {why}")
