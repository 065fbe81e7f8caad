"""Records `requests.json`: requests of the official SDK for a login, which are answered and not sent.

    python3 -m venv sdk && sdk/bin/pip install huaweicloudsdkswr==3.1.219
    sdk/bin/python tests/data/huawei/record.py

The access key is made up.
"""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials  # type: ignore[import-not-found]  # of its own
from huaweicloudsdkcore.auth.internal import MetadataAccessor  # type: ignore[import-not-found]  # likewise
from huaweicloudsdkswr.v2 import CreateSecretRequest, SwrClient  # type: ignore[import-not-found]  # likewise
from huaweicloudsdkswr.v2.region.swr_region import SwrRegion  # type: ignore[import-not-found]  # likewise

REGION, PROJECT, IDP = "cn-north-4", "0605768a3300d5762f82c01d9c8f4ba2", "cce-shop"
TOKEN = "header.payload.signature"  # noqa: S105 - of the recording
KEY = {
    "access": "TEMPKEYEXAMPLE",
    "secret": "temporary-secret",
    "securitytoken": "gQpjbi1of-session",
    "expires_at": "2099-01-01T00:00:00.000000Z",
}
ANSWERS: dict[str, tuple[int, dict[str, Any], dict[str, str]]] = {
    "/id-token/tokens": (201, {"token": {}}, {"X-Subject-Token": "MIIX-iam-token"}),
    "/securitytokens": (201, {"credential": KEY}, {}),
    "/securitykey": (200, {"credential": KEY}, {}),
    "/api/token": (404, {}, {}),
    "/utils/secret": (200, {"auths": {f"swr.{REGION}.myhuaweicloud.com": {"auth": "YTpi"}}}, {}),
}
KEPT = {"host", "content-type", "authorization"}


def main() -> None:
    """Write the recording."""
    recorded: list[dict[str, Any]] = []

    def send(_: object, request: requests.PreparedRequest, **__: object) -> requests.Response:
        sent = {
            name.lower(): value if isinstance(value, str) else value.decode()
            for name, value in request.headers.items()
            if name.lower() in KEPT or name.lower().startswith("x-") or name.lower() == "user-agent"
        }
        body = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
        status, document, headers = next(answer for part, answer in ANSWERS.items() if part in str(request.url))
        if "/api/token" not in str(request.url):
            recorded.append({"method": request.method, "url": request.url, "headers": sent, "body": body})
        response = requests.Response()
        response.status_code, response.request, response.url = status, request, str(request.url)
        response.headers.update({"Content-Type": "application/json", **headers})
        response.raw = io.BytesIO(json.dumps(document).encode())
        return response

    setattr(requests.adapters.HTTPAdapter, "send", send)  # noqa: B010 - a stub of another type
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(TOKEN)
        file.flush()
        credentials = BasicCredentials().with_idp_id(IDP).with_id_token_file(file.name).with_project_id(PROJECT)
        credentials = credentials.with_iam_endpoint(f"https://iam.{REGION}.myhuaweicloud.com")
        client = SwrClient.new_builder().with_credentials(credentials).with_region(SwrRegion.value_of(REGION)).build()
        client.create_secret(CreateSecretRequest(projectname=REGION))
    MetadataAccessor().get_credential()
    Path(__file__).with_name("requests.json").write_text(json.dumps({"requests": recorded}, indent=1) + "\n")


if __name__ == "__main__":
    main()
