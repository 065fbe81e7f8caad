"""Amazon ECR's API and STS: GetAuthorizationToken and AssumeRoleWithWebIdentity, with every signature checked."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from tests.support.simulators.aws_kms import ACCOUNT, REGION, AWSKMSSimulator
from tests.support.simulators.http_messages import Answer, json_answer

if TYPE_CHECKING:
    from tests.support.simulators.http_messages import RecordedRequest

#: The registry whose secrets it issues.
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
LIFETIME = 12 * 3600
_ACTION = "GetAuthorizationToken"


class ECRSimulator(AWSKMSSimulator):
    """Both services at one address; see `AWSKMSSimulator`, which has STS and the check of signatures.

    Attributes:
        passwords: every password that it issued.
        lifetime: seconds that they are valid.
        changed: members that replace those of the answer's one entry.
    """

    service = "ecr"

    def __init__(self, **more: Any) -> None:
        self.passwords: list[str] = []
        self.lifetime = LIFETIME
        self.changed: dict[str, Any] = {}
        super().__init__(**more)

    def respond(self, request: RecordedRequest) -> Answer:
        target = request.headers.get("x-amz-target", "")
        if not target:
            return self.assume_role(request)
        if not self.signed(request) or not self.sessions:
            return json_answer({"__type": "InvalidSignatureException"}, 400)
        asked = json.loads(request.body)
        if target.partition(".") != ("AmazonEC2ContainerRegistry_V20150921", ".", _ACTION) or asked != {
            "registryIds": [ACCOUNT]
        }:
            return json_answer({"__type": "InvalidParameterException"}, 400)
        if _ACTION in self.denied:
            return json_answer({"__type": "AccessDeniedException", "message": "said in words"}, 400)
        self.passwords.append(f"password-{len(self.passwords)}")
        found = {
            "authorizationToken": b64encode(f"AWS:{self.passwords[-1]}".encode()).decode(),
            "expiresAt": self.clock.now().timestamp() + self.lifetime,
            "proxyEndpoint": f"https://{REGISTRY}",
        }
        return json_answer({"authorizationData": [found | self.changed]})
