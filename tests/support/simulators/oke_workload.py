"""Workload identity of OKE, and the token service of OCIR: session tokens for keys, and signatures of these keys.

The requests of the official SDK pass it as well (`tests/pull_credentials/test_oracle.py`).
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, json_answer
from tests.support.simulators.ocir import is_signed

if TYPE_CHECKING:
    from tests.support.simulators.http_messages import RecordedRequest

REGISTRY = "us-phoenix-1.ocir.io"
API_SERVER = "10.96.0.1"
SESSION = "ST$eyJhbGciOiAiUlMyNTYifQ.eyJpYXQiOiAxNzAwMDAwMDAwLCAiZXhwIjogNDEwMjQ0NDgwMH0.c2ln"
LIFETIME = 3600


class OKEWorkloadSimulator(HTTPSimulator):
    """Both services at one address; see `HTTPSimulator` for faults, TLS and recorded requests.

    Attributes:
        token: the token of the ServiceAccount that it accepts.
        session: the token that it issues for the key.
        enhanced: whether the cluster has workload identities.
        tokens: every token for the registry that it issued.
        changed: members that replace those of the registry's answer.
    """

    def __init__(self, **more: Any) -> None:
        self.token = "header.payload.signature"  # noqa: S105 - of the simulator
        self.session: object = SESSION
        self.enhanced = True
        self.tokens: list[str] = []
        self.changed: dict[str, Any] = {}
        self._key: RSAPublicKey | None = None
        super().__init__(**more)

    def respond(self, request: RecordedRequest) -> Answer:
        if (request.method, request.path) == ("POST", "/resourcePrincipalSessionTokens"):
            return self._open_session(request)
        if (request.method, request.path) != ("GET", "/20180419/docker/token"):
            return json_answer({"code": "NotFound", "message": "said in words"}, 404)
        if self._key is None or not is_signed(request, self._key, str(self.session)):
            return json_answer({"code": "NotAuthenticated", "message": "said in words"}, 401)
        self.tokens.append(f"token-{len(self.tokens)}")
        found = {"token": self.tokens[-1], "access_token": self.tokens[-1], "scope": "", "expires_in": LIFETIME}
        return json_answer(found | self.changed)

    def _open_session(self, request: RecordedRequest) -> Answer:
        if not self.enhanced:
            return Answer(403, {}, b"forbidden")
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return Answer(401, {}, b"unauthorized")
        key = load_der_public_key(b64decode(json.loads(request.body)["podKey"], validate=True))
        assert isinstance(key, RSAPublicKey)
        self._key = key
        return Answer(
            200, {"Content-Type": "application/json"}, b64encode(json.dumps({"token": self.session}).encode())
        )
