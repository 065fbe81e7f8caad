"""The images in manifests: YAML in several documents, JSON, lists; what `kubectl` and `helm template` print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealgate.cli.files import STDIN, name_of, read_text
from sealgate.cli.questions import Question
from sealgate.cli.yaml_objects import load_documents
from sealgate.errors import ConfigError, InvalidWorkloadError
from sealgate.messages import quote
from sealgate.workloads import extract_images, flatten_lists, identify

if TYPE_CHECKING:
    from sealgate.workload_kinds import WorkloadKinds

MAX_MANIFEST_BYTES = 64 << 20


@dataclass(slots=True)
class Manifests:
    """What manifests hold.

    Attributes:
        kinds: the kinds whose images are verified.
        places: (image, namespace) -> where it is used, in the order of the manifests.
        namespaces: labels of the `Namespace` objects, by name.
        ignored: kinds that have no images, and how many objects of each there were.
        objects: how many objects there were in all.
    """

    kinds: WorkloadKinds
    places: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    objects: int = 0

    def read(self, paths: Sequence[str], default_namespace: str) -> None:
        """Read manifests and find their images.

        Args:
            paths: files, or `-` for standard input (at most once).
            default_namespace: the namespace of objects that do not say theirs.

        Raises:
            ConfigError: a file cannot be read, is no YAML or JSON, or holds nothing at all.
            InvalidWorkloadError: an object's images cannot be told.
        """
        if paths.count(STDIN) > 1:
            raise ConfigError("standard input can be read only once: write - one time")
        for path in paths:
            before = self.objects
            for number, document in enumerate(load_documents(read_text(path, MAX_MANIFEST_BYTES), path), start=1):
                if document is not None:
                    _add_document(self, document, f"{name_of(path)}, document {number}", default_namespace)
            if self.objects == before:
                # A template that failed to render must not pass for one without images.
                raise ConfigError(f"{name_of(path)} holds no Kubernetes object; did the command that wrote it fail?")

    def questions(self) -> list[Question]:
        """Return one question for each distinct image and namespace, in the order of the manifests."""
        return [Question(image, namespace, tuple(places)) for (image, namespace), places in self.places.items()]


def _add_document(found: Manifests, document: object, where: str, default_namespace: str) -> None:
    if not isinstance(document, Mapping):
        raise InvalidWorkloadError(f"{where}: a Kubernetes object is a mapping with apiVersion and kind")
    try:
        for item in flatten_lists(document):
            _add_object(found, item, where, default_namespace)
    except InvalidWorkloadError as error:
        raise InvalidWorkloadError(f"{where}: {error.message}") from error


def _add_object(found: Manifests, item: Mapping[str, Any], where: str, default_namespace: str) -> None:
    found.objects += 1
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    name = metadata.get("name", metadata.get("generateName", ""))
    if item["kind"] == "Namespace":
        found.namespaces[str(name)] = _labels(metadata.get("labels"))
    kind = found.kinds.find(*identify(item))
    if kind is None:
        found.ignored[item["kind"]] += 1
        return
    namespace = metadata.get("namespace") or default_namespace
    title = f"{quote(item['kind'])} {quote(namespace)}/{quote(name)}"
    if not isinstance(namespace, str):
        raise InvalidWorkloadError(f"{title}: metadata.namespace must be text; put it in quotes")
    try:
        images = extract_images(item, kind)
    except InvalidWorkloadError as error:
        raise InvalidWorkloadError(f"{title}: {error.message}") from error
    for image in images:
        found.places.setdefault((image.image, namespace), []).append(f"{title}, {image.field} ({where})")


def _labels(labels: object) -> dict[str, str]:
    if not isinstance(labels, Mapping):
        return {}
    return {str(key): str(value) for key, value in labels.items()}
