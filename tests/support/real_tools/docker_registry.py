"""Debian's docker-registry, started for a test on a port of its own, with its data in a folder.

It has no referrers API, like many a registry that people run; clients keep the fallback tag.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

from sealgate.references import Digest
from sealgate.registry.interface import OCI_MANIFEST
from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_CONFIG = """\
version: 0.1
storage:
  filesystem: {{rootdirectory: {data}}}
  delete: {{enabled: {deletes}}}
http: {{addr: "127.0.0.1:{port}", secret: not-one}}
log: {{level: info, accesslog: {{disabled: true}}}}
"""
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")


class DockerRegistry:
    """A running docker-registry; a context manager.

    Args:
        folder: where its data and configuration go.
        port: 0 for one that is free.
        more: further YAML of its configuration ("auth: ...").
        deletes: whether manifests may be deleted; by docker-registry's own default they may not.

    Attributes:
        host: "127.0.0.1:port", as it stands in references.
    """

    def __init__(self, folder: Path, port: int = 0, more: str = "", *, deletes: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "config.yml"
        written = _CONFIG.format(data=folder / "data", port=port, deletes=str(deletes).lower())
        config.write_text(written + more)
        self._process = subprocess.Popen(
            [require_tool("docker-registry"), "serve", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.host = self._wait()
        # Its further log lines must not fill the pipe.
        self._drain = threading.Thread(target=self._read_all, daemon=True)
        self._drain.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._drain.join()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def push_blob(self, repository: str, data: bytes) -> Digest:
        """Store a blob."""
        digest = Digest("sha256:" + hashlib.sha256(data).hexdigest())
        headers, _ = self._send("POST", f"http://{self.host}/v2/{repository}/blobs/uploads/", b"")
        location = headers["Location"]
        separator = "&" if "?" in location else "?"
        self._send("PUT", f"{location}{separator}digest={digest}", data, "application/octet-stream")
        return digest

    def push_manifest(
        self, repository: str, reference: str | None, body: bytes, media_type: str = OCI_MANIFEST
    ) -> Digest:
        """Store a manifest, under a tag if `reference` is one."""
        digest = Digest("sha256:" + hashlib.sha256(body).hexdigest())
        self._send("PUT", f"http://{self.host}/v2/{repository}/manifests/{reference or digest}", body, media_type)
        return digest

    def tags(self, repository: str) -> list[str]:
        """Return a repository's tags, sorted."""
        document: dict[str, Any] = json.loads(self._send("GET", f"http://{self.host}/v2/{repository}/tags/list")[1])
        return sorted(document["tags"])

    def repositories(self) -> list[str]:
        """Return all repositories, sorted."""
        document: dict[str, Any] = json.loads(self._send("GET", f"http://{self.host}/v2/_catalog?n=1000")[1])
        return sorted(document["repositories"])

    def manifest(self, repository: str, reference: str, accept: str) -> tuple[str, bytes]:
        """Return media type and body of a manifest."""
        headers, body = self._send("GET", f"http://{self.host}/v2/{repository}/manifests/{reference}", accept=accept)
        return headers["Content-Type"], body

    def blob(self, repository: str, digest: str) -> bytes:
        """Return a blob."""
        return self._send("GET", f"http://{self.host}/v2/{repository}/blobs/{digest}")[1]

    def _wait(self) -> str:
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            found = _LISTENING.search(line)
            if found:
                return found[1]
        self._process.wait()
        self._process.stderr.close()
        raise AssertionError(f"docker-registry did not start: {''.join(said)}")

    def _read_all(self) -> None:
        assert self._process.stderr is not None
        for _ in self._process.stderr:
            pass

    @staticmethod
    def _send(
        method: str, url: str, data: bytes | None = None, content_type: str | None = None, accept: str = "*/*"
    ) -> tuple[dict[str, str], bytes]:
        request = urllib.request.Request(url, data, {"Accept": accept}, method=method)  # noqa: S310 - our own URL
        if content_type is not None:
            request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request) as response:  # noqa: S310 - see above
            return dict(response.headers), response.read()
