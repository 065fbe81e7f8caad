"""Google's services that issue access tokens: STS and IAM Credentials, with every bearer and every form checked.

The requests of the official SDK pass it as well (`tests/pull_credentials/test_google.py`).
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from sealgate.clocks import SystemClock
from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, RecordedRequest, json_answer

if TYPE_CHECKING:
    from sealgate.clocks import Clock

AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/k8s1"
EMAIL = "sealgate@shop-1.iam.gserviceaccount.com"
_PLATFORM, _IAM = "https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/iam"
_KINDS = "urn:ietf:params:oauth:token-type:"


class GoogleTokensSimulator(HTTPSimulator):
    """Both services at one address; see `HTTPSimulator` for faults, TLS and recorded requests.

    Attributes:
        subject_token: the token of the workload.
        federated: access tokens that STS gave, each with its scope.
        impersonated: access tokens of the service account.
        expires: `expireTime` of these; None for an hour from now.
    """

    def __init__(self, *, clock: Clock | None = None, **more: Any) -> None:
        self.clock = clock or SystemClock()
        self.subject_token = "header.payload.signature"  # noqa: S105 - of the simulator
        self.federated: dict[str, str] = {}
        self.impersonated: list[str] = []
        self.expires: str | None = None
        super().__init__(**more)

    def respond(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return json_answer({"error": {"code": 405}}, 405)
        if request.path == "/v1/token":
            return self._exchange(dict(parse_qsl(request.body.decode())))
        if request.path == f"/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken":
            return self._impersonate(request)
        return json_answer({"error": {"code": 404, "status": "NOT_FOUND"}}, 404)

    def _exchange(self, asked: dict[str, str]) -> Answer:
        scope = asked.pop("scope", "")
        wanted = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": AUDIENCE,
            "requested_token_type": f"{_KINDS}access_token",
            "subject_token": self.subject_token,
            "subject_token_type": f"{_KINDS}jwt",
        }
        if asked != wanted or scope not in {_PLATFORM, _IAM}:
            return json_answer({"error": "invalid_grant", "error_description": "said in words"}, 400)
        token = f"federated-{len(self.federated)}"
        self.federated[token] = scope
        return json_answer({"access_token": token, "expires_in": 3600, "token_type": "Bearer"})

    def _impersonate(self, request: RecordedRequest) -> Answer:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        asked = json.loads(request.body)
        if bearer not in self.federated or asked["scope"] != [_PLATFORM] or asked["lifetime"] != "3600s":
            return json_answer({"error": {"code": 403, "status": "PERMISSION_DENIED"}}, 403)
        self.impersonated.append(f"impersonated-{len(self.impersonated)}")
        end = (self.clock.now() + timedelta(seconds=3600)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json_answer({"accessToken": self.impersonated[-1], "expireTime": self.expires or end})
