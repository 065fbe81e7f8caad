"""What a support bundle has, read with the user's own rights, redacted and bounded as it is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote as url_quote

from sealgate.api.crds import GROUP, KINDS, SIGNING_KINDS
from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.diagnosis.redaction import redact_object, redact_text
from sealgate.errors import NotFoundError, UnavailableError
from sealgate.kubernetes.lists import items_of, list_pages
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sealgate.kubernetes.client import KubernetesAPI

#: The most objects of one kind, and bytes of one of them, of the log of a container, and of the metrics of a pod.
MAX_OBJECTS: Final = 500
MAX_OBJECT_BYTES: Final = 256 << 10
MAX_LOG_BYTES: Final = 1 << 20
MAX_METRICS_BYTES: Final = 2 << 20
#: The most pods whose logs and metrics are read, and bytes of all parts together.
MAX_PODS: Final = 20
MAX_BYTES: Final = 64 << 20
_LOG_LINES: Final = 5000
#: Port of the metrics in every component of the chart.
_METRICS_PORT: Final = 8080
_PART_OF: Final = "app.kubernetes.io/part-of"
_ADMISSION: Final = "admissionregistration.k8s.io/v1"
#: Collections of a release, by kind: group and version, plural, whether they are in sealgate's namespace.
_COLLECTIONS: Final = {
    "ValidatingWebhookConfiguration": (f"apis/{_ADMISSION}", "validatingwebhookconfigurations", False),
    "MutatingWebhookConfiguration": (f"apis/{_ADMISSION}", "mutatingwebhookconfigurations", False),
    "ConfigMap": ("api/v1", "configmaps", True),
    "Deployment": ("apis/apps/v1", "deployments", True),
    "Pod": ("api/v1", "pods", True),
}


class BundleContents:
    """Reads the parts of a bundle.

    Args:
        api: the API server.
        namespace: sealgate's own.

    Attributes:
        unread: what could not be read, or is more than the limits, one line each, escaped.
    """

    def __init__(self, api: KubernetesAPI, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._left = MAX_BYTES
        self.unread: list[str] = []

    def parts(self) -> Iterator[tuple[tuple[str, ...], bytes]]:
        """Yield the parts: the names of folders and file, which are foreign text, and the content."""
        pods: list[dict[str, Any]] = []
        for kind, (group, plural, inside) in _COLLECTIONS.items():
            found = list(self._release_objects(kind, group, plural, inside=inside))
            yield from self._objects(kind, found)
            if kind == "Pod":
                pods = found
        for own in (*KINDS, *SIGNING_KINDS):
            if not own.namespaced:
                objects = self._listed(own.name, f"/apis/{API_VERSION}/{own.plural}", {})
                yield from self._objects(own.name, objects)
            yield from self._objects("CustomResourceDefinition", self._definition(f"{own.plural}.{GROUP}"))
        yield from self._objects("Event", self._events())
        for pod in pods[:MAX_PODS]:
            yield from self._of_pod(pod)
        if len(pods) > MAX_PODS:
            self.unread.append(f"logs and metrics of {len(pods) - MAX_PODS} further pods")

    # Objects ------------------------------------------------------------------------------------------------------

    def _objects(self, kind: str, objects: Iterable[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, ...], bytes]]:
        for obj in objects:
            name = str(obj["metadata"].get("name"))
            content = json.dumps(redact_object(obj), indent=1).encode()
            if len(content) > MAX_OBJECT_BYTES:
                self.unread.append(f"{kind} {quote(name, 64)}: it is larger than {MAX_OBJECT_BYTES} bytes")
            elif self._fits(content):
                yield ("objects", kind, f"{name}.json"), content

    def _release_objects(self, kind: str, group: str, plural: str, *, inside: bool) -> Iterator[dict[str, Any]]:
        where = f"/namespaces/{url_quote(self._namespace, safe='')}" if inside else ""
        selectors = {"labelSelector": f"{_PART_OF}=sealgate"}
        for obj in self._listed(kind, f"/{group}{where}/{plural}", selectors):
            if (obj["metadata"].get("labels") or {}).get(_PART_OF) == "sealgate":
                yield obj

    def _definition(self, name: str) -> Iterator[dict[str, Any]]:
        try:
            found = self._api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
        except NotFoundError:
            return
        except UnavailableError as error:
            self.unread.append(f"{name}: {error.message}")
            return
        yield {**found, "kind": "CustomResourceDefinition"}

    def _events(self) -> Iterator[dict[str, Any]]:
        """Yield the Events of sealgate's namespace, and those in `default` about its cluster-scoped objects."""
        yield from self._listed("Event", f"/api/v1/namespaces/{url_quote(self._namespace, safe='')}/events", {})
        selectors = {"fieldSelector": f"involvedObject.apiVersion={API_VERSION}"}
        for event in self._listed("Event", "/api/v1/namespaces/default/events", selectors):
            if (event.get("involvedObject") or {}).get("apiVersion") == API_VERSION:
                yield event

    def _listed(self, kind: str, path: str, selectors: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yield the first objects of a collection; what cannot be read is noted."""
        count = 0
        try:
            for page in list_pages(self._api, path, selectors=selectors):
                for obj in items_of(page, kind):
                    if count == MAX_OBJECTS:
                        self.unread.append(f"{path}: more than {MAX_OBJECTS} objects")
                        return
                    count += 1
                    yield obj
        except NotFoundError:
            return  # the kind is not installed
        except UnavailableError as error:
            self.unread.append(f"{path}: {error.message}")

    # Logs and metrics ---------------------------------------------------------------------------------------------

    def _of_pod(self, pod: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], bytes]]:
        name = str(pod["metadata"]["name"])
        path = f"/api/v1/namespaces/{url_quote(self._namespace, safe='')}/pods/{url_quote(name, safe='')}"
        statuses = (pod.get("status") or {}).get("containerStatuses") or ()
        restarted = {one.get("name") for one in statuses if one.get("restartCount")}
        for container in (pod.get("spec") or {}).get("containers") or ():
            own = str(container.get("name"))
            limits: dict[str, str | int] = {"tailLines": _LOG_LINES, "limitBytes": MAX_LOG_BYTES}
            query = {"container": own, **limits}
            yield from self._text(("logs", name, f"{own}.log"), f"{path}/log", query, MAX_LOG_BYTES)
            if own in restarted:
                names = ("logs", name, f"{own}.previous.log")
                yield from self._text(names, f"{path}/log", {**query, "previous": "true"}, MAX_LOG_BYTES)
        metrics = f"{path.rpartition('/')[0]}/http:{url_quote(name, safe='')}:{_METRICS_PORT}/proxy/metrics"
        yield from self._text(("metrics", f"{name}.txt"), metrics, {}, MAX_METRICS_BYTES)

    def _text(
        self, names: tuple[str, ...], path: str, query: Mapping[str, str | int], limit: int
    ) -> Iterator[tuple[tuple[str, ...], bytes]]:
        try:
            text = self._api.read_text(path, query, limit).decode("utf-8", "replace")
        except UnavailableError as error:
            self.unread.append(f"{quote(' '.join(names))}: {error.message}")
            return
        content = redact_text(text).encode()
        if self._fits(content):
            yield names, content

    def _fits(self, content: bytes) -> bool:
        """Return whether a part fits into what is left of the bundle; note once that one does not."""
        if len(content) > self._left:
            note = f"the bundle has {MAX_BYTES} bytes; further parts were left out"
            if note not in self.unread:
                self.unread.append(note)
            return False
        self._left -= len(content)
        return True
