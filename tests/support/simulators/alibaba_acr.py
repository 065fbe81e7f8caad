"""Alibaba Cloud STS and Container Registry: AssumeRoleWithOIDC and GetAuthorizationToken, with every signature checked.

The requests of the official SDK pass it as well (`tests/pull_credentials/test_alibaba.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.http_messages import Answer, json_answer

if TYPE_CHECKING:
    from tests.support.simulators.http_messages import RecordedRequest

REGION, INSTANCE = "cn-hangzhou", "cri-kmsiwlxxdcvaduwb"
REGISTRY = f"shop-registry.{REGION}.cr.aliyuncs.com"
ROLE = "acs:ram::1111222233334444:role/sealgate-pull"
PROVIDER = "acs:ram::1111222233334444:oidc-provider/ack-rrsa-c1"
LIFETIME = 3600


class AlibabaACRSimulator(AlibabaKMSSimulator):
    """Both services at one address; see `AlibabaKMSSimulator`, which has the check of signatures.

    Attributes:
        oidc_token: the token of the ServiceAccount that STS accepts.
        passwords: every password that it issued.
        changed: members that replace those of a login.
    """

    def __init__(self, **more: Any) -> None:
        self.oidc_token = "header.payload.signature"  # noqa: S105 - of the simulator
        self.passwords: list[str] = []
        self.changed: dict[str, Any] = {}
        super().__init__(**more)

    def respond(self, request: RecordedRequest) -> Answer:
        # In the query (SDK for Python) or in a form (SDK for Go).
        asked = dict(request.query) | dict(parse_qsl(request.body.decode()))
        if asked.get("Action") == "AssumeRoleWithOIDC":
            return self._assume_role(asked)
        headers = request.headers
        if (headers.get("x-acs-action"), headers.get("x-acs-version")) != ("GetAuthorizationToken", "2018-12-01"):
            return json_answer({"Code": "InvalidVersion"}, 400)
        refusal = self.refusal(request)
        if refusal or request.method != "POST" or request.path != "/":
            return json_answer({"Code": refusal or "MethodNotAllowed", "Message": "said in words"}, 403)
        if self.denied or asked != {"InstanceId": INSTANCE}:
            return json_answer({"Code": "NoPermission", "Message": "said in words"}, 403)
        self.passwords.append(f"password-{len(self.passwords)}")
        found = {
            "RequestId": "r",
            "Code": "success",
            "IsSuccess": True,
            "TempUsername": "cr_temp_user",
            "AuthorizationToken": self.passwords[-1],
            "ExpireTime": int((self.clock.now().timestamp() + LIFETIME) * 1000),
        }
        return json_answer(found | self.changed)

    def _assume_role(self, asked: dict[str, str]) -> Answer:
        wanted = {"Format": "JSON", "Version": "2015-04-01", "RoleArn": ROLE, "OIDCProviderArn": PROVIDER}
        if asked | wanted != asked or not asked["RoleSessionName"] or asked["DurationSeconds"] != "3600":
            return json_answer({"Code": "NoPermission", "Message": "said in words"}, 403)
        if asked["OIDCToken"] != self.oidc_token:
            return json_answer({"Code": "AuthenticationFail.OIDCToken.Invalid", "Message": "said in words"}, 400)
        self.access_key_id, self.access_key_secret = "STS.EXAMPLE", "sts-secret"
        self.security_token = "CAIS/of+session=="  # noqa: S105 - of the simulator
        names = ("AccessKeyId", "AccessKeySecret", "SecurityToken")
        values = (self.access_key_id, self.access_key_secret, self.security_token)
        found = {**dict(zip(names, values, strict=True)), "Expiration": "2099-01-01T00:00:00Z"}
        return json_answer({"RequestId": "r", "Credentials": found})
