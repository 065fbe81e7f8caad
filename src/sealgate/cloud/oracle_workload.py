"""Workload identity of Oracle Kubernetes Engine: a token of the ServiceAccount, exchanged for a signing session.

The exchange is at the address of the API server, on a port of its own ("proxymux"), and its certificate is issued by
the cluster's CA. It issues a token for the public half of a key; the private half signs requests.
Source: Oracle's SDK (oci 2.189), `oke_workload_identity_resource_principal_signer`.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealgate.cloud.identities import PlatformIdentity
from sealgate.cloud.oracle import OCICredentials
from sealgate.cloud.responses import Call, send, text, unexpected
from sealgate.errors import UnavailableError
from sealgate.messages import quote
from sealgate.parsing import strict_json
from sealgate.service_secrets import text_member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.http.interface import Services

_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_PORT = 12250
_WHAT = "the workload identity service of OKE"
_SOURCE = "the workload identity of the ServiceAccount"
_MEMBER = "token"
_MAX_CA_BYTES: Final = 64 << 10
#: A JWT after the mark for session tokens, safe between quotation marks in a header.
_SESSION: Final = re.compile(r"ST\$[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """The workload identity of this process.

    Attributes:
        token: the token of the ServiceAccount.
        ca: file of the cluster's CA certificates.
        host: address of the API server; empty outside a cluster.
    """

    token: PlatformIdentity
    ca: Path
    host: str

    @classmethod
    def of(cls, environ: Mapping[str, str], token_file: str) -> WorkloadIdentity:
        """Return the identity that the environment and the files of the pod give.

        Args:
            environ: the environment of the process.
            token_file: file of the token; empty for that of every pod, for the API server.
        """
        token = PlatformIdentity(_SOURCE, Path(token_file or f"{_FOLDER}/token"), _MEMBER, {})
        ca = environ.get("OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH") or f"{_FOLDER}/ca.crt"
        return cls(token, Path(ca), environ.get("KUBERNETES_SERVICE_HOST", ""))

    def open_session(self, services: Services) -> OCICredentials:
        """Return what signs requests in the name of the workload.

        Args:
            services: sends the request.

        Raises:
            UnauthorizedError: OKE does not accept the token.
            UnavailableError: there is no cluster, a file cannot be read, or OKE issues no session.
        """
        if not self.host:
            raise UnavailableError("this process is not in a cluster (KUBERNETES_SERVICE_HOST)")
        given = self.token.read()
        headers = {
            "authorization": f"Bearer {text_member(given.source, given.data, _MEMBER)}",
            "content-type": "application/json",
        }
        key = _session_key()
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        body = json.dumps({"podKey": base64.b64encode(public).decode()}).encode()
        host = f"[{self.host}]" if ":" in self.host else self.host
        url = f"https://{host}:{_PORT}/resourcePrincipalSessionTokens"
        response = send(services, Call("POST", url, headers, body, self._read_ca(), _SOURCE), _WHAT)
        return OCICredentials(_session_token(response.body), key)

    def _read_ca(self) -> str:
        try:
            with self.ca.open("rb") as file:
                content = file.read(_MAX_CA_BYTES)
        except OSError as error:
            why = quote(error.strerror or error)
            raise UnavailableError(f"the CA of the cluster, {quote(self.ca)}, cannot be read: {why}") from error
        return content.decode("ascii", "replace")


@lru_cache(1)
def _session_key() -> rsa.RSAPrivateKey:
    """Return the key of this process: to make one takes as long as hundreds of signatures."""
    return rsa.generate_private_key(65537, 2048)


def _session_token(body: bytes) -> str:
    """Return the token in a response, which is JSON in base64."""
    try:
        answer = strict_json.parse_object(base64.b64decode(body.strip().strip(b'"'), validate=True), "it")
    except ValueError:
        # Without the cause, which may quote a token.
        raise unexpected(_WHAT, "not JSON in base64") from None
    token = text_member(f"the response of {_WHAT}", {_MEMBER: text(answer, _MEMBER, _WHAT).encode()}, _MEMBER)
    if _SESSION.fullmatch(token) is None:
        raise unexpected(_WHAT, "its token is not a session token")
    return token
