"""Records `requests.json`: requests of the official SDKs for a login, which are answered and not sent.

    python3 -m venv sdk && sdk/bin/pip install alibabacloud_cr20181201==2.2.5 alibabacloud_credentials==1.0.12
    sdk/bin/python tests/data/alibaba/record.py

The access key is made up. The SDK for Python sends the token to STS in the query, that for Go in a form
(credentials-go, `oidc.go`); the parameters are the same.
"""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import requests
from alibabacloud_cr20181201.client import Client  # type: ignore[import-not-found]  # in an environment of its own
from alibabacloud_cr20181201.models import GetAuthorizationTokenRequest  # type: ignore[import-not-found]  # likewise
from alibabacloud_credentials.client import Client as CredentialClient  # type: ignore[import-not-found]  # likewise
from alibabacloud_credentials.models import Config as CredentialConfig  # type: ignore[import-not-found]  # likewise
from alibabacloud_tea_openapi.utils_models import Config  # type: ignore[import-not-found]  # likewise

REGION, INSTANCE = "cn-hangzhou", "cri-kmsiwlxxdcvaduwb"
ROLE, PROVIDER = "acs:ram::1111222233334444:role/sealgate-pull", "acs:ram::1111222233334444:oidc-provider/ack-rrsa-c1"
TOKEN = "header.payload.signature"  # noqa: S105 - of the recording
KEY = {"AccessKeyId": "STS.EXAMPLE", "AccessKeySecret": "sts-secret", "SecurityToken": "CAIS/of+session=="}
ANSWERS: dict[str, dict[str, Any]] = {
    "AssumeRoleWithOIDC": {"Credentials": {**KEY, "Expiration": "2099-01-01T00:00:00Z"}},
    "": {"IsSuccess": True, "TempUsername": "cr_temp_user", "AuthorizationToken": "p", "ExpireTime": 4102444800000},
}
OMITTED = {"accept-encoding", "connection"}


def main() -> None:
    """Write the recording."""
    recorded: list[dict[str, Any]] = []

    def send(_: object, request: requests.PreparedRequest, **__: object) -> requests.Response:
        sent = {name.lower(): value for name, value in request.headers.items() if name.lower() not in OMITTED}
        body = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
        recorded.append({"method": request.method, "url": request.url, "headers": sent, "body": body})
        answer = next(answer for part, answer in ANSWERS.items() if part in str(request.url))
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, str(request.url)
        response.headers.update({"Content-Type": "application/json"})
        response.raw = io.BytesIO(json.dumps(answer).encode())
        return response

    setattr(requests.adapters.HTTPAdapter, "send", send)  # noqa: B010 - a stub of another type
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(TOKEN)
        file.flush()
        config = CredentialConfig(
            type="oidc_role_arn",
            role_arn=ROLE,
            oidc_provider_arn=PROVIDER,
            oidc_token_file_path=file.name,
            role_session_name="sealgate",
            sts_endpoint=f"sts.{REGION}.aliyuncs.com",
        )
        client = Client(Config(credential=CredentialClient(config), region_id=REGION))
        client.get_authorization_token(GetAuthorizationTokenRequest(instance_id=INSTANCE))
    Path(__file__).with_name("requests.json").write_text(json.dumps({"requests": recorded}, indent=1) + "\n")


if __name__ == "__main__":
    main()
