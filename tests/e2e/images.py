"""Images of the tests: a static busybox and a label, pushed with skopeo and signed with cosign."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import urllib3

from tests.e2e.kube import run
from tests.support.real_tools.cosign import Cosign
from tests.support.real_tools.required import require_tool
from tests.support.simulators.registry import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.references import Digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a registry.

    Attributes:
        tagged: `registry/repository:tag`.
        digest: `sha256:...` of its manifest.
    """

    tagged: str
    digest: str

    @property
    def name(self) -> str:
        """`registry/repository`."""
        return self.tagged.rpartition(":")[0]

    @property
    def path(self) -> str:
        """The repository without the registry."""
        return self.name.partition("/")[2]

    @property
    def by_digest(self) -> str:
        """`registry/repository@digest`."""
        return f"{self.name}@{self.digest}"


class PlainRegistry:
    """Client of a registry without a password over plain HTTP, for tests that store signatures themselves.

    Args:
        host: `host[:port]`.
    """

    def __init__(self, host: str) -> None:
        self._url = f"http://{host}"
        self._pool = urllib3.PoolManager(maxsize=4, retries=False, timeout=60)

    def push_blob(self, repository: str, data: bytes) -> Digest:
        """Store a blob."""
        digest = digest_of(data)
        begun = self._send("POST", f"{self._url}/v2/{repository}/blobs/uploads/")
        location = urljoin(self._url, begun.headers["Location"])
        self._send(
            "PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", data, "application/octet-stream"
        )
        return digest

    def push_manifest(self, repository: str, reference: str | None, body: bytes, media_type: str = MANIFEST) -> Digest:
        """Store a manifest under a tag or, without one, under its digest."""
        digest = digest_of(body)
        self._send("PUT", f"{self._url}/v2/{repository}/manifests/{reference or digest}", body, media_type)
        return digest

    def manifest(self, image: Image) -> bytes:
        """Return an image's manifest."""
        headers = {"Accept": MANIFEST}
        return self._pool.request("GET", f"{self._url}/v2/{image.path}/manifests/{image.digest}", headers=headers).data

    def signatures(self, image: Image) -> int:
        """Return how many signatures of an image cosign finds under its tag; 0 without the tag."""
        url = f"{self._url}/v2/{image.path}/manifests/{image.digest.replace(':', '-')}.sig"
        answer = self._pool.request("GET", url, headers={"Accept": MANIFEST})
        return len(answer.json()["layers"]) if answer.status == HTTPStatus.OK else 0

    def _send(self, method: str, url: str, data: bytes = b"", kind: str = "") -> urllib3.BaseHTTPResponse:
        answer = self._pool.request(method, url, body=data, headers={"Content-Type": kind} if kind else {})
        assert answer.status in {201, 202}, answer.data
        return answer


class ImageBuilder:
    """Builds, pushes and signs images.

    Args:
        folder: an empty folder for keys, layouts and credentials.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cosign = Cosign(_make_folder(folder / "cosign"))
        self._layer = _layer(Path(require_tool("busybox")).read_bytes())
        self._config = _make_folder(folder / "docker")

    def new_key(self, name: str) -> str:
        """Create a key pair and return the public key in PEM."""
        return self._cosign.new_key(name)

    def login(self, registry: str, username: str, password: str) -> None:
        """Store the password of a registry for later pushes and signatures."""
        run(
            *(require_tool("skopeo"), "login", "--tls-verify=false", f"--authfile={self._config}/config.json"),
            *("-u", username, "-p", password, registry),
        ).checked()

    def push(self, tagged: str, content: str) -> Image:
        """Push an image whose digest depends on the tag's name and `content`."""
        layout = _layout(
            self._folder / hashlib.sha256(f"{tagged} {content}".encode()).hexdigest(), self._layer, content
        )
        digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
        options = ["--dest-tls-verify=false"]
        if (self._config / "config.json").exists():
            options.append(f"--authfile={self._config}/config.json")
        run(
            *(require_tool("skopeo"), "--insecure-policy", "copy", "--preserve-digests", "-q", *options),
            *(f"oci:{layout}", f"docker://{tagged}"),
        ).checked()
        return Image(tagged, digest)

    def sign(self, image: Image, key: str) -> None:
        """Sign an image with a key, in cosign's default layout."""
        self._cosign.sign(image.by_digest, key, bundle=True, environment={"DOCKER_CONFIG": str(self._config)})

    def attest(self, image: Image, key: str, predicate_type: str, predicate: object, *, bundle: bool) -> None:
        """Attest a predicate about an image with a key, as a bundle or as a layer of the tag `.att`."""
        self._cosign.attest(image.by_digest, key, predicate_type, predicate, bundle=bundle)

    def signed(self, tagged: str, key: str) -> Image:
        """Push an image and sign it."""
        image = self.push(tagged, tagged)
        self.sign(image, key)
        return image


def _make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _layer(busybox: bytes) -> bytes:
    """Return an uncompressed layer that contains only busybox."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo("busybox")
        info.size, info.mode = len(busybox), 0o755
        tar.addfile(info, io.BytesIO(busybox))
    return file.getvalue()


def _layout(folder: Path, layer: bytes, content: str) -> Path:
    """Write an OCI image layout with one image, and return its folder."""
    blobs = _make_folder(folder / "blobs" / "sha256")

    def put(data: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    packed = put(gzip.compress(layer, mtime=0), LAYER)
    config: Mapping[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/busybox"], "Cmd": ["sleep", "100000"], "Labels": {"content": content}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    described = put(json.dumps(config).encode(), CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": [packed]}
    index = {"schemaVersion": 2, "manifests": [put(json.dumps(manifest).encode(), MANIFEST)]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder
