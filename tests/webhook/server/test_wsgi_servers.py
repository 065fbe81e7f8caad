"""The Flask application is the whole webhook: it answers reviews alone, under any WSGI server."""

from __future__ import annotations

import threading
import wsgiref.simple_server
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import urllib3
import werkzeug.serving

from sealgate import self_test
from tests.webhook.objects import encode, pod, review
from tests.webhook.servers import PATIENCE_SECONDS
from tests.webhook.ways import BY_A_SERVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from socketserver import TCPServer

    from flask import Flask

    from tests.webhook.environment import WebhookEnvironment


def under_werkzeug(app: Flask) -> TCPServer:
    return werkzeug.serving.make_server("127.0.0.1", 0, app, threaded=True)


def under_wsgiref(app: Flask) -> TCPServer:
    return wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=Silent)


class Silent(wsgiref.simple_server.WSGIRequestHandler):
    """A handler that logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the standard library
        """Do nothing."""


@contextmanager
def serving(server: TCPServer) -> Iterator[None]:
    """Serve in a thread until the block ends."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@BY_A_SERVER
@pytest.mark.parametrize("serve", [under_werkzeug, under_wsgiref])
def test_reviews_are_answered(environment: WebhookEnvironment, serve: Callable[[Flask], TCPServer]) -> None:
    signed, unsigned = environment.sign("team/app", "v1"), environment.push("team/bad", "v1")
    server = serve(environment.app)
    url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
    with server, serving(server), urllib3.PoolManager(timeout=PATIENCE_SECONDS, retries=False) as pool:

        def post(path: str, body: bytes) -> urllib3.BaseHTTPResponse:
            return pool.request("POST", url + path, body=body, headers={"Content-Type": "application/json"})

        for image, allowed in ((signed, True), (unsigned, False), (signed, True)):
            assert post("/validate", encode(review(pod(image)))).json()["response"]["allowed"] is allowed
        assert "patch" in post("/mutate", encode(review(pod(signed)))).json()["response"]
        assert post(self_test.PATH, encode(review(pod()))).json()["response"]["allowed"] is False
        large = pod(signed)
        large["metadata"]["annotations"] = {"note": "x" * 1_000_000}
        assert post("/validate", encode(review(large))).json()["response"]["allowed"] is True
        assert post("/validate", b"{").status == 400
        assert pool.request("GET", f"{url}/validate").status == 405
        assert pool.request("GET", f"{url}/readyz").status == 200
