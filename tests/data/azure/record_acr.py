"""Records `acr.json`: requests of the official SDKs for a registry, which are answered and not sent.

python3 -m venv sdk && sdk/bin/pip install azure-containerregistry==1.2.0 azure-identity==1.27.0 requests
sdk/bin/python tests/data/azure/record_acr.py
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import requests
from azure.containerregistry import ContainerRegistryClient  # type: ignore[import-not-found]  # in an environment of its own
from azure.identity import ClientAssertionCredential, ManagedIdentityCredential  # type: ignore[import-not-found]

HOST = "shop1.azurecr.io"
TENANT, CLIENT = "11112222-3333-4444-5555-666677778888", "99990000-1111-2222-3333-444455556666"
LOGIN = f"https://login.microsoftonline.com/{TENANT}"
KEPT = {"authorization", "content-type", "accept", "metadata"}
CLAIMS = base64.urlsafe_b64encode(json.dumps({"exp": 4102444800}).encode()).decode().rstrip("=")


ANSWERS: dict[str, dict[str, Any]] = {
    "openid-configuration": {
        "authorization_endpoint": f"{LOGIN}/authorize",
        "token_endpoint": f"{LOGIN}/oauth2/v2.0/token",
        "issuer": f"{LOGIN}/v2.0",
    },
    "/metadata/identity": {"access_token": "entra", "expires_in": "3600", "expires_on": "4102444800", "resource": "r"},
    "/oauth2/v2.0/token": {"access_token": "entra", "expires_in": 3600, "token_type": "Bearer"},
    "/oauth2/exchange": {"refresh_token": f"e30.{CLAIMS}.x"},
    "/oauth2/token": {"access_token": "acr"},
}


def _answer(request: requests.PreparedRequest) -> tuple[int, dict[str, Any], dict[str, str]]:
    for part, answer in ANSWERS.items():
        if part in str(request.url):
            return 200, answer, {}
    if "Authorization" not in request.headers:
        challenge = f'Bearer realm="https://{HOST}/oauth2/token",service="{HOST}",scope="registry:catalog:*"'
        return 401, {}, {"WWW-Authenticate": challenge}
    return 200, {"repositories": []}, {}


def main() -> None:
    """Write the recording."""
    recorded: list[dict[str, Any]] = []

    def send(_: object, request: requests.PreparedRequest, **__: object) -> requests.Response:
        status, document, headers = _answer(request)
        sent = {name.lower(): value for name, value in request.headers.items() if name.lower() in KEPT}
        body = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
        if status != 401 and "openid-configuration" not in str(request.url):  # noqa: PLR2004 - the challenge
            recorded.append({"method": request.method, "url": request.url, "headers": sent, "body": body})
        response = requests.Response()
        response.status_code, response.request, response.url = status, request, str(request.url)
        response.headers.update({"Content-Type": "application/json", **headers})
        response.raw = io.BytesIO(json.dumps(document).encode())
        return response

    setattr(requests.adapters.HTTPAdapter, "send", send)  # noqa: B010 - a stub of another type
    federated = ClientAssertionCredential(
        TENANT, CLIENT, lambda: "header.payload.signature", disable_instance_discovery=True
    )
    list(ContainerRegistryClient(f"https://{HOST}", federated).list_repository_names())
    ManagedIdentityCredential(client_id=CLIENT).get_token("https://containerregistry.azure.net/.default")
    Path(__file__).with_name("acr.json").write_text(json.dumps({"requests": recorded}, indent=1) + "\n")


if __name__ == "__main__":
    main()
