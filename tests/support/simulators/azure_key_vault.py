"""Azure Key Vault and Microsoft Entra ID: versions, keys, signatures and tokens, with every bearer checked.

Its checks fit the requests of the official SDKs (`tests/kms/test_azure.py`).
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, RecordedRequest, json_answer
from tests.support.simulators.kms_keys import new_kms_key, sign_digest

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from tests.support.simulators.kms_keys import KMSPrivateKey

TENANT, CLIENT = "11112222-3333-4444-5555-666677778888", "99990000-1111-2222-3333-444455556666"
VERSION = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
SCOPE = "https://vault.azure.net/.default"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_PATH = re.compile(r"/keys/([^/]+)/([^/]+)(/sign)?")
_PAGE = 25


@dataclass
class AzureKey:
    """One key; tests may change its fields.

    Attributes:
        kind: "ECDSA P-256", "RSA 2048".
        state: empty, or why every version is disabled.
        disabled: the versions that are disabled, and that no caller may read.
        hsm: whether its type is one of an HSM.
        versions: private keys by version.
    """

    kind: str
    state: str = ""
    disabled: set[str] = field(default_factory=set)
    hsm: bool = False
    operations: tuple[str, ...] = ("sign", "verify")
    attributes: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, KMSPrivateKey] = field(default_factory=dict)


class AzureKeyVaultSimulator(HTTPSimulator):
    """Both services at one address; see `HTTPSimulator` for faults, TLS and recorded requests.

    Attributes:
        keys: the keys, by name.
        client_secret: secret of the application.
        federated_token: the token of a workload that the application is federated with.
        tokens: access tokens that were given.
    """

    def __init__(self, *, clock: Clock | None = None, **more: Any) -> None:
        del clock
        self.keys: dict[str, AzureKey] = {}
        self.client_secret, self.federated_token = "client-secret", "header.payload.signature"  # noqa: S105 - its own
        self.tokens: list[str] = []
        super().__init__(**more)

    def add(self, name: str, kind: str, *versions: str, **members: Any) -> AzureKey:
        """Store a new key with these versions; one by default."""
        key = AzureKey(kind, **members)
        for version in versions or (VERSION,):
            key.versions[version] = new_kms_key(kind, f"{name} {version}")
        self.keys[name] = key
        return key

    @property
    def secret(self) -> dict[str, bytes]:
        """The content of a Secret with the right credentials."""
        ids = {"tenantId": TENANT, "clientId": CLIENT, "clientSecret": self.client_secret}
        return {name: value.encode() for name, value in {**ids, "address": self.url, "authority": self.url}.items()}

    def respond(self, request: RecordedRequest) -> Answer:  # noqa: PLR0911 - as many ways to refuse
        if request.path.endswith("/oauth2/v2.0/token"):
            return self._log_in(request)
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _error(401, "Unauthorized")
        match = _PATH.fullmatch(request.path)
        query = dict(request.query)
        if match is None or query.get("api-version") != "7.4":
            return _error(400, "BadParameter")
        key = self.keys.get(match[1])
        if key is not None and match[2] == "versions":
            return self._list(match[1], key, int(query.get("skip", 0)))
        if key is None or match[2] not in key.versions:
            return _error(404, "KeyNotFound")
        kid = f"{self.url}/keys/{match[1]}/{match[2]}"
        if match[2] in key.disabled:
            return _error(403, "Forbidden")
        if match[3] is None:
            described = {"kid": kid, **_described(key, match[2])}
            return json_answer({"key": described, "attributes": _attributes(key, match[2])})
        return self._sign(kid, key, match[2], json.loads(request.body))

    def _list(self, name: str, key: AzureKey, skip: int) -> Answer:
        found = [
            {"kid": f"{self.url}/keys/{name}/{each}", "attributes": _attributes(key, each)} for each in key.versions
        ]
        rest = f"{self.url}/keys/{name}/versions?api-version=7.4&skip={skip + _PAGE}"
        return json_answer(
            {"value": found[skip : skip + _PAGE], "nextLink": rest if len(found) > skip + _PAGE else None}
        )

    def _sign(self, kid: str, key: AzureKey, version: str, asked: dict[str, Any]) -> Answer:
        if key.state:
            return _error(403, "Forbidden")
        private, algorithm = key.versions[version], asked["alg"]
        if (algorithm[:2] == "ES") != isinstance(private, ec.EllipticCurvePrivateKey):
            return _error(400, "BadParameter")
        signature = sign_digest(private, _decode(asked["value"]), pss=algorithm.startswith("PS"))
        if isinstance(private, ec.EllipticCurvePrivateKey):
            size = (private.key_size + 7) // 8
            signature = b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(signature))
        return json_answer({"kid": kid, "value": _encode(signature)})

    def _log_in(self, request: RecordedRequest) -> Answer:
        asked = dict(parse_qsl(request.body.decode()))
        asked = {name: value for name, value in asked.items() if name not in {"client_info", "claims"}}
        form = {"client_id": CLIENT, "scope": SCOPE, "grant_type": "client_credentials"}
        good = (
            {**form, "client_secret": self.client_secret},
            {**form, "client_assertion_type": _ASSERTION, "client_assertion": self.federated_token},
        )
        if request.path != f"/{TENANT}/oauth2/v2.0/token" or asked not in good:
            return json_answer({"error": "invalid_client", "error_description": "said in words"}, 401)
        self.tokens.append(f"eyJ.{len(self.tokens)}")
        return json_answer({"access_token": self.tokens[-1], "expires_in": 3600, "token_type": "Bearer"})


def _attributes(key: AzureKey, version: str) -> dict[str, Any]:
    enabled = not key.state and version not in key.disabled
    return {"enabled": enabled, "created": 1700000000 + list(key.versions).index(version), **key.attributes}


def _described(key: AzureKey, version: str) -> dict[str, Any]:
    private = key.versions[version]
    public = private.public_key() if isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else None
    more: dict[str, Any] = {"key_ops": list(key.operations)}
    if isinstance(public, ec.EllipticCurvePublicKey):
        size, numbers = (public.key_size + 7) // 8, public.public_numbers()
        more |= {"kty": "EC", "crv": "P-256K" if key.kind == "ECDSA secp256k1" else f"P-{public.key_size}"}
        more |= {"x": _encode(numbers.x.to_bytes(size, "big")), "y": _encode(numbers.y.to_bytes(size, "big"))}
    elif isinstance(public, rsa.RSAPublicKey):
        of_rsa = public.public_numbers()
        more |= {"kty": "RSA", "n": _encode(of_rsa.n.to_bytes(public.key_size // 8, "big")), "e": "AQAB"}
    return {**more, "kty": f"{more['kty']}-HSM" if key.hsm else more["kty"]}


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _error(status: int, code: str) -> Answer:
    return json_answer({"error": {"code": code, "message": "said in words"}}, status)
