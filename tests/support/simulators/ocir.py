"""Oracle Cloud's image signatures: signed records in a list with pages, and API keys that are checked.

What is stored is served as it is, so sign it for real: `sign` does. Requests must be signed with `api_key`, unless it
is None.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.signers.kept_keys import kept_rsa_key
from tests.support.signers.private_keys import sign
from tests.support.simulators.http_messages import Answer, RecordedRequest, json_answer
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.signers.private_keys import PrivateKey

REGION = "us-phoenix-1"
COMPARTMENT = "ocid1.compartment.oc1..aaaaaaaa23"
KEY_ID = "ocid1.key.oc1.phx.bbqehaq3aadfa.abyh"
VERSION_ID = "ocid1.keyversion.oc1.phx.bbqehaq3aadfa.acy6"
_PATH = "/20160918/container/imageSignatures"
_IMAGES = "/20160918/container/images"
_SIGNATURE = re.compile(r"/20160918/container/imageSignatures/([^/]+)")
_IMAGE = re.compile(r"/20160918/container/images/([^/]+)")
#: The members of an upload.
_DETAILS = {"compartmentId", "imageId", "kmsKeyId", "kmsKeyVersionId", "message", "signature", "signingAlgorithm"}
_AUTHORIZATION = re.compile(
    r'Signature algorithm="rsa-sha256",headers="([^"]+)",keyId="([^"]+)",signature="([^"]+)",version="1"'
)


def algorithm_of(name: str) -> str:
    """Return what policies call one of Oracle's algorithms: `SHA_256_RSA_PKCS_PSS` is `RSA_PSS_SHA_256`."""
    return f"RSA_PSS_{name[: len('SHA_256')]}"


def message_of(digest: str, repository: str, **members: Any) -> dict[str, Any]:
    """Return the message that Oracle's tool signs, in its order; `members` replace some."""
    message = {
        "description": "",
        "imageDigest": digest,
        "kmsKeyId": KEY_ID,
        "kmsKeyVersionId": VERSION_ID,
        "metadata": "",
        "region": REGION,
        "repositoryName": repository,
        "signingAlgorithm": "SHA_256_RSA_PKCS_PSS",
    }
    return message | members


def compact(message: object) -> bytes:
    """Return a message as Oracle's tool writes it."""
    return json.dumps(message, separators=(",", ":")).encode()


def is_signed(request: RecordedRequest, key: rsa.RSAPublicKey, key_id: str) -> bool:
    """Return whether a request carries a signature of a key over all that it must be over."""
    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if match is None or match[2] != key_id:
        return False
    names = match[1].split(" ")
    needed = {"date", "(request-target)", "host"}
    if request.method in ("POST", "PUT", "PATCH"):
        needed |= {"content-length", "content-type", "x-content-sha256"}
        digest = b64encode(hashlib.sha256(request.body).digest()).decode()
        if request.headers.get("x-content-sha256") != digest:
            return False
    if not needed <= set(names):
        return False
    target = request.path + (f"?{urlencode(request.query)}" if request.query else "")
    # A test that leads a fixed address here says which one it was.
    sent = {**request.headers, "host": request.headers.get("x-test-host", request.headers["host"])}
    values = {**sent, "(request-target)": f"{request.method.lower()} {target}"}
    text = "\n".join(f"{name}: {values[name]}" for name in names)
    try:
        key.verify(b64decode(match[3]), text.encode(), padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True)
class APIKey:
    """A user's API key.

    Attributes:
        private: the private key.
        key_id: tenancy, user and fingerprint.
    """

    private: rsa.RSAPrivateKey = field(default_factory=lambda: kept_rsa_key(2048, "OCIR"))
    key_id: tuple[str, str, str] = ("ocid1.tenancy.oc1..t", "ocid1.user.oc1..u", "aa:bb:cc")

    @property
    def secret(self) -> Mapping[str, bytes]:
        """The content of the Secret that holds it."""
        pem = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        names = ("tenancy", "user", "fingerprint")
        parts = {name: part.encode() for name, part in zip(names, self.key_id, strict=True)}
        return parts | {"privateKey": pem}

    def signed(self, request: RecordedRequest) -> bool:
        """Return whether a request carries a signature of this key over all that it must be over."""
        return is_signed(request, self.private.public_key(), "/".join(self.key_id))


def foreign_api_key() -> APIKey:
    """Return a key that is not the default of `APIKey`."""
    return APIKey(kept_rsa_key(2048, "OCIR, of another user"))


class OCIRSimulator(RegistrySimulator):
    """The service of image signatures; see `RegistrySimulator` for faults, TLS and recorded requests.

    Attributes:
        records: as they are served. Change them to serve what no service would.
        images: digest and repository of each image that signatures may be uploaded for, by its OCID.
        image_states: states of images that are not AVAILABLE, by OCID.
        drops: whether uploads are answered and not stored.
        deleters: whether callers may delete records; a record that was deleted is still listed, as DELETED.
        api_key: what requests must be signed with; None for none.
        honours_filter: whether repository and digest are filtered by.
        records_per_page: as many as a page holds at most.
    """

    def __init__(self, *, api_key: APIKey | None = None, **more: Any) -> None:
        self.records: list[Any] = []
        self.images: dict[str, tuple[str, str]] = {}
        self.image_states: dict[str, str] = {}
        self.drops, self.deleters = False, True
        self.api_key = api_key
        self.honours_filter = True
        self.records_per_page = 50
        super().__init__(**more)

    def sign(
        self,
        message: Mapping[str, Any] | bytes,
        key: PrivateKey,
        /,
        *,
        salt_length: int | None = None,
        **members: Any,
    ) -> dict[str, Any]:
        """Store a record whose message is signed with its algorithm; `members` change or add members of the record."""
        raw = message if isinstance(message, bytes) else compact(message)
        said: Mapping[str, Any] = {} if isinstance(message, bytes) else message
        algorithm = members.get("signingAlgorithm") or said.get("signingAlgorithm") or "SHA_256_RSA_PKCS_PSS"
        ours = algorithm_of(algorithm) if algorithm.endswith("_RSA_PKCS_PSS") else "RSA_PKCS1_SHA_256"
        number = len(self.records) + 1
        record = {
            "compartmentId": COMPARTMENT,
            "displayName": f"containersignature{number}",
            "id": f"ocid1.containersignature.oc1.phx.0.ansh81vru1zp.{number}",
            "imageId": "ocid1.containerimage.oc1.phx.0.ansh81vru1zp.aaaaaaaalqzj",
            "kmsKeyId": said.get("kmsKeyId", KEY_ID),
            "kmsKeyVersionId": said.get("kmsKeyVersionId", VERSION_ID),
            "lifecycleState": "AVAILABLE",
            "message": b64encode(raw).decode(),
            "signature": b64encode(sign(key, raw, ours, salt_length)).decode(),
            "signingAlgorithm": algorithm,
            "timeCreated": "2026-11-01T10:00:00Z",
            **members,
        }
        self.records.append(record)
        return record

    def respond(self, request: RecordedRequest) -> Answer:
        image = _IMAGE.fullmatch(request.path)
        signature = _SIGNATURE.fullmatch(request.path) if request.method == "DELETE" else None
        if request.path not in {_PATH, _IMAGES} and image is None and signature is None:
            return super().respond(request)
        if self.api_key is not None and not self.api_key.signed(request):
            return json_answer(
                {"code": "NotAuthenticated", "message": "The required information was not provided."}, 401
            )
        if image is not None:
            return self._image(image[1])
        if request.path == _IMAGES:
            return self._list_images(dict(request.query))
        if request.method != "GET":
            return self._upload(json.loads(request.body)) if signature is None else self._delete(signature[1])
        return self._list(dict(request.query))

    def _list_images(self, query: Mapping[str, str]) -> Answer:
        if query.get("compartmentId") != COMPARTMENT:
            return _not_found()
        items = [
            {
                "id": ocid,
                "digest": digest,
                "repositoryName": name,
                "lifecycleState": self.image_states.get(ocid, "AVAILABLE"),
            }
            for ocid, (digest, name) in self.images.items()
            if not self.honours_filter or (digest, name) == (query["imageDigest"], query["repositoryName"])
        ]
        return json_answer({"items": items, "remainingItemsCount": 0})

    def _list(self, query: Mapping[str, str]) -> Answer:
        if query.get("compartmentId") != COMPARTMENT:
            return _not_found()
        with self.lock:
            found = [record for record in self.records if self._wanted(record, query)]
        token = query.get("page", "0")
        if not token.isdecimal():
            return json_answer({"code": "InvalidParameter", "message": "page"}, 400)
        start = int(token)
        end = start + min(int(query.get("limit", self.records_per_page)), self.records_per_page)
        answer = json_answer({"items": found[start:end], "remainingItemsCount": max(len(found) - end, 0)})
        if end < len(found):
            answer.headers["opc-next-page"] = str(end)
        return answer

    def _image(self, ocid: str) -> Answer:
        if ocid not in self.images:
            return _not_found()
        digest, repository = self.images[ocid]
        return json_answer({"id": ocid, "digest": digest, "repositoryName": repository, "compartmentId": COMPARTMENT})

    def _delete(self, ocid: str) -> Answer:
        for record in self.records:
            if self.deleters and record["id"] == ocid and record["lifecycleState"] == "AVAILABLE":
                record["lifecycleState"] = "DELETED"
                return Answer(204)
        return _not_found()

    def _upload(self, details: dict[str, Any]) -> Answer:
        if details["imageId"] not in self.images or details["compartmentId"] != COMPARTMENT:
            return _not_found()
        if set(details) != _DETAILS or not json.loads(b64decode(details["message"], validate=True)):
            return json_answer({"code": "InvalidParameter", "message": "said in words"}, 400)
        number = len(self.records) + 1
        record = {
            **details,
            "id": f"ocid1.containersignature.oc1.phx.0.ansh81vru1zp.{number}",
            "displayName": f"containersignature{number}",
            "lifecycleState": "AVAILABLE",
            "timeCreated": "2026-11-01T10:00:00Z",
        }
        if not self.drops:
            self.records.append(record)
        return json_answer(record)

    def _wanted(self, record: Any, query: Mapping[str, str]) -> bool:
        if not self.honours_filter or not isinstance(record, dict):
            return True
        try:
            message = json.loads(b64decode(record["message"]))
            return (message["imageDigest"], message["repositoryName"]) == (
                query["imageDigest"],
                query["repositoryName"],
            )
        except (ValueError, KeyError, TypeError):
            return True  # an unreadable message is listed under the image it was stored for


def _not_found() -> Answer:
    return json_answer({"code": "NotAuthorizedOrNotFound", "message": "Authorization failed or not found."}, 404)
