"""A registry for the demo: serves an OCI image layout over HTTP on loopback, and takes nothing.

The layout may hold several repositories; its `index.json` names each manifest `repository:tag` in the annotation
`org.opencontainers.image.ref.name`. That is all a client needs to read images and cosign's signatures.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

REF_NAME = "org.opencontainers.image.ref.name"
_ROUTE = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs)/(?P<name>[^/]+)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class LayoutRegistry:
    """A read-only registry. Use it as a context manager.

    Args:
        layout: the folder of the OCI image layout.

    Attributes:
        host: where it is, `127.0.0.1:port`.
        images: the references that are no signatures, in the order of the layout.
    """

    def __init__(self, layout: Path) -> None:
        self._layout = layout
        entries = json.loads((layout / "index.json").read_text())["manifests"]
        self.manifests = {entry["annotations"][REF_NAME]: entry for entry in entries}
        self.types = {entry["digest"]: entry["mediaType"] for entry in entries}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.images = [f"{self.host}/{name}" for name in self.manifests if not name.endswith(".sig")]

    def __enter__(self) -> Self:
        """Start serving."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def find(self, path: str) -> tuple[str, bytes] | None:
        """Return media type and bytes of a manifest or blob by its URL's path; None if there is none."""
        route = _ROUTE.fullmatch(path)
        if route is None:
            return ("application/json", b"{}") if path == "/v2/" else None
        digest = route["name"]
        if route["kind"] == "manifests" and not _DIGEST.fullmatch(digest):
            entry = self.manifests.get(f"{route['repository']}:{digest}")
            digest = entry["digest"] if entry else ""
        if not _DIGEST.fullmatch(digest):
            return None
        blob = self._layout / "blobs" / "sha256" / digest.removeprefix("sha256:")
        kind = self.types.get(digest) if route["kind"] == "manifests" else "application/octet-stream"
        return (kind, blob.read_bytes()) if kind and blob.is_file() else None


def _handler_of(registry: LayoutRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Small answers go out in one piece and at once.
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            found = registry.find(self.path)
            kind, body = found or ("application/json", b'{"errors": [{"code": "NOT_FOUND"}]}')
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - as above

        def log_message(self, *_: Any) -> None:  # noqa: ANN401 - http.server's signature
            """Leave the screen to the demo."""

    return Handler
