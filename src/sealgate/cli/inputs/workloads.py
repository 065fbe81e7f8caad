"""Images in manifests: YAML with several documents, JSON and lists, as `kubectl` and `helm template` print them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealgate.cli.inputs.files import list_directory, name_of, read_text
from sealgate.cli.inputs.items import Item, items_of
from sealgate.cli.questions import STDIN, Question, Use
from sealgate.errors import ConfigError, InvalidWorkloadError
from sealgate.messages import quote
from sealgate.parsing.documents import read_documents
from sealgate.parsing.yaml_reader import Rules
from sealgate.workloads.images import extract_images, identify
from sealgate.workloads.kinds import POD
from sealgate.workloads.pod_shapes import find_pod_shapes
from sealgate.workloads.running import MAX_IMAGE_ID, image_id_of, running_ids

if TYPE_CHECKING:
    from sealgate.workloads.images import ContainerImage
    from sealgate.workloads.kinds import WorkloadKind, WorkloadKinds
    from sealgate.workloads.pod_shapes import PodShape

#: The most bytes of one manifest file.
MAX_MANIFEST_BYTES = 64 << 20
#: CustomResourceDefinitions are the deepest objects in practice, with fewer than 100 levels.
MANIFEST_RULES = Rules(max_depth=200, max_values=10_000_000, merge_keys=True, json=True)
#: The most uses of one image in one namespace that are kept; the others are counted.
MAX_USES = 100
#: The most different `imageID`s of one image in one namespace.
MAX_IDS = 20
#: Suffixes of the files that kubectl reads in a directory.
SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(slots=True)
class Manifests:
    """The images and namespaces of manifests.

    Attributes:
        kinds: the kinds whose images are verified.
        uses: (image, namespace) -> the first `MAX_USES` uses of it, in the order of the manifests.
        more: (image, namespace) -> number of further uses.
        running: (image, namespace) -> each `imageID` that nodes report for it, and of how many containers; beyond
            `MAX_IDS`, all others are one empty text.
        namespaces: name -> labels of each `Namespace` object.
        ignored: number of objects of each kind without images.
        guessed: number of objects of each kind whose pod specs were detected by shape; the key is the value for
            `--custom-kind`.
        problems: messages about objects that cannot be read, each with file and document.
        objects: number of objects.
    """

    kinds: WorkloadKinds
    uses: dict[tuple[str, str], list[Use]] = field(default_factory=dict)
    more: Counter[tuple[str, str]] = field(default_factory=Counter)
    running: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
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
        return [
            Question(*key, tuple(uses), self.more[key], tuple(sorted(self.running.get(key, {}).items())))
            for key, uses in self.uses.items()
        ]

    def add(self, item: Item, default_namespace: str, file: str = "", document: int = 0) -> set[tuple[str, str]]:
        """Find the images of one object; return those and its namespace.

        Args:
            item: the object.
            default_namespace: namespace of an object without `metadata.namespace`.
            file: the file of the object as named on the command line; empty for an object of a cluster.
            document: number of the document in the file, from 1; 0 for an object of a cluster.

        Raises:
            InvalidWorkloadError: the images cannot be determined.
        """
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
        title = f"{quote(name)} {quote(metadata.get('namespace') or default_namespace)}/{quote(_name(metadata))}"
        try:
            images = extract_images(item.value, kind) if kind is not None else ()
            shapes = _further_shapes(item.value, kind, images)
        except InvalidWorkloadError as error:
            raise InvalidWorkloadError(f"{title}: {error.message}") from error
        if kind is None and not shapes:
            self.ignored[name] += 1
            return set()
        namespace = metadata.get("namespace") or default_namespace
        if not isinstance(namespace, str):
            raise InvalidWorkloadError(f"{title}: metadata.namespace must be text; put it in quotes")
        if shapes:
            fields = dict.fromkeys(re.sub(r"\[\d+\]", "[*]", shape.field) for shape in shapes)
            self.guessed[f"{quote(group)}/{quote(name)}={','.join(fields)}"] += 1
        ids = running_ids(item.value) if kind is POD else {}
        for image in images:
            self._use(image, Use(name, namespace, _name(metadata), image.field, file, document))
            self._run((image.image, namespace), image_id_of(image, ids))
        for image in (image for shape in shapes for image in shape.images):
            self._use(image, Use(name, namespace, _name(metadata), image.field, file, document, detected=True))
        return {(image.image, namespace) for image in (*images, *(found for shape in shapes for found in shape.images))}

    def _read_file(self, path: str, default_namespace: str) -> int:
        """Read one file and return the number of its documents that are not empty."""
        documents = 0
        text = read_text(path, MAX_MANIFEST_BYTES)
        for number, document in enumerate(read_documents(text, name_of(path), MANIFEST_RULES), start=1):
            if document.is_empty:
                continue
            documents += 1
            for item in items_of(document):
                try:
                    self.add(item, default_namespace, path, number)
                except InvalidWorkloadError as error:
                    self.problems.append(f"{name_of(path)}, document {number}: {error.message}")
        return documents

    def _run(self, key: tuple[str, str], image_id: str | None) -> None:
        if image_id is None:
            return
        ids = self.running.setdefault(key, Counter())
        # What the status of a pod says is of any size; beyond the limits, all are one that is not known.
        known = len(image_id) <= MAX_IMAGE_ID and (image_id in ids or len(ids) < MAX_IDS)
        ids[image_id if known else ""] += 1

    def _use(self, image: ContainerImage, use: Use) -> None:
        key = (image.image, use.namespace)
        kept = self.uses.setdefault(key, [])
        if len(kept) < MAX_USES:
            kept.append(use)
        else:
            self.more[key] += 1


def _further_shapes(
    obj: Mapping[str, Any], kind: WorkloadKind | None, images: Sequence[ContainerImage]
) -> tuple[PodShape, ...]:
    """Return the pod specs at paths that are not configured; built-in kinds have none."""
    if kind is not None and not kind.optional:
        return ()
    known = {image.field for image in images}
    return tuple(shape for shape in find_pod_shapes(obj) if not known.issuperset(image.field for image in shape.images))


def _name(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("name", metadata.get("generateName", "")))


def _labels(labels: object) -> dict[str, str]:
    if not isinstance(labels, Mapping):
        return {}
    return {str(key): str(value) for key, value in labels.items()}
