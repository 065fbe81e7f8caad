"""Kinds of objects with images, identified by API group and kind, and the field paths of the images.

A kind's name alone is ambiguous: `StatefulSet` of `apps.kruise.io` and `StatefulSet` of `apps` are two kinds.

The built-in kinds are those of Kubernetes. Their pod spec is required. The pod spec of a custom kind is optional,
because many such kinds can refer to one in another object; if it is present, it must be readable.

A field path is the names of the fields from the object's root, joined by dots, as in `kubectl explain`. `[*]` after a
name means every item of the list in that field: `spec.tasks[*].template.spec`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from sealgate.errors import ConfigError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Limits of one configured kind, and of the number of kinds.
MAX_STEPS: Final = 16
MAX_PATHS: Final = 16
MAX_KINDS: Final = 256

_EACH = "[*]"
_STEP = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_-]{0,62})(?P<each>\[\*\])?")
_GROUP = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
_MAX_GROUP: Final = 253


class Step(NamedTuple):
    """One step of a field path.

    Attributes:
        name: name of the field.
        each: whether the field is a list and the path continues in every item.
    """

    name: str
    each: bool


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A path from an object's root to a field, or to the same field in every item of a list.

    Attributes:
        steps: the fields, outermost first; 1 to `MAX_STEPS`.
    """

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> FieldPath:
        """Parse a path such as `spec.template.spec` or `spec.tasks[*].template.spec`.

        Raises:
            ConfigError: the text is not a path; the message says which part is wrong.
        """
        parts = text.split(".")
        if len(parts) > MAX_STEPS:
            raise ConfigError(f"the field path {quote(text)} has more than {MAX_STEPS} fields")
        steps: list[Step] = []
        for part in parts:
            match = _STEP.fullmatch(part)
            if match is None:
                raise ConfigError(
                    f"{quote(text)} is not a field path: {quote(repr(part))} is not a field; write names joined by "
                    f"dots, {_EACH} after a list, such as spec.template.spec or spec.tasks{_EACH}.template.spec"
                )
            steps.append(Step(match["name"], match["each"] is not None))
        return cls(tuple(steps))

    def __str__(self) -> str:
        """Return the path as it is written."""
        return ".".join(name + (_EACH if each else "") for name, each in self.steps)


@dataclass(frozen=True, slots=True)
class WorkloadKind:
    """One kind and the field paths of its images.

    Attributes:
        group: API group; empty for the core group.
        kind: the kind as objects have it ("Deployment").
        pod_specs: field paths of its pod specs.
        images: field paths of further images; each field is the text of an image.
        optional: whether every path may be missing from an object. A path that is present must be readable.
    """

    group: str
    kind: str
    pod_specs: tuple[FieldPath, ...]
    images: tuple[FieldPath, ...] = ()
    optional: bool = True

    @classmethod
    def custom(cls, group: str, kind: str, pod_specs: Iterable[str] = (), images: Iterable[str] = ()) -> WorkloadKind:
        """Return a custom kind as a configuration describes it.

        Args:
            group: API group; custom kinds always have one.
            kind: the kind as objects have it.
            pod_specs: field paths of its pod specs.
            images: field paths of further images. `pod_specs` and `images` together have 1 to `MAX_PATHS` paths.

        Raises:
            ConfigError: an argument is not valid, or there is no path.
        """
        name = f"custom kind {quote(group)}/{quote(kind)}"
        if not group:
            raise ConfigError(
                f"custom kind {quote(kind)} has no API group; write GROUP/KIND, such as argoproj.io/Rollout"
            )
        if len(group) > _MAX_GROUP or not _GROUP.fullmatch(group):
            raise ConfigError(f"{name}: {quote(group)} is not an API group; write it without the version")
        if not _KIND.fullmatch(kind):
            raise ConfigError(f"{name}: {quote(kind)} is not a kind; write it as objects do, such as Rollout")
        try:
            found = cls(group, kind, tuple(map(FieldPath.parse, pod_specs)), tuple(map(FieldPath.parse, images)))
        except ConfigError as error:
            raise ConfigError(f"{name}: {error.message}") from error
        paths = (*found.pod_specs, *found.images)
        if not paths:
            raise ConfigError(f"{name} has no field: say where its pod spec or its images are")
        if len(paths) > MAX_PATHS:
            raise ConfigError(f"{name} has {len(paths)} fields; at most {MAX_PATHS} are allowed")
        if len(set(paths)) < len(paths):
            raise ConfigError(f"{name} has a duplicate field")
        return found

    def __str__(self) -> str:
        """Return `group/kind`; only the kind for the core group."""
        return f"{self.group}/{self.kind}" if self.group else self.kind


@dataclass(frozen=True, slots=True)
class WorkloadKinds:
    """A set of kinds, at most one of each group and kind.

    Args:
        kinds: the kinds.

    Raises:
        ConfigError: two of them have the same group and kind, or there are more than `MAX_KINDS`.
    """

    kinds: tuple[WorkloadKind, ...]
    _found: Mapping[tuple[str, str], WorkloadKind] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the kinds."""
        if len(self.kinds) > MAX_KINDS:
            raise ConfigError(f"{len(self.kinds)} kinds are configured; at most {MAX_KINDS} are allowed")
        found: dict[tuple[str, str], WorkloadKind] = {}
        for kind in self.kinds:
            known = found.setdefault((kind.group, kind.kind), kind)
            if known is not kind:
                raise ConfigError(
                    f"{kind} is built in and cannot be a custom kind"
                    if not known.optional
                    else f"custom kind {kind} is configured twice; give all its fields in one entry"
                )
        object.__setattr__(self, "_found", MappingProxyType(found))

    def find(self, group: str, kind: str) -> WorkloadKind | None:
        """Return the kind of that group and name; None if it is not in the set."""
        return self._found.get((group, kind))

    def named(self, kind: str) -> tuple[WorkloadKind, ...]:
        """Return the kinds of that name, of any group."""
        return tuple(candidate for candidate in self.kinds if candidate.kind == kind)

    def with_custom(self, kinds: Iterable[WorkloadKind]) -> WorkloadKinds:
        """Return a set of these kinds and the given ones.

        Raises:
            ConfigError: one of the kinds is in the set already.
        """
        return WorkloadKinds((*self.kinds, *kinds))


#: Pods, the only objects that nodes run.
POD: Final = WorkloadKind("", "Pod", (FieldPath.parse("spec"),), optional=False)


def _templates() -> Iterator[WorkloadKind]:
    template = "spec.template.spec"
    # Old API servers serve the kinds of `apps` in `extensions` too.
    for groups, kinds, path in (
        (("",), ("ReplicationController",), template),
        (("",), ("PodTemplate",), "template.spec"),
        (("apps", "extensions"), ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"), template),
        (("batch",), ("Job",), template),
        (("batch",), ("CronJob",), "spec.jobTemplate.spec.template.spec"),
    ):
        for group in groups:
            for kind in kinds:
                yield WorkloadKind(group, kind, (FieldPath.parse(path),), optional=False)


#: The kinds of Kubernetes itself.
BUILT_IN: Final = WorkloadKinds((POD, *_templates()))
