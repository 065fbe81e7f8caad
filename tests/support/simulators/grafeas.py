"""A Grafeas server: occurrences over REST, in either version of the API, with paging and with or without filters.

What is stored is served as it is, so sign it for real: `attest` and `attest_pgp` do.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from tests.support.signers.private_keys import fingerprint, sign
from tests.support.simulators.http_messages import Answer, RecordedRequest, encode, json_answer
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from tests.support.signers.private_keys import PrivateKey
    from tests.support.signers.simple_signing import Signer

NOTE = "projects/prod/notes/qa"
TYPE = "atomic container signature"
_PATH = re.compile(r"/(v1|v1beta1)/(projects/[^/]+(?:/notes/[^/]+)?)/occurrences")
_OCCURRENCE = re.compile(r"/(v1|v1beta1)/(projects/[^/]+/occurrences/[^/]+)")
_FILTER = re.compile(r'(resourceUrl|resource_url)="([^"]*)" AND kind="([A-Z]+)"')


def payload_of(digest: str, repository: str, **members: Any) -> bytes:
    """Return the text that kritis signs; `members` replace members of `critical`."""
    critical = {
        "identity": {"docker-reference": repository},
        "image": {"docker-manifest-digest": digest},
        "type": TYPE,
        **members,
    }
    return encode({"critical": critical})


class GrafeasSimulator(RegistrySimulator):
    """A Grafeas server; see `RegistrySimulator` for faults, TLS and recorded requests.

    Attributes:
        version: "v1" or "v1beta1": the shape and path of occurrences.
        occurrences: as they are served. Change them to serve what no server would.
        honours_filter: whether it filters at all; the stand-alone server does not always.
        occurrences_per_page: maximum number per page, even if a request asks for more.
        snake_case: whether members are spelt as in the protocol's definition, as some gateways do.
        token: the bearer token it asks for; empty for none.
        notes: the notes that occurrences may be created under.
        projects: the projects that occurrences may be created in.
        drops: whether new occurrences are answered and not stored.
        deleters: whether callers may delete occurrences.
    """

    def __init__(self, *, version: str = "v1", **more: Any) -> None:
        self.version = version
        self.occurrences: list[Any] = []
        self.honours_filter = True
        self.occurrences_per_page = 100
        self.snake_case = False
        self.token = ""
        self.notes, self.projects, self.drops = {NOTE}, {"projects/prod"}, False
        self.deleters = True
        super().__init__(**more)

    def store(self, resource_uri: str, attestation: dict[str, Any], **members: Any) -> dict[str, Any]:
        """Store an occurrence; `members` change or add members of it. Returns what is served."""
        resource: dict[str, Any] = {"resourceUri": resource_uri}
        if self.version == "v1beta1":
            resource, attestation = {"resource": {"uri": resource_uri}}, {"attestation": attestation}
        occurrence = {
            "name": f"projects/prod/occurrences/{len(self.occurrences) + 1}",
            **resource,
            "noteName": NOTE,
            "kind": "ATTESTATION",
            "attestation": attestation,
            **members,
        }
        self.occurrences.append(occurrence)
        return occurrence

    def attest(
        self,
        resource_uri: str,
        payload: bytes,
        key: PrivateKey,
        algorithm: str | None = None,
        *,
        key_id: str | None = None,
        **members: Any,
    ) -> dict[str, Any]:
        """Store an attestation with its signature beside the signed payload."""
        signature = {
            "signature": b64encode(sign(key, payload, algorithm)).decode(),
            "publicKeyId": fingerprint(key) if key_id is None else key_id,
        }
        return self.store(resource_uri, self.detached(payload, signature), **members)

    def detached(self, payload: bytes, *signatures: dict[str, Any]) -> dict[str, Any]:
        """Return an attestation with its signatures beside the signed payload."""
        attestation = {"serializedPayload": b64encode(payload).decode(), "signatures": list(signatures)}
        if self.version == "v1beta1":
            return {"genericSignedAttestation": {"contentType": "SIMPLE_SIGNING_JSON", **attestation}}
        return attestation | {"jwts": []}

    def attest_pgp(self, resource_uri: str, payload: bytes, signer: Signer, **members: Any) -> dict[str, Any]:
        """Store an attestation that is an armored OpenPGP message."""
        message = signer.sign(payload, armor=True)
        return self.store(resource_uri, self.attached(message, signer.fingerprint), **members)

    def attached(self, message: bytes, key_id: str) -> dict[str, Any]:
        """Return an attestation that is an OpenPGP message."""
        if self.version == "v1beta1":
            content = {"contentType": "SIMPLE_SIGNING_JSON", "pgpKeyId": key_id, "signature": message.decode()}
            return {"pgpSignedAttestation": content}
        return {"signatures": [{"signature": b64encode(message).decode(), "publicKeyId": key_id}], "jwts": []}

    def respond(self, request: RecordedRequest) -> Answer:
        match = _PATH.fullmatch(request.path) or _OCCURRENCE.fullmatch(request.path)
        if match is None or match[1] != self.version:
            return super().respond(request)
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return json_answer({"error": {"code": 401, "status": "UNAUTHENTICATED"}}, 401)
        if request.method == "DELETE":
            return self._delete(match[2])
        if request.method == "POST":
            return self._create(json.loads(request.body), match[2])
        query = dict(request.query)
        with self.lock:
            found = [item for item in self.occurrences if self._wanted(item, match[2], query.get("filter"))]
        token = query.get("pageToken", "0")
        if not token.isdecimal():
            return json_answer({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, 400)
        start = int(token)
        end = start + min(int(query.get("pageSize", "20")), self.occurrences_per_page)
        more = {"nextPageToken": str(end)} if end < len(found) else {"nextPageToken": ""}
        page = {"occurrences": found[start:end], **more}
        return json_answer(_snake_keys(page) if self.snake_case else page)

    def _create(self, occurrence: dict[str, Any], project: str) -> Answer:
        if project not in self.projects or occurrence["noteName"] not in self.notes:
            return json_answer({"error": {"code": 404, "status": "NOT_FOUND"}}, 404)
        uri = "resourceUri" if self.version == "v1" else "resource"
        if set(occurrence) != {"noteName", "kind", "attestation", uri}:
            return json_answer({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, 400)
        stored = {"name": f"{project}/occurrences/{len(self.occurrences) + 1}", **occurrence}
        if not self.drops:
            self.occurrences.append(stored)
        return json_answer(stored)

    def _delete(self, name: str) -> Answer:
        if not self.deleters:
            return json_answer({"error": {"code": 403, "status": "PERMISSION_DENIED"}}, 403)
        with self.lock:
            kept = [item for item in self.occurrences if not isinstance(item, dict) or item.get("name") != name]
            if len(kept) == len(self.occurrences):
                return json_answer({"error": {"code": 404, "status": "NOT_FOUND"}}, 404)
            self.occurrences = kept
        return json_answer({})

    def _wanted(self, item: Any, parent: str, wanted: str | None) -> bool:
        if not isinstance(item, dict):
            return True
        if "/notes/" in parent and self.honours_filter and item.get("noteName") != parent:
            return False
        if wanted is None or not self.honours_filter:
            return True
        match = _FILTER.fullmatch(wanted)
        assert match is not None, wanted
        about = item.get("resourceUri") or item.get("resource", {}).get("uri")
        return (about, item.get("kind")) == (match[2], match[3])


def _snake_keys(value: Any) -> Any:
    if isinstance(value, list):
        return [_snake_keys(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {re.sub(r"(?<=[a-z])[A-Z]", lambda m: "_" + m[0].lower(), k): _snake_keys(v) for k, v in value.items()}
