"""Records `tokens.json`: how the official SDK gets access tokens, with requests that are answered and not sent.

python3 -m venv sdk && sdk/bin/pip install google-auth==2.63.0 requests
sdk/bin/python tests/data/google/record_tokens.py
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from google.auth import compute_engine, identity_pool  # type: ignore[import-not-found]  # in an environment of its own
from google.auth.transport.requests import Request  # type: ignore[import-not-found]  # likewise

AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/k8s1"
EMAIL = "sealgate@shop-1.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
KEPT = {"authorization", "content-type", "accept", "metadata-flavor"}


def _answer(url: str) -> dict[str, Any]:
    if url.endswith(":generateAccessToken"):
        return {"accessToken": "impersonated", "expireTime": "2100-01-01T00:00:00Z"}
    if "/service-accounts/default/token" in url:
        return {"access_token": "metadata", "expires_in": 3599, "token_type": "Bearer"}
    if "computeMetadata" in url:
        return {"email": EMAIL, "scopes": [SCOPE], "aliases": ["default"]}
    return {"access_token": "federated", "expires_in": 3599, "token_type": "Bearer"}


def main() -> None:
    """Write the recording."""
    recorded: list[dict[str, Any]] = []

    def send(_: object, request: requests.PreparedRequest, **__: object) -> requests.Response:
        sent = {name.lower(): value for name, value in request.headers.items() if name.lower() in KEPT}
        body = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
        recorded.append({"method": request.method, "url": request.url, "headers": sent, "body": body})
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, str(request.url)
        response.headers.update({"Content-Type": "application/json", "Metadata-Flavor": "Google"})
        response.raw = io.BytesIO(json.dumps(_answer(str(request.url))).encode())
        return response

    setattr(requests.adapters.HTTPAdapter, "send", send)  # noqa: B010 - a stub of another type
    os.environ["GCE_METADATA_IP"] = "169.254.169.254"
    with TemporaryDirectory() as folder:
        token = Path(folder, "token")
        token.write_text("header.payload.signature")
        credentials = identity_pool.Credentials(
            audience=AUDIENCE,
            subject_token_type="urn:ietf:params:oauth:token-type:jwt",  # noqa: S106 - a type
            token_url="https://sts.googleapis.com/v1/token",  # noqa: S106 - an address
            service_account_impersonation_url="https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
            f"{EMAIL}:generateAccessToken",
            credential_source={"file": str(token)},
            scopes=[SCOPE],
        )
        credentials.refresh(Request())
    compute_engine.Credentials().refresh(Request())
    Path(__file__).with_name("tokens.json").write_text(json.dumps({"requests": recorded}, indent=1) + "\n")


if __name__ == "__main__":
    main()
