"""Records `requests.json`: requests of the official SDKs to a server that only answers what it has to.

    python3 -m venv sdk && sdk/bin/pip install google-cloud-kms==3.18.0 google-auth==2.63.0 requests
    sdk/bin/python tests/data/google/record.py

The key of the service account is made for the recording; only its public half is kept.
"""

from __future__ import annotations

import hashlib
import json
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.auth.transport.requests import Request  # type: ignore[import-not-found]  # in an environment of its own
from google.cloud import kms_v1  # type: ignore[import-not-found]  # likewise
from google.cloud.kms_v1.services.key_management_service import transports  # type: ignore[import-not-found]  # likewise
from google.oauth2 import service_account, sts  # type: ignore[import-not-found]  # likewise

KEY = "projects/shop-1/locations/global/keyRings/release/cryptoKeys/images"
VERSION = f"{KEY}/cryptoKeyVersions/1"
DIGEST = hashlib.sha256(b'{"critical": "an image"}').digest()
AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k8s"
OMITTED = {"user-agent", "accept-encoding", "x-goog-api-client", "connection"}
ANSWERS: dict[str, dict[str, Any]] = {
    f"/v1/{KEY}/cryptoKeyVersions": {"cryptoKeyVersions": []},
    f"/v1/{VERSION}": {"name": VERSION},
    f"/v1/{VERSION}/publicKey": {"name": VERSION},
    f"/v1/{VERSION}:asymmetricSign": {"name": VERSION},
    "/v1/token": {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"},
}


class _Handler(BaseHTTPRequestHandler):
    recorded: list[dict[str, Any]] = []  # noqa: RUF012 - of all instances

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() not in OMITTED}
        self.recorded.append({"method": self.command, "path": self.path, "headers": headers, "body": body.decode()})
        answer = json.dumps(ANSWERS[self.path.partition("?")[0]]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815 - as the library names it

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def main() -> None:
    """Write the recording."""
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_address[1]}"
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    info = {"client_email": "sealgate@shop-1.iam.gserviceaccount.com", "private_key_id": "0a1b", "private_key": pem}
    account = {"type": "service_account", "token_uri": "https://oauth2.googleapis.com/token", **info}
    credentials = service_account.Credentials.from_service_account_info(account)
    transport = transports.KeyManagementServiceRestTransport(host=host, url_scheme="http", credentials=credentials)
    client = kms_v1.KeyManagementServiceClient(transport=transport)
    list(client.list_crypto_key_versions(request={"parent": KEY, "page_size": 64}))
    client.get_crypto_key_version(name=VERSION)
    client.get_public_key(name=VERSION)
    client.asymmetric_sign(request={"name": VERSION, "digest": {"sha256": DIGEST}})
    sts.Client(f"http://{host}/v1/token").exchange_token(
        Request(),
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "header.payload.signature",
        "urn:ietf:params:oauth:token-type:jwt",
        audience=AUDIENCE,
        scopes=["https://www.googleapis.com/auth/cloudkms"],
        requested_token_type="urn:ietf:params:oauth:token-type:access_token",  # noqa: S106 - a type
    )
    server.shutdown()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    text = json.dumps({"digest": b64encode(DIGEST).decode(), "public": public, "requests": _Handler.recorded}, indent=1)
    Path(__file__).with_name("requests.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
