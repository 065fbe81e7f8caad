"""Records `workload.json`: requests of the official SDK for a token of OCIR, which are answered and not sent.

    python3 -m venv sdk && sdk/bin/pip install oci==2.189.0
    sdk/bin/python tests/data/oracle/record_workload.py

The session's key is made by the SDK for the recording; only its public half is kept, which is a part of a request.
"""

from __future__ import annotations

import base64
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

HOST, REGION = "10.96.0.1", "us-phoenix-1"
KEPT = {"host", "accept", "content-type", "authorization", "date"}


def _jwt() -> str:
    parts = ({"alg": "RS256"}, {"iat": 1700000000, "exp": 4102444800})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join((*encoded, "c2ln"))


def main() -> None:
    """Write the recording."""
    os.environ["KUBERNETES_SERVICE_HOST"] = HOST
    with tempfile.NamedTemporaryFile("w") as ca:
        ca.write("read by the SDK, which does not parse it before it connects")
        ca.flush()
        os.environ["OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH"] = ca.name
        _record()


def _record() -> None:
    from oci._vendor import requests  # type: ignore[import-not-found]  # noqa: PLC0415, PLC2701 - reads the environment
    from oci.auth import certificate_retriever, signers  # type: ignore[import-not-found]  # noqa: PLC0415 - likewise
    from oci.container_registry import ContainerRegistryClient  # type: ignore[import-not-found]  # noqa: PLC0415

    recorded: list[dict[str, Any]] = []

    def send(_: object, request: Any, **__: object) -> Any:
        sent = {name.lower(): _text(value) for name, value in request.headers.items() if name.lower() in KEPT}
        recorded.append({"method": request.method, "url": request.url, "headers": sent, "body": _text(request.body)})
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response.headers["Content-Type"] = "application/json"
        answer = json.dumps({"token": "ocir", "access_token": "ocir", "scope": "", "expires_in": 3600}).encode()
        if "resourcePrincipalSessionTokens" in request.url:
            answer = base64.b64encode(json.dumps({"token": f"ST${_jwt()}"}).encode())
        response.raw = io.BytesIO(answer)
        return response

    setattr(requests.adapters.HTTPAdapter, "send", send)  # noqa: B010 - a stub of another type
    setattr(certificate_retriever.FileBasedCertificateRetriever, "refresh", lambda *_: None)  # noqa: B010 - likewise
    setattr(certificate_retriever.FileBasedCertificateRetriever, "_refresh_inner", lambda *_: None)  # noqa: B010
    signer = signers.get_oke_workload_identity_resource_principal_signer(service_account_token=_jwt())
    client = ContainerRegistryClient({"region": REGION}, signer=signer, service_endpoint=f"https://{REGION}.ocir.io")
    client.get_access_token()
    Path(__file__).with_name("workload.json").write_text(json.dumps({"requests": recorded}, indent=1) + "\n")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


if __name__ == "__main__":
    main()
