"""Which images a Kubernetes object would run: of pods, and of everything that holds a pod template.

Containers, init containers, ephemeral containers and image volumes all count, and the fields that a custom kind names.
Nothing else about an object does: not its owner references, annotations, labels, replicas or deletion timestamp,
since whoever may write the object writes those too.

Which kind an object is of is the caller's to say (`sealgate.workloads.kinds`). An object whose images cannot be told
is an error that names the field, never an object without images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sealgate.errors import InvalidWorkloadError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.workloads.kinds import FieldPath, Step, WorkloadKind

ImageKind = Literal["container", "init", "ephemeral", "volume"]

#: Where something is in an object, apart from the order of named items: the fields, and for each item of a list its
#: name and its index among the items of that name. The items of a list that have no name are told apart by that index.
Slot = tuple["str | tuple[str, int]", ...]

#: The lists of containers of a pod spec, and what an image in each is the image of.
CONTAINER_LISTS: tuple[tuple[str, ImageKind], ...] = (
    ("initContainers", "init"),
    ("containers", "container"),
    ("ephemeralContainers", "ephemeral"),
)


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """One image that an object would run or mount.

    Attributes:
        image: the text as written.
        field: where it stands ("spec.template.spec.initContainers[0].image").
        container: name of the container or volume; empty where it has none.
        kind: what it is the image of.
        slot: where it stands, for the comparison with an object's former state.
    """

    image: str
    field: str
    container: str
    kind: ImageKind
    slot: Slot = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """A value in an object and where it stands."""

    value: Any
    field: str
    slot: Slot


def identify(obj: Mapping[str, Any]) -> tuple[str, str]:
    """Return API group and kind of an object.

    Raises:
        InvalidWorkloadError: it does not say its kind or its apiVersion.
    """
    kind = _kind(obj)
    version = obj.get("apiVersion")
    if not isinstance(version, str) or not version:
        raise _invalid("apiVersion", "is missing; a Kubernetes object says which API it is of")
    return version.rpartition("/")[0], kind


def extract_images(obj: Mapping[str, Any], kind: WorkloadKind) -> tuple[ContainerImage, ...]:
    """Return every image that an object would run or mount.

    Args:
        obj: the object, as JSON has it.
        kind: of which kind it is.

    Raises:
        InvalidWorkloadError: its images cannot be told; the message names the field.
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
    """Return the images of an object that its former state did not have in the same place.

    An image is unchanged when the same list had a container (or volume) of the same name with the same text. Of
    several containers of one name, or without one, the same position among them counts. Where nothing changed in the
    fields that hold images, there is no changed image, even if those fields cannot be read: such an object may have
    been stored before anybody looked at it, and its labels and finalizers must be able to change.

    Args:
        obj: the object as it would be.
        old: the object as it is; None for a new one. If its images cannot be told, everything has changed.
        kind: of which kind both are.

    Raises:
        InvalidWorkloadError: the new object's images cannot be told, and they may have changed.
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
        obj: the object, as JSON has it.
        kind: of which kind it is.

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
        value: what the object has there.
        field: where that is, for the message.

    Raises:
        InvalidWorkloadError: it is missing, blank, or not text.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise _invalid(field, "is empty; name an image, since what a controller fills in later cannot be verified now")
    if not isinstance(value, str):
        raise _invalid(field, f"must be text, not {type(value).__name__}; put it in quotes")
    return value


def _hold_the_same(obj: Mapping[str, Any], old: Mapping[str, Any], kind: WorkloadKind) -> bool:
    """Return whether the same stands at each of a kind's paths; False where a path cannot be followed."""
    try:
        return all(
            [place.value for place in _follow(obj, path, required=False)]
            == [place.value for place in _follow(old, path, required=False)]
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
        for item in _items(spec, path, slot, name):
            field = f"{item.field}.image"
            image = read_image(item.value.get("image"), field)
            yield ContainerImage(image, field, _name(item.value, item.field), kind, item.slot)
    for item in _items(spec, path, slot, "volumes"):
        volume = item.value
        if volume.get("image") is not None:
            source, field = _mapping(volume["image"], f"{item.field}.image"), f"{item.field}.image.reference"
            image = read_image(source.get("reference"), field)
            yield ContainerImage(image, field, _name(volume, item.field), "volume", item.slot)


def _items(spec: Mapping[str, Any], path: str, slot: Slot, name: str) -> Iterator[_Place]:
    for place in _numbered(_listed(spec, path, name), f"{path}.{name}", (*slot, name)):
        _mapping(place.value, place.field)
        yield place


def _listed(spec: Mapping[str, Any], path: str, name: str) -> Sequence[Any]:
    return _sequence(spec[name], f"{path}.{name}") if spec.get(name) is not None else ()


def _follow(obj: Mapping[str, Any], path: FieldPath, *, required: bool) -> list[_Place]:
    """Return the values that a path leads to; none where a field on the way is absent, unless it is required."""
    places = [_Place(obj, "", ())]
    for step in path.steps:
        places = [below for place in places for below in _enter(place, step, required=required)]
    return places


def _enter(place: _Place, step: Step, *, required: bool) -> Iterator[_Place]:
    field = f"{place.field}.{step.name}" if place.field else step.name
    value = _mapping(place.value, place.field).get(step.name)
    slot = (*place.slot, step.name)
    if value is None and not required:
        return
    if step.each:
        yield from _numbered(_sequence(value, field), field, slot)
    else:
        yield _Place(value, field, slot)


def _numbered(items: Sequence[Any], field: str, slot: Slot) -> Iterator[_Place]:
    seen: Counter[str] = Counter()
    for index, item in enumerate(items):
        name = item.get("name") if isinstance(item, Mapping) else None
        name = name if isinstance(name, str) else ""
        yield _Place(item, f"{field}[{index}]", (*slot, (name, seen[name])))
        seen[name] += 1


def _kind(obj: Mapping[str, Any]) -> str:
    kind = obj.get("kind")
    if not isinstance(kind, str) or not kind:
        raise _invalid("kind", "is missing; a Kubernetes object says what it is")
    return kind


def _name(item: Mapping[str, Any], place: str) -> str:
    name = item.get("name")
    if name is None:
        return ""
    if not isinstance(name, str):
        raise _invalid(f"{place}.name", f"must be text, not {type(name).__name__}; put it in quotes")
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
