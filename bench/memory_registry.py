"""A registry that answers from memory, in a process of its own, so that its cost is not counted as the webhook's.

Each image has a manifest of its own and one cosign signature of the classic kind, made with one ECDSA P-256 key. The
answers have the headers of docker-registry. It speaks plain HTTP and counts requests by method.

python bench/memory_registry.py PORT IMAGES KEY FOLDER
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from environment import CONFIG, MANIFEST, PAYLOAD, free_port, public_pem, read_key, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = "team/app"
_NOT_FOUND = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'


@dataclass(frozen=True, slots=True)
class MemoryRegistry:
    """The registry, as other processes see it.

    Attributes:
        host: `127.0.0.1:port`.
        pem: public key of its signatures.
        digests: digest of each image; image number n has the tag `v<n>`.
        pid: of its process.
    """

    host: str
    pem: str
    digests: tuple[str, ...]
    pid: int

    def image(self, number: int, *, by_tag: bool) -> str:
        """Return the reference of an image."""
        return f"{self.host}/{REPOSITORY}" + (f":v{number}" if by_tag else f"@{self.digests[number]}")

    def take_counts(self) -> dict[str, int]:
        """Return how many requests of each method it has answered since this was last asked."""
        counts: dict[str, int] = urllib3.request("GET", f"http://{self.host}/counts").json()
        return counts


@contextlib.contextmanager
def memory_registry(folder: Path, images: int, key: Path, port: int | None = None) -> Iterator[MemoryRegistry]:
    """Run a registry with that many images.

    Args:
        folder: for the list of digests.
        images: how many.
        key: PEM file of the ECDSA P-256 private key that signs them.
        port: where it listens; None for a free one.
    """
    port = port or free_port()
    command = [sys.executable, __file__, str(port), str(images), str(key), str(folder)]
    process = subprocess.Popen(command)
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/")
        yield MemoryRegistry(
            f"127.0.0.1:{port}",
            public_pem(read_key(key)),
            tuple((folder / "images.txt").read_text().split()),
            process.pid,
        )
    finally:
        process.terminate()
        process.wait()


class _Store:
    """Complete responses by target, and the counts of requests."""

    def __init__(self, host: str, key: ec.EllipticCurvePrivateKey) -> None:
        self._host = host
        self._key = key
        self._responses: dict[str, tuple[bytes, bytes]] = {}
        self.counts: Counter[str] = Counter()

    def add_image(self, number: int) -> str:
        """Add a signed image, and return its digest."""
        layers = [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": _digest(b"%d" % n), "size": 4096 + n}
            for n in range(4)
        ]
        config = {"mediaType": CONFIG, "digest": _digest(b"config %d" % number), "size": 1500}
        digest = self._manifest((f"v{number}",), config, layers)
        payload = json.dumps(
            {
                "critical": {
                    "identity": {"docker-reference": f"{self._host}/{REPOSITORY}"},
                    "image": {"docker-manifest-digest": digest},
                    "type": "cosign container image signature",
                },
                "optional": None,
            }
        ).encode()
        signature = base64.b64encode(self._key.sign(payload, ec.ECDSA(hashes.SHA256()))).decode()
        layer = {
            "mediaType": PAYLOAD,
            "size": len(payload),
            "digest": _digest(payload),
            "annotations": {"dev.cosignproject.cosign/signature": signature},
        }
        self._put(f"blobs/{_digest(payload)}", "application/octet-stream", _digest(payload), payload)
        self._manifest((digest.replace(":", "-") + ".sig",), config, [layer])
        return digest

    def _manifest(self, tags: tuple[str, ...], config: dict[str, object], layers: list[dict[str, object]]) -> str:
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        body = json.dumps(document).encode()
        for reference in (*tags, _digest(body)):
            self._put(f"manifests/{reference}", MANIFEST, _digest(body), body)
        return _digest(body)

    def _put(self, what: str, media_type: str, digest: str, body: bytes) -> None:
        self._responses[f"/v2/{REPOSITORY}/{what}"] = _head(200, media_type, len(body), digest), body

    def answer(self, method: str, target: str) -> bytes:
        """Return the complete response to a request, and count it."""
        if target == "/counts":
            body = json.dumps(self.counts).encode()
            self.counts.clear()
            return _head(200, "application/json", len(body)) + body
        if target == "/v2/":
            return _head(200, "application/json", 2) + b"{}"
        self.counts[method] += 1
        head, body = self._responses.get(target, (_head(404, "application/json", len(_NOT_FOUND)), _NOT_FOUND))
        return head if method == "HEAD" else head + body


class _Connection(asyncio.Protocol):
    """One connection; requests have no bodies and may be pipelined."""

    def __init__(self, store: _Store) -> None:
        self._store = store
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received[:1] == b"\x16":  # a TLS handshake, which clients try first
            self._transport.close()
        while b"\r\n\r\n" in self._received:
            head, self._received = self._received.split(b"\r\n\r\n", 1)
            method, target, _ = head.decode().split(" ", 2)
            self._transport.write(self._store.answer(method, target))


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _head(status: int, media_type: str, length: int, digest: str | None = None) -> bytes:
    stated = f'Docker-Content-Digest: {digest}\r\nEtag: "{digest}"\r\n' if digest else ""
    return (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Not Found'}\r\nContent-Length: {length}\r\n"
        f"Content-Type: {media_type}\r\n{stated}Docker-Distribution-Api-Version: registry/2.0\r\n"
        "X-Content-Type-Options: nosniff\r\nDate: Mon, 30 Nov 2026 02:00:00 GMT\r\n\r\n"
    ).encode()


def _fill(port: int, images: int, key_file: Path, folder: Path) -> _Store:
    key = read_key(key_file)
    store = _Store(f"127.0.0.1:{port}", key)
    (folder / "images.txt").write_text("\n".join(store.add_image(number) for number in range(images)))
    return store


async def _serve(store: _Store, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(store), "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    _port = int(sys.argv[1])
    asyncio.run(_serve(_fill(_port, int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])), _port))
