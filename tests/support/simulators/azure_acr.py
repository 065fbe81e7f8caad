"""Azure Container Registry's token exchange, and Microsoft Entra ID: every form is checked.

The requests of the official SDK pass it as well (`tests/pull_credentials/test_azure.py`).
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from sealgate.clocks import SystemClock
from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, RecordedRequest, encode, json_answer

if TYPE_CHECKING:
    from sealgate.clocks import Clock

REGISTRY = "shop1.azurecr.io"
TENANT, CLIENT = "11112222-3333-4444-5555-666677778888", "99990000-1111-2222-3333-444455556666"


class ACRSimulator(HTTPSimulator):
    """Both services at one address; see `HTTPSimulator` for faults, TLS and recorded requests.

    Attributes:
        federated_token: the token of the workload.
        tokens: access tokens that Entra ID gave.
        lifetime: seconds that refresh tokens are valid.
        refresh_token: what the registry issues; None for a JWT.
    """

    def __init__(self, *, clock: Clock | None = None, **more: Any) -> None:
        self.clock = clock or SystemClock()
        self.federated_token = "header.payload.signature"  # noqa: S105 - of the simulator
        self.tokens: list[str] = []
        self.lifetime = 3 * 3600
        self.refresh_token: str | None = None
        super().__init__(**more)

    def respond(self, request: RecordedRequest) -> Answer:
        asked = dict(parse_qsl(request.body.decode()))
        if request.method == "POST" and request.path == f"/{TENANT}/oauth2/v2.0/token":
            return self._log_in(asked)
        if request.method == "POST" and (request.path, *request.query) == (
            "/oauth2/exchange",
            ("api-version", "2021-07-01"),
        ):
            return self._exchange(asked)
        return Answer(404)

    def issue(self) -> str:
        """Return a refresh token: a JWT with an end."""
        claims = {"exp": int(self.clock.now().timestamp()) + self.lifetime, "aud": REGISTRY}
        parts = ({"alg": "RS256"}, claims, "signature")
        return ".".join(urlsafe_b64encode(encode(part)).rstrip(b"=").decode() for part in parts)

    def _log_in(self, asked: dict[str, str]) -> Answer:
        wanted = {
            "client_id": CLIENT,
            "scope": "https://containerregistry.azure.net/.default",
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.federated_token,
        }
        if asked != wanted:
            return json_answer({"error": "invalid_client", "error_description": "said in words"}, 401)
        self.tokens.append(f"entra-{len(self.tokens)}")
        return json_answer({"access_token": self.tokens[-1], "expires_in": 3600, "token_type": "Bearer"})

    def _exchange(self, asked: dict[str, str]) -> Answer:
        token = asked.pop("access_token", "")
        if asked != {"grant_type": "access_token", "service": REGISTRY} or token not in self.tokens:
            return json_answer({"errors": [{"code": "UNAUTHORIZED", "message": "said in words"}]}, 401)
        return json_answer({"refresh_token": self.issue() if self.refresh_token is None else self.refresh_token})
