"""Huawei Cloud IAM and SWR: access keys for tokens of an identity provider, and logins, with every signature checked.

The requests of the official SDK pass it as well (`tests/pull_credentials/test_huawei.py`).
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.support.simulators.http_messages import Answer, json_answer
from tests.support.simulators.huawei_dew import DEWSimulator

if TYPE_CHECKING:
    from tests.support.simulators.http_messages import RecordedRequest

REGION, PROJECT, PROVIDER = "cn-north-4", "0605768a3300d5762f82c01d9c8f4ba2", "cce-shop"
REGISTRY = f"swr.{REGION}.myhuaweicloud.com"
LIFETIME = 6 * 3600
_IAM_TOKEN = "MIIX-iam-token"  # noqa: S105 - of the simulator


class SWRSimulator(DEWSimulator):
    """Both services at one address; see `DEWSimulator`, which has the check of signatures.

    Attributes:
        id_token: the token of the ServiceAccount that IAM accepts.
        logins: every password that it issued.
        expires: the header X-Swr-Expireat; None for the end of `LIFETIME`, empty for none.
        auths: `auths` of its logins; None for the right one.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.id_token = "header.payload.signature"  # noqa: S105 - of the simulator
        self.logins: list[str] = []
        self.expires: str | None = None
        self.auths: Any = None
        self.access_key, self.secret_key = "TEMPKEYEXAMPLE", "temporary-secret"
        self.security_token = "gQpjbi1of-session"  # noqa: S105 - of the simulator

    @property
    def credential(self) -> dict[str, str]:
        """The temporary access key, as IAM and the metadata service return it."""
        found = {"access": self.access_key, "secret": self.secret_key, "securitytoken": self.security_token}
        return {**found, "expires_at": "2099-01-01T00:00:00.000000Z"}

    def respond(self, request: RecordedRequest) -> Answer:
        known = {
            "/v3.0/OS-AUTH/id-token/tokens": self._token,
            "/v3.0/OS-CREDENTIAL/securitytokens": self._key,
            "/v2/manage/utils/secret": self._login,
        }
        if request.method != "POST" or request.path not in known:
            return json_answer({"error_code": "APIGW.0101", "error_msg": "said in words"}, 404)
        return known[request.path](request)

    def _token(self, request: RecordedRequest) -> Answer:
        asked = json.loads(request.body)
        if request.headers.get("x-idp-id") != PROVIDER or asked != {"auth": {"id_token": {"id": self.id_token}}}:
            return json_answer({"error": {"code": 401, "message": "said in words", "title": "Unauthorized"}}, 401)
        answer = json_answer({"token": {"issued_at": "2026-11-21T12:00:00.000000Z"}}, 201)
        answer.headers["X-Subject-Token"] = _IAM_TOKEN
        return answer

    def _key(self, request: RecordedRequest) -> Answer:
        identity = json.loads(request.body)["auth"]["identity"]
        if identity["methods"] != ["token"] or identity["token"]["id"] != _IAM_TOKEN:
            return json_answer({"error": {"code": 401, "message": "said in words", "title": "Unauthorized"}}, 401)
        return json_answer({"credential": self.credential}, 201)

    def _login(self, request: RecordedRequest) -> Answer:
        asked = (request.headers.get("x-project-id"), request.query, request.body)
        if not self.signed(request) or "x-project-id" not in request.headers["authorization"]:
            return json_answer({"error_code": "APIGW.0301", "error_msg": "said in words"}, 401)
        if asked != (PROJECT, (("projectname", REGION),), b""):
            return json_answer({"errors": [{"errorCode": "SVCSTG.SWR.4000000"}]}, 400)
        self.logins.append(f"password-{len(self.logins)}")
        auth = b64encode(f"{REGION}@{self.access_key}:{self.logins[-1]}".encode()).decode()
        answer = json_answer({"auths": {REGISTRY: {"auth": auth}} if self.auths is None else self.auths})
        end = (self.clock.now() + timedelta(seconds=LIFETIME)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        if self.expires != "":
            answer.headers["X-Swr-Expireat"] = self.expires or end
        return answer
