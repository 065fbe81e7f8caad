"""Records `requests.json`: requests of the official SDKs, which are answered with what they need and not sent.

python3 -m venv sdk && sdk/bin/pip install azure-keyvault-keys==4.11.3 azure-identity==1.27.0
sdk/bin/python tests/data/azure/record.py
"""

from __future__ import annotations

import hashlib
import io
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import requests
from azure.identity import (  # type: ignore[import-not-found]  # in an environment of its own
    ClientAssertionCredential,
    ClientSecretCredential,
)
from azure.keyvault.keys import KeyClient  # type: ignore[import-not-found]  # likewise
from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm  # type: ignore[import-not-found]

VAULT, VERSION = "https://shop-1.vault.azure.net", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
TENANT, CLIENT = "11112222-3333-4444-5555-666677778888", "99990000-1111-2222-3333-444455556666"
DIGEST = hashlib.sha256(b'{"critical": "an image"}').digest()
KID = f"{VAULT}/keys/release/{VERSION}"
LOGIN = f"https://login.microsoftonline.com/{TENANT}"
#: Any point of P-256: its generator.
X, Y = "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"
KEY = {"key": {"kid": KID, "kty": "EC", "crv": "P-256", "x": X, "y": Y, "key_ops": ["sign"]}, "attributes": {}}
KEPT = {"authorization", "content-type", "accept"}


def _answer(request: requests.PreparedRequest) -> tuple[int, dict[str, Any], dict[str, str]]:
    url = str(request.url)
    if "openid-configuration" in url:
        found = {"authorization_endpoint": f"{LOGIN}/authorize", "token_endpoint": f"{LOGIN}/oauth2/v2.0/token"}
        return 200, {**found, "issuer": f"{LOGIN}/v2.0"}, {}
    if "/oauth2/" in url:
        return 200, {"access_token": "token", "expires_in": 3600, "token_type": "Bearer"}, {}
    if "Authorization" not in request.headers:
        challenge = f'Bearer authorization="{LOGIN}", resource="https://vault.azure.net"'
        return 401, {}, {"WWW-Authenticate": challenge}
    if "/sign" in url:
        return 200, {"kid": KID, "value": "AA"}, {}
    return 200, {"value": []} if "/versions" in url else KEY, {}


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
    credential = ClientSecretCredential(TENANT, CLIENT, "client-secret", disable_instance_discovery=True)
    client = KeyClient(VAULT, credential, api_version="7.4")
    list(client.list_properties_of_key_versions("release", max_page_size=25))
    client.get_key("release", VERSION)
    CryptographyClient(KID, credential, api_version="7.4").sign(SignatureAlgorithm.es256, DIGEST)
    federated = ClientAssertionCredential(
        TENANT, CLIENT, lambda: "header.payload.signature", disable_instance_discovery=True
    )
    federated.get_token("https://vault.azure.net/.default")
    text = json.dumps({"digest": b64encode(DIGEST).decode(), "requests": recorded}, indent=1)
    Path(__file__).with_name("requests.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
