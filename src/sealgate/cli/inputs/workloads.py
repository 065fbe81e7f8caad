"""The images in manifests: YAML in several documents, JSON, lists; what `kubectl` and `helm template` print."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealgate.cli.inputs.files import STDIN, list_directory, name_of, read_text
from sealgate.cli.inputs.items import Item, items_of
from sealgate.cli.inputs.yaml_objects import load_documents
from sealgate.cli.questions import Question
from sealgate.errors import ConfigError, InvalidWorkloadError
from sealgate.messages import quote
from sealgate.workloads.images import extract_images, identify
from sealgate.workloads.pod_shapes import find_pod_shapes

if TYPE_CHECKING:
    from sealgate.workloads.images import ContainerImage
    from sealgate.workloads.kinds import WorkloadKind, WorkloadKinds
    from sealgate.workloads.pod_shapes import PodShape

MAX_MANIFEST_BYTES = 64 << 20
#: The files of a directory that kubectl reads, too.
SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(slots=True)
class Manifests:
    """What manifests hold.

    Attributes:
        kinds: the kinds whose images are verified.
        places: (image, namespace) -> where it is used, in the order of the manifests.
        namespaces: labels of the `Namespace` objects, by name.
        ignored: kinds that have no images, and how many objects of each there were.
        guessed: kinds whose pod specs were found by shape, as `--custom-kind` takes them, and how many objects of each.
        problems: what is wrong with single objects; each says which.
        objects: how many objects there were in all.
    """

    kinds: WorkloadKinds
    places: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    guessed: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    objects: int = 0

    def read(self, paths: Sequence[str], default_namespace: str) -> None:
        """Read manifests and find their images.

        Args:
            paths: files, directories (without what is below them), or `-` for standard input (at most once).
            default_namespace: the namespace of objects that do not say theirs.

        Raises:
            ConfigError: a file cannot be read, or there is nothing at all in what one of the paths names.
        """
        if paths.count(STDIN) > 1:
            raise ConfigError("standard input can be read only once: write - one time")
        for path in paths:
            files = list_directory(path, SUFFIXES)
            documents = sum(self._read_file(file, default_namespace) for file in files or (path,))
            if not documents:
                # A template that failed to render must not pass for one without images.
                raise ConfigError(f"{name_of(path)} holds no Kubernetes object; did the command that wrote it fail?")

    def questions(self) -> list[Question]:
        """Return one question for each distinct image and namespace, in the order of the manifests."""
        return [Question(image, namespace, tuple(places)) for (image, namespace), places in self.places.items()]

    def _read_file(self, path: str, default_namespace: str) -> int:
        """Read one file and return how many documents it has that are not empty."""
        documents = 0
        for number, document in enumerate(load_documents(read_text(path, MAX_MANIFEST_BYTES)), start=1):
            if document is None:
                continue
            documents += 1
            for item in items_of(document):
                where = f"{name_of(path)}, document {number}"
                try:
                    self._add(item, where, default_namespace)
                except InvalidWorkloadError as error:
                    self.problems.append(f"{where}: {error.message}")
        return documents

    def _add(self, item: Item, where: str, default_namespace: str) -> None:
        self.objects += 1
        place = f"{item.field}: " if item.field else ""
        if item.problem:
            raise InvalidWorkloadError(f"{place}{item.problem}")
        try:
            group, name = identify(item.value)
        except InvalidWorkloadError as error:
            raise InvalidWorkloadError(f"{place}{error.message}") from error
        metadata = item.value.get("metadata")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        if (group, name) == ("", "Namespace"):
            self.namespaces[str(metadata.get("name", ""))] = _labels(metadata.get("labels"))
        kind = self.kinds.find(group, name)
        title = f"{quote(name)} {quote(metadata.get('namespace') or default_namespace)}/{_name(metadata)}"
        try:
            images = extract_images(item.value, kind) if kind is not None else ()
            shapes = _further_shapes(item.value, kind, images)
        except InvalidWorkloadError as error:
            raise InvalidWorkloadError(f"{title}: {error.message}") from error
        if kind is None and not shapes:
            self.ignored[name] += 1
            return
        namespace = metadata.get("namespace") or default_namespace
        if not isinstance(namespace, str):
            raise InvalidWorkloadError(f"{title}: metadata.namespace must be text; put it in quotes")
        if shapes:
            fields = dict.fromkeys(re.sub(r"\[\d+\]", "[*]", shape.field) for shape in shapes)
            self.guessed[f"{quote(group)}/{quote(name)}={','.join(fields)}"] += 1
        for image in images:
            self._use(image, namespace, f"{title}, {image.field} ({where})")
        for image in (image for shape in shapes for image in shape.images):
            self._use(image, namespace, f"{title}, {image.field}, found by its shape ({where})")

    def _use(self, image: ContainerImage, namespace: str, place: str) -> None:
        self.places.setdefault((image.image, namespace), []).append(place)


def _further_shapes(
    obj: Mapping[str, Any], kind: WorkloadKind | None, images: Sequence[ContainerImage]
) -> tuple[PodShape, ...]:
    """Return the pod specs that the configuration does not know of; Kubernetes' own kinds have none."""
    if kind is not None and not kind.optional:
        return ()
    known = {image.field for image in images}
    return tuple(shape for shape in find_pod_shapes(obj) if not known.issuperset(image.field for image in shape.images))


def _name(metadata: Mapping[str, Any]) -> str:
    return quote(metadata.get("name", metadata.get("generateName", "")))


def _labels(labels: object) -> dict[str, str]:
    if not isinstance(labels, Mapping):
        return {}
    return {str(key): str(value) for key, value in labels.items()}
