"""Records `requests.json`: requests of the official SDK, boto3, to a server that only answers what it has to.

    python3 -m venv sdk && sdk/bin/pip install boto3==1.44.8 && sdk/bin/python tests/data/aws/record.py

The keys of the client are those of the simulator (`tests/support/simulators/aws_kms.py`).
"""

from __future__ import annotations

import hashlib
import json
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-not-found]  # in an environment of its own

REGION, KEY = "eu-central-1", "1234abcd-12ab-34cd-56ef-1234567890ab"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
ROLE = "arn:aws:iam::111122223333:role/sealgate"
DIGEST = hashlib.sha256(b'{"critical": "an image"}').digest()
ARN = f"arn:aws:kms:{REGION}:111122223333:key/{KEY}"
#: Headers about the machine, which nothing depends on.
OMITTED = {"user-agent", "accept-encoding", "amz-sdk-invocation-id", "amz-sdk-request"}
ANSWERS = {
    "TrentService.DescribeKey": {"KeyMetadata": {"KeyId": KEY, "Arn": ARN}},
    "TrentService.GetPublicKey": {"KeyId": ARN, "PublicKey": "MFk="},
    "TrentService.Sign": {"KeyId": ARN, "Signature": "MEQ="},
    "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken": {"authorizationData": []},
}
STS = (
    b'<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    b"<AssumeRoleWithWebIdentityResult/></AssumeRoleWithWebIdentityResponse>"
)


class _Handler(BaseHTTPRequestHandler):
    recorded: list[dict[str, Any]] = []  # noqa: RUF012 - of all instances

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        target = self.headers.get("X-Amz-Target", "")
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() not in OMITTED}
        self.recorded.append({"method": "POST", "path": self.path, "headers": headers, "body": body.decode()})
        answer = json.dumps(ANSWERS[target]).encode() if target else STS
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def main() -> None:
    """Write the recording."""
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = {"region_name": REGION, "endpoint_url": f"http://127.0.0.1:{server.server_address[1]}"}
    kms = boto3.client("kms", **where, **KEYS)
    kms.describe_key(KeyId=KEY)
    kms.get_public_key(KeyId=KEY)
    kms.sign(KeyId=KEY, Message=DIGEST, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256")
    boto3.client("kms", **where, **KEYS, aws_session_token="token/of+ASIA0==").describe_key(KeyId=KEY)  # noqa: S106
    boto3.client("sts", **where, **KEYS).assume_role_with_web_identity(
        RoleArn=ROLE, RoleSessionName="sealgate", WebIdentityToken="header.payload.signature", DurationSeconds=3600
    )
    boto3.client("ecr", **where, **KEYS, aws_session_token="token/of+ASIA0==").get_authorization_token(  # noqa: S106
        registryIds=["111122223333"]
    )
    server.shutdown()
    text = json.dumps({"digest": b64encode(DIGEST).decode(), "requests": _Handler.recorded}, indent=1)
    Path(__file__).with_name("requests.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
