"""Record what docker-registry sends: `python -m tests.data.events.record` writes `docker_v1.json`.

The registry's port is replaced by a name, so that the recording is of `registry.example.com`.
"""

from __future__ import annotations

import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.real_tools.notifications import notifications
from tests.webhook.events.images import push_image


def main() -> None:
    """Push and pull an image, and write the events in one envelope."""
    events: list[Any] = []
    pulled = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["events"])
            self.send_response(200)
            self.end_headers()
            if events[-1]["action"] == "pull":
                pulled.set()

        def log_message(self, *_: Any) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        more = notifications(f"http://127.0.0.1:{server.server_port}/events/shop", "a-token-of-a-registry")
        with DockerRegistry(Path(folder), more=more) as registry:
            push_image(registry, "shop/app", "v1")
            registry.manifest("shop/app", "v1", "application/vnd.oci.image.manifest.v1+json")
            assert pulled.wait(60)
            host = registry.host
    server.shutdown()
    text = json.dumps({"events": events}, indent=2).replace(host, "registry.example.com")
    Path(__file__).with_name("docker_v1.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
