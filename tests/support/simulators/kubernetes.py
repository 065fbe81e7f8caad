"""An API server in this process: real HTTP on 127.0.0.1, objects with uids, versions, generations, and watches.

::

    with KubernetesSimulator() as cluster:
        cluster.put("/api/v1/namespaces", {"metadata": {"name": "shop", "labels": {"env": "production"}}})
        cluster.put("/apis/sealgate.dev/v1alpha1/verificationpolicies", {...})
        ...                                   # ask `cluster.url` with the client under test
        cluster.compact()                     # watches from an earlier version now get 410

It knows every collection that something was put into, or that `resources` names, lists in pages (by one label, and
without anything but metadata, where that is asked for), watches from a version with bookmarks, and takes POST, PUT,
PATCH (merge, and server-side apply) and DELETE, the `status` subresource apart from the rest. `admission` is asked
about every object that is created, in dry runs too. `faults` spoil answers; `pause` drops every connection and refuses
new ones until `resume`; `restore` goes back to a `backup`, versions included.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.support.simulators.json_copies import copied
from tests.support.simulators.kubernetes_apply import apply, disown
from tests.support.simulators.kubernetes_patches import merge
from tests.support.simulators.kubernetes_resources import (
    RESOURCES,
    WITH_STATUS,
    Key,
    Object,
    Target,
    discover,
    find_target,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self


@dataclass(slots=True)
class _Change:
    version: int
    kind: str
    plural: str
    namespace: str
    object: Object


@dataclass(frozen=True, slots=True)
class Backup:
    """State of an API server at one moment.

    Attributes:
        objects: all of them.
        version: the newest resource version.
    """

    objects: dict[Key, Object]
    version: int


@dataclass(slots=True)
class Fault:
    """A response that replaces the faultless one.

    Attributes:
        method: of the requests it is for; empty for any.
        path: a regular expression searched in path and query.
        status: HTTP status of the response.
        times: how often it still happens; None for always.
        document: body of the response; by default a Status object for `status`.
    """

    method: str
    path: str
    status: int
    times: int | None = None
    document: Object | None = None


@dataclass(slots=True)
class RecordedRequest:
    """One received request.

    Attributes:
        method: HTTP method ("GET").
        path: with the query.
        body: parsed, or None.
        authorization: the Authorization header.
    """

    method: str
    path: str
    body: Any
    authorization: str


@dataclass
class KubernetesSimulator:
    """The API server; a context manager.

    Attributes:
        faults: answers to spoil; the first that matches wins.
        requests: every received request, in order.
        page_limit: maximum number of objects per page; None for the limit in the request.
        watches_begun: how many watches began.
        admission: returns, of an object that a request would create, the message of the refusal; empty to admit.
    """

    faults: list[Fault] = field(default_factory=list)
    requests: list[RecordedRequest] = field(default_factory=list)
    page_limit: int | None = None
    watches_begun: int = 0
    admission: Callable[[Object], str] = field(default=lambda _: "")

    def __post_init__(self) -> None:
        self._objects: dict[Key, Object] = {}
        self._history: list[_Change] = []
        self._oldest = 0
        self._version = 100
        #: How often all watches were ended.
        self._watches = 0
        self._condition = threading.Condition(threading.RLock())
        self._closing = False
        self._server: _Server | None = None
        #: Keeps the port while nothing is served there.
        self._kept: socket.socket | None = None
        self.port = 0
        self._serve()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; every watch ends."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self.pause()
        self._let_go()

    def pause(self) -> None:
        """Drop every connection and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.wake()
            server.shutdown()
            server.server_close()
            # No other process on this machine may get the port meanwhile.
            self._kept = socket.socket()
            self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._kept.bind(("127.0.0.1", self.port))
            server.drop_connections()

    def resume(self) -> None:
        """Serve again, on the same port."""
        self._serve()
        self._let_go()

    def put(self, path: str, obj: Object) -> Object:
        """Create or replace an object in the collection at a path, as an administrator would; return it as stored."""
        target = _target(path)
        with self._condition:
            key = (target.plural, target.namespace, obj["metadata"]["name"])
            if key in self._objects:
                return self._replace(key, obj, whole=True)
            return self._create(target, obj)

    def fill(self, path: str, objects: Iterable[Object]) -> None:
        """Create many new objects in the collection at a path as they are; no watch reports them."""
        target = _target(path)
        with self._condition:
            for obj in objects:
                self._version += 1
                obj["metadata"]["resourceVersion"] = str(self._version)
                self._objects[target.plural, target.namespace, obj["metadata"]["name"]] = obj

    def apply(self, path: str, document: Object, manager: str) -> Object:
        """Apply fields to the object at a path by server-side apply, as `helm` would; return it as stored."""
        target = _target(path)
        with self._condition:
            status, stored = self._apply(target, {"fieldManager": manager}, document)
        assert status in (200, 201), stored
        return stored

    def delete(self, path: str) -> None:
        """Delete the object at a path."""
        target = _target(path)
        with self._condition:
            self._delete(target.key)

    def get(self, path: str) -> Object:
        """Return the object at a path."""
        target = _target(path)
        with self._condition:
            return copied(self._objects[target.key])

    def find(self, plural: str) -> list[Object]:
        """Return every object of a collection, of all namespaces."""
        with self._condition:
            return [copied(obj) for key, obj in sorted(self._objects.items()) if key[0] == plural]

    def compact(self) -> None:
        """Drop the history: watches from an earlier version get 410, running ones included."""
        with self._condition:
            self._version += 1
            self._oldest = self._version
            self._history.clear()
            self._condition.notify_all()

    def end_watches(self) -> None:
        """Have every watch end as one ends whose time is over."""
        with self._condition:
            self._watches += 1
            self._condition.notify_all()

    def backup(self) -> Backup:
        """Return what there is now, for `restore`."""
        with self._condition:
            return Backup(copied(self._objects), self._version)

    def restore(self, backup: Backup) -> None:
        """Put back what there was, versions included, as when etcd is restored: every connection ends.

        A watch from a future version gets no event, not even a bookmark, until that version has passed.
        """
        self.pause()
        with self._condition:
            self._objects, self._version = copied(backup.objects), backup.version
            self._history.clear()
            self._oldest = backup.version
        self.end_watches()
        self.resume()

    def wait_for(self, condition: Any, timeout: float = 150.0) -> None:
        """Return when a condition over this simulator holds; it is checked after every change and request."""
        with self._condition:
            if not self._condition.wait_for(lambda: condition(self), timeout):
                raise AssertionError("it did not come to that")

    # What happens to objects ------------------------------------------------------------------------------------

    def _create(self, target: Target, obj: Object) -> Object:
        kind, group, version, _ = RESOURCES[target.plural]
        stored = copied(obj)
        metadata = stored.setdefault("metadata", {})
        if "name" not in metadata:
            metadata["name"] = metadata.get("generateName", "") + uuid.uuid4().hex[:5]
        metadata["uid"] = str(uuid.uuid4())
        metadata["generation"] = 1
        metadata.setdefault("creationTimestamp", "2026-11-21T12:00:00Z")
        if target.namespace:
            metadata["namespace"] = target.namespace
        stored = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind, **stored}
        self._store("ADDED", (target.plural, target.namespace, metadata["name"]), stored)
        return copied(stored)

    def _replace(
        self, key: Key, obj: Object, *, whole: bool = False, status: bool = False, applied: bool = False
    ) -> Object:
        before = self._objects[key]
        after = copied(obj)
        kept = {name: before["metadata"][name] for name in ("uid", "creationTimestamp", "generation", "name")}
        after = {"apiVersion": before["apiVersion"], "kind": before["kind"], **after}
        after["metadata"] = {**after.get("metadata", {}), **kept}
        if key[0] in WITH_STATUS and not whole:
            if status:
                after = {**before, "status": after.get("status"), "metadata": dict(before["metadata"])}
            elif "status" in before:
                after["status"] = before["status"]
            else:
                after.pop("status", None)
        if after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] += 1
        after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
        if not applied:
            disown(before, after)
        if after == before:
            return copied(before)
        if after["metadata"].get("deletionTimestamp") and not after["metadata"].get("finalizers"):
            self._store("DELETED", key, after)
        else:
            self._store("MODIFIED", key, after)
        return copied(after)

    def _delete(self, key: Key) -> None:
        obj = copied(self._objects[key])
        if obj["metadata"].get("finalizers"):
            obj["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
            self._store("MODIFIED", key, obj)
        else:
            self._store("DELETED", key, obj)

    def _store(self, change: str, key: Key, obj: Object) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        if change == "DELETED":
            del self._objects[key]
        else:
            self._objects[key] = obj
        self._history.append(_Change(self._version, change, key[0], key[1], copied(obj)))
        self._condition.notify_all()

    # What is answered -------------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _serve(self) -> None:
        self._server = _Server(self, self.port)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def respond(self, handler: _Handler) -> None:
        """Answer one request."""
        length = int(handler.headers.get("Content-Length") or 0)
        body = json.loads(handler.rfile.read(length)) if length else None
        parts = urlsplit(handler.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        with self._condition:
            self.requests.append(
                RecordedRequest(handler.command, handler.path, body, handler.headers.get("Authorization") or "")
            )
            fault = self._take_fault(handler)
            self._condition.notify_all()
        if fault is not None:
            handler.answer(fault.status, _status(fault.status) if fault.document is None else fault.document)
        elif (document := discover(parts.path)) is not None:
            handler.answer(200, document)
        elif (target := find_target(parts.path)) is None:
            handler.answer(404, _status(404))
        else:
            self._respond_to(handler, target, query, body)

    def _take_fault(self, handler: _Handler) -> Fault | None:
        for fault in self.faults:
            if fault.times != 0 and fault.method in ("", handler.command) and re.search(fault.path, handler.path):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def _respond_to(self, handler: _Handler, target: Target, query: dict[str, str], body: Any) -> None:
        if handler.command == "GET" and not target.name:
            if query.get("watch") in ("true", "1", "True"):
                self._watch(handler, target, query)
            else:
                status, document = self._list(target, query)
                if status == 200 and "PartialObjectMetadataList" in (handler.headers.get("Accept") or ""):
                    items = [{"metadata": item["metadata"]} for item in document["items"]]
                    document = {**document, "kind": "PartialObjectMetadataList", "items": items}
                handler.answer(status, document)
            return
        with self._condition:
            status, document = self._change(handler, target, query, body)
        handler.answer(status, document)

    def _change(self, handler: _Handler, target: Target, query: dict[str, str], body: Any) -> tuple[int, Object]:
        key = target.key
        if handler.command == "POST":
            return self._post(target, query, body)
        if "apply-patch" in (handler.headers.get("Content-Type") or ""):
            return self._apply(target, query, body)
        if key not in self._objects:
            return 404, _status(404)
        if handler.command == "GET":
            return 200, copied(self._objects[key])
        if handler.command == "DELETE":
            return self._delete_if(key, body or {})
        after = body if handler.command == "PUT" else merge(self._objects[key], body)
        return self._edit(key, after, status=target.subresource == "status")

    def _delete_if(self, key: Key, options: Object) -> tuple[int, Object]:
        wanted = (options.get("preconditions") or {}).get("resourceVersion")
        if wanted not in (None, self._objects[key]["metadata"]["resourceVersion"]):
            return 409, _status(409)
        self._delete(key)
        return 200, _status(200)

    def _post(self, target: Target, query: dict[str, str], body: Object) -> tuple[int, Object]:
        refusal = self.admission(body)
        if refusal:
            return 403, {**_status(403), "message": refusal, "reason": "Forbidden"}
        if query.get("dryRun") == "All":
            return 201, body
        name = body.get("metadata", {}).get("name", "")
        if (target.plural, target.namespace, name) in self._objects:
            return 409, _status(409)
        return 201, self._create(target, body)

    def _apply(self, target: Target, query: dict[str, str], document: Object) -> tuple[int, Object]:
        before, uid = self._objects.get(target.key), document["metadata"].get("uid")
        if uid is not None and (before is None or before["metadata"]["uid"] != uid):
            return 409, _status(409)
        after = apply(
            before or {"metadata": {"name": target.name}},
            document,
            query["fieldManager"],
            force=query.get("force") == "true",
        )
        if after is None:
            return 409, _status(409)
        if not all({"service", "url"} & set(hook.get("clientConfig") or ()) for hook in after.get("webhooks") or ()):
            return 422, {**_status(422), "message": "clientConfig: Required value: exactly one of url or service"}
        if before is None:
            return 201, self._create(target, after)
        return 200, self._replace(target.key, after, applied=True)

    def _edit(self, key: Key, after: Any, *, status: bool) -> tuple[int, Object]:
        version = after.get("metadata", {}).get("resourceVersion")
        if version and version != self._objects[key]["metadata"]["resourceVersion"]:
            return 409, _status(409)
        return 200, self._replace(key, after, status=status)

    def _list(self, target: Target, query: dict[str, str]) -> tuple[int, Object]:
        with self._condition:
            kind, group, version, _ = RESOURCES[target.plural]
            items = [obj for key, obj in sorted(self._objects.items()) if target.covers(key)]
            if query.get("fieldSelector", "").startswith("metadata.name="):
                wanted = query["fieldSelector"].partition("=")[2]
                items = [item for item in items if item["metadata"]["name"] == wanted]
            if "labelSelector" in query:
                name, _, wanted = query["labelSelector"].partition("=")
                items = [item for item in items if item["metadata"].get("labels", {}).get(name) == wanted]
            start, at = 0, self._version
            if "continue" in query:
                start, at = map(int, query["continue"].split("@"))
                if at < self._oldest:
                    return 410, _status(410)
            limit = min(int(query.get("limit") or len(items) + 1), self.page_limit or len(items) + 1)
            page = items[start : start + limit]
            metadata = {"resourceVersion": str(at)}
            if start + limit < len(items):
                metadata["continue"] = f"{start + limit}@{at}"
            return 200, {
                "apiVersion": f"{group}/{version}" if group else version,
                "kind": f"{kind}List",
                "metadata": metadata,
                "items": copied(page),
            }

    def _watch(self, handler: _Handler, target: Target, query: dict[str, str]) -> None:
        version = int(query.get("resourceVersion") or 0)
        with self._condition:
            watches = self._watches
            self.watches_begun += 1
            self._condition.notify_all()
        handler.start_stream()
        if not version:
            with self._condition:
                present = [copied(obj) for key, obj in sorted(self._objects.items()) if target.covers(key)]
                version = self._version
            for obj in present:
                handler.send_event({"type": "ADDED", "object": obj})
        if query.get("allowWatchBookmarks") and version <= self._version:
            bookmark = {"kind": RESOURCES[target.plural][0], "metadata": {"resourceVersion": str(version)}}
            handler.send_event({"type": "BOOKMARK", "object": bookmark})
        while (news := self._news(version, watches)) is not None:
            if version < self._oldest:
                handler.send_event({"type": "ERROR", "object": _status(410)})
                return
            for change in news:
                version = change.version
                key = (change.plural, change.namespace, change.object["metadata"]["name"])
                if target.covers(key):
                    handler.send_event({"type": change.kind, "object": change.object})

    def _news(self, version: int, watches: int) -> list[_Change] | None:
        """Wait for changes after a version, or for that version to be gone; None at the end."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._closing or watches != self._watches or version < self._oldest or self._has_news(version)
            )
            ended = self._closing or watches != self._watches
            return None if ended else [change for change in self._history if change.version > version]

    def _has_news(self, version: int) -> bool:
        return bool(self._history) and self._history[-1].version > version


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, simulator: KubernetesSimulator, port: int) -> None:
        self.simulator = simulator
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def wake(self) -> None:
        """End the pause of the serving thread, so that `shutdown` need not wait for it; ends accepting too."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def drop_connections(self) -> None:
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write no log: clients disconnect during watches."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are one write, which the base class flushes after each response.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def _respond(self) -> None:
        self.server.simulator.respond(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _respond  # noqa: N815 - the names that http.server calls

    def answer(self, status: int, document: Object) -> None:
        body = json.dumps(document).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def start_stream(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()

    def send_event(self, event: Object) -> None:
        self.wfile.write(json.dumps(event).encode() + b"\n")
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Write no log."""


def _target(path: str) -> Target:
    target = find_target(path)
    assert target is not None, path
    return target


def _status(code: int) -> Object:
    return {"kind": "Status", "apiVersion": "v1", "status": "Success" if code == 200 else "Failure", "code": code}
