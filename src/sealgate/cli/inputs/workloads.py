"""Images in manifests: YAML with several documents, JSON and lists, as `kubectl` and `helm template` print them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealgate.cli.inputs.files import STDIN, list_directory, name_of, read_text
from sealgate.cli.inputs.items import Item, items_of
from sealgate.cli.questions import Question
from sealgate.errors import ConfigError, InvalidWorkloadError
from sealgate.messages import quote
from sealgate.parsing.documents import read_documents
from sealgate.parsing.yaml_reader import Rules
from sealgate.workloads.images import extract_images, identify
from sealgate.workloads.pod_shapes import find_pod_shapes

if TYPE_CHECKING:
    from sealgate.workloads.images import ContainerImage
    from sealgate.workloads.kinds import WorkloadKind, WorkloadKinds
    from sealgate.workloads.pod_shapes import PodShape

#: The most bytes of one manifest file.
MAX_MANIFEST_BYTES = 64 << 20
#: CustomResourceDefinitions are the deepest objects in practice, with fewer than 100 levels.
MANIFEST_RULES = Rules(max_depth=200, max_values=10_000_000, merge_keys=True, json=True)
#: Suffixes of the files that kubectl reads in a directory.
SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(slots=True)
class Manifests:
    """The images and namespaces of manifests.

    Attributes:
        kinds: the kinds whose images are verified.
        uses: (image, namespace) -> descriptions of where it is used, in the order of the manifests.
        namespaces: name -> labels of each `Namespace` object.
        ignored: number of objects of each kind without images.
        guessed: number of objects of each kind whose pod specs were detected by shape; the key is the value for
            `--custom-kind`.
        problems: messages about objects that cannot be read, each with file and document.
        objects: number of objects.
    """

    kinds: WorkloadKinds
    uses: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    guessed: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    objects: int = 0

    def read(self, paths: Sequence[str], default_namespace: str) -> None:
        """Read manifests and find their images.

        Args:
            paths: files, directories (without their subdirectories), or `-` for standard input (at most once).
            default_namespace: namespace of objects without `metadata.namespace`.

        Raises:
            ConfigError: a file cannot be read, or one of the paths has no object.
        """
        if paths.count(STDIN) > 1:
            raise ConfigError("standard input can be read only once: write - once")
        for path in paths:
            files = list_directory(path, SUFFIXES)
            documents = sum(self._read_file(file, default_namespace) for file in files or (path,))
            if not documents:
                # Output of a template that failed to render must not count as a manifest without images.
                raise ConfigError(
                    f"{name_of(path)} has no Kubernetes object; check that the command that wrote it succeeded"
                )

    def questions(self) -> list[Question]:
        """Return one question for each distinct image and namespace, in the order of the manifests."""
        return [Question(image, namespace, tuple(uses)) for (image, namespace), uses in self.uses.items()]

    def _read_file(self, path: str, default_namespace: str) -> int:
        """Read one file and return the number of its documents that are not empty."""
        documents = 0
        text = read_text(path, MAX_MANIFEST_BYTES)
        for number, document in enumerate(read_documents(text, name_of(path), MANIFEST_RULES), start=1):
            if document.is_empty:
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
        prefix = f"{item.field}: " if item.field else ""
        if item.problem:
            raise InvalidWorkloadError(f"{prefix}{item.problem}")
        try:
            group, name = identify(item.value)
        except InvalidWorkloadError as error:
            raise InvalidWorkloadError(f"{prefix}{error.message}") from error
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
            self._use(image, namespace, f"{title}, {image.field}, detected by shape ({where})")

    def _use(self, image: ContainerImage, namespace: str, use: str) -> None:
        self.uses.setdefault((image.image, namespace), []).append(use)


def _further_shapes(
    obj: Mapping[str, Any], kind: WorkloadKind | None, images: Sequence[ContainerImage]
) -> tuple[PodShape, ...]:
    """Return the pod specs at paths that are not configured; built-in kinds have none."""
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
