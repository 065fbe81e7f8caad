"""A web server that keeps a lookaside store and takes PUT and DELETE, as WebDAV servers and object stores do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, RecordedRequest
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Callable


class LookasideSimulator(HTTPSimulator):
    """A server of files; everybody may read them.

    Args:
        auth: what a PUT or a DELETE needs.
        conditional: whether `If-None-Match` counts; nginx does not honour it for PUT.
        server: the arguments of `HTTPSimulator`.

    Attributes:
        files: content by path ("/sigstore/team/api@sha256=4a4a/signature-1"). Change them as another writer would.
        before_put: is called with the path before each PUT, as for another writer who is a moment faster.
        deletes: whether it takes DELETE; nginx does only if `dav_methods` names it.
        after_put: is called with the path after each PUT, as for another writer who is a moment slower.
    """

    def __init__(self, *, auth: Auth | None = None, conditional: bool = True, **server: Any) -> None:
        self.auth = auth or Auth()
        self.conditional = conditional
        self.deletes = True
        self.files: dict[str, bytes] = {}
        self.before_put: Callable[[str], None] = lambda _: None
        self.after_put: Callable[[str], None] = lambda _: None
        super().__init__(**server)

    def respond(self, request: RecordedRequest) -> Answer:
        if request.method not in ("PUT", "DELETE"):
            with self.lock:
                content = self.files.get(request.path)
            return Answer(404) if content is None else Answer(200, {"Content-Type": "text/plain"}, content)
        refusal = self.auth.refusal(request, "", self.url)
        if refusal is not None:
            return refusal
        if request.method == "DELETE":
            return self._delete(request.path)
        self.before_put(request.path)
        with self.lock:
            if self.conditional and request.path in self.files and request.headers.get("if-none-match") == "*":
                return Answer(412)
            self.files[request.path] = request.body
        self.after_put(request.path)
        return Answer(201)

    def _delete(self, path: str) -> Answer:
        if not self.deletes:
            return Answer(405)
        with self.lock:
            return Answer(404 if self.files.pop(path, None) is None else 204)
