"""A registry with OpenShift's signature extension: the simulator of a registry, and one more path.

What is put, or stored with `sign`, belongs to the image and not to a repository, as in OpenShift: it is served for
every repository. Messages are stored as they are, so sign them for real.
"""

from __future__ import annotations

import json
import re
import secrets
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from tests.support.simulators.http_messages import Answer, RecordedRequest, encode, registry_error
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import scope_of

if TYPE_CHECKING:
    from sealgate.references import Digest

_PATH = re.compile(r"/extensions/v2/(.+)/signatures/([^/]+)")
_NAME = re.compile(r"(sha256:[0-9a-f]{64})@.{32}")
_TYPE = "atomic"


class OpenShiftSimulator(RegistrySimulator):
    """A registry with the extension; see `RegistrySimulator` for everything else.

    Attributes:
        signatures: the entries of each image, as they are served. Change them to serve what no server would.
        version_field: "schemaVersion" as the server has it, or "version" as its documentation has it.
        image_signers: whether callers have the role system:image-signer, without which a PUT of a signature is refused.
    """

    def __init__(self, *, version_field: str = "schemaVersion", image_signers: bool = True, **more: Any) -> None:
        self.signatures: dict[str, list[Any]] = {}
        self.version_field = version_field
        self.image_signers = image_signers
        super().__init__(**more)

    def sign(self, digest: Digest, message: bytes, **members: Any) -> None:
        """Store a signed message for an image; `members` change or add members of its entry."""
        entry = {
            self.version_field: 2,
            "type": _TYPE,
            "name": f"{digest}@{secrets.token_hex(16)}",
            "content": b64encode(message).decode(),
            **members,
        }
        with self.lock:
            self.signatures.setdefault(digest, []).append(entry)

    def respond(self, request: RecordedRequest) -> Answer:
        match = _PATH.fullmatch(request.path)
        if match is None:
            answer = super().respond(request)
            if request.path in ("/v2", "/v2/"):
                answer = Answer(answer.status, {**answer.headers, "X-Registry-Supports-Signatures": "1"}, answer.body)
            return answer
        repository, digest = match.groups()
        with self.lock:
            refusal = self.auth.refusal(request, scope_of(request.method, repository), self.url)
            if refusal is not None:
                return refusal
            known = self.repositories.get(repository)
            if known is None or digest not in known.manifests:
                return registry_error(404, "MANIFEST_UNKNOWN")
            if request.method != "PUT":
                return self._get(digest)
            return self._put(digest, request.body) if self.image_signers else registry_error(403, "DENIED")

    def _get(self, digest: str) -> Answer:
        body = encode({"signatures": self.signatures.get(digest, [])})
        return Answer(200, {"Content-Type": "application/json; charset=utf-8"}, body)

    def _put(self, digest: str, body: bytes) -> Answer:
        entry = json.loads(body)
        name = _NAME.fullmatch(entry.get("name", ""))
        if entry.get("schemaVersion") != 2 or name is None or name[1] != digest or not b64decode(entry["content"]):
            return registry_error(400, "SIGNATURE_INVALID")
        stored = self.signatures.setdefault(digest, [])
        if any(isinstance(other, dict) and other["name"] == entry["name"] for other in stored):
            return registry_error(409, "SIGNATURE_EXISTS")
        members = {member: entry[member] for member in ("schemaVersion", "name", "content")}
        stored.append({**members, "type": entry.get("type") or _TYPE})
        return Answer(201)
