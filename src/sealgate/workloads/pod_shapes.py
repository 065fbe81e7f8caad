"""Detection of pod specs by their shape, in objects of kinds that are not configured.

A mapping with a list of containers of which one has a string `image` counts as a pod spec, anywhere in an object except
in `metadata` and `status`. This is a heuristic: good enough to report which kinds to configure and to verify their
images meanwhile, not good enough for the webhook. Text inside ConfigMaps is not parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealgate.errors import InvalidWorkloadError
from sealgate.messages import quote
from sealgate.workloads.images import CONTAINER_LISTS, ContainerImage, read_image

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The most mappings and lists of one object that are searched, and the deepest nesting: more than any object that an
#: API server accepts.
MAX_SEARCHED: Final = 500_000
MAX_DEPTH: Final = 200
_SKIPPED: Final = frozenset({"metadata", "status"})
_MAX_KEY: Final = 64


@dataclass(frozen=True, slots=True)
class PodShape:
    """A mapping with the shape of a pod spec.

    Attributes:
        field: its field path ("spec.template.spec").
        images: the images that it would run; at least one.
    """

    field: str
    images: tuple[ContainerImage, ...]


def find_pod_shapes(obj: Mapping[str, Any]) -> tuple[PodShape, ...]:
    """Return the mappings in an object that have the shape of a pod spec; one with several aliases is returned once.

    Args:
        obj: the object as parsed JSON or YAML.

    Raises:
        InvalidWorkloadError: the object is too large or too deep to be searched, or an image in a pod spec is not text.
    """
    found: list[PodShape] = []
    seen: set[int] = set()
    waiting = [(value, quote(key, _MAX_KEY), 1) for key, value in obj.items() if key not in _SKIPPED][::-1]
    while waiting:
        value, field, depth = waiting.pop()
        if not isinstance(value, (Mapping, list)) or id(value) in seen:
            continue
        seen.add(id(value))
        if len(seen) > MAX_SEARCHED or depth > MAX_DEPTH:
            raise InvalidWorkloadError("the object is too large to search it for pod specs; configure its kind")
        if isinstance(value, list):
            below = [(item, f"{field}[{index}]", depth + 1) for index, item in enumerate(value)]
        else:
            below = [(item, f"{field}.{quote(key, _MAX_KEY)}", depth + 1) for key, item in value.items()]
            if any(_has_image(item) for name, _ in CONTAINER_LISTS for item in _listed(value, name)):
                found.append(PodShape(field, tuple(_images(value, field))))
        waiting += below[::-1]
    return tuple(found)


def _images(spec: Mapping[str, Any], path: str) -> Iterator[ContainerImage]:
    for name, kind in CONTAINER_LISTS:
        for index, item in enumerate(_listed(spec, name)):
            # Operators that merge containers into their own accept containers without an image.
            if isinstance(item, Mapping) and item.get("image") is not None:
                field = f"{path}.{name}[{index}].image"
                yield ContainerImage(read_image(item["image"], field), field, _name(item), kind)
    for index, item in enumerate(_listed(spec, "volumes")):
        source = item.get("image") if isinstance(item, Mapping) else None
        if isinstance(source, Mapping) and source.get("reference") is not None:
            field = f"{path}.volumes[{index}].image.reference"
            yield ContainerImage(read_image(source["reference"], field), field, _name(item), "volume")


def _has_image(item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("image"), str)


def _listed(spec: Mapping[str, Any], name: str) -> list[Any]:
    value = spec.get(name)
    return value if isinstance(value, list) else []


def _name(item: Mapping[str, Any]) -> str:
    name = item.get("name")
    return name if isinstance(name, str) else ""
