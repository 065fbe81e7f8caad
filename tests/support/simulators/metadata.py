"""Metadata services of clouds at one address: they check the headers that each of them demands."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sealgate.clocks import SystemClock
from sealgate.http.connections import Connection
from sealgate.http.metadata import MetadataClient
from sealgate.http.urls import Origin
from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, RecordedRequest, json_answer

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.http.connections import Guard


#: What a managed identity gets tokens for: registries, key vaults and managed HSMs.
RESOURCES = tuple(
    f"https://{name}" for name in ("containerregistry.azure.net", "vault.azure.net", "managedhsm.azure.net")
)


class MetadataSimulator(HTTPSimulator):
    """EKS Pod Identity, Google's, Azure's and Huawei's metadata service; see `HTTPSimulator`.

    Attributes:
        token: what the agent of EKS demands.
        access_key: what the agent of EKS answers.
        bearer: the token that the others answer.
        flavor: the header of Google's answers.
        lifetime: seconds for which all of it is valid.
        dialed: the address of every connection.
    """

    def __init__(self, *, clock: Clock | None = None, **more: Any) -> None:
        self.clock = clock or SystemClock()
        self.token = "pod.identity.token"  # noqa: S105 - of the simulator
        self.access_key = ("ASIAPOD", "secret-of-pod", "session/of+pod==")
        self.bearer = "from-metadata"
        self.flavor = "Google"
        self.lifetime = 3600
        self.dialed: list[tuple[str, int]] = []
        super().__init__(**more)

    def client(self) -> MetadataClient:
        """Return a client whose connections end here."""
        return MetadataClient(self._connect)

    def _connect(self, origin: Origin, guard: Guard) -> Connection:
        self.dialed.append((origin.host, origin.port))
        connection = Connection(Origin("http", "127.0.0.1", self.port), ("127.0.0.1",), guard)
        connection.connect()
        return connection

    def respond(self, request: RecordedRequest) -> Answer:
        known = {
            ("169.254.170.23", "/v1/credentials"): self._agent,
            ("[fd00:ec2::23]", "/v1/credentials"): self._agent,
            ("169.254.169.254", "/computeMetadata/v1/instance/service-accounts/default/token"): self._google,
            ("169.254.169.254", "/metadata/identity/oauth2/token"): self._azure,
            ("169.254.169.254", "/openstack/latest/securitykey"): self._huawei,
        }
        answer = known.get((request.headers["host"], request.path))
        return Answer(404) if answer is None or request.method != "GET" else answer(request)

    def _agent(self, request: RecordedRequest) -> Answer:
        if request.headers.get("authorization") != self.token:
            return json_answer({"code": "AccessDenied", "message": "said in words"}, 401)
        key, secret, token = self.access_key
        return json_answer({"AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "Expiration": self._end("")})

    def _google(self, request: RecordedRequest) -> Answer:
        if request.headers.get("metadata-flavor") != "Google" or "x-forwarded-for" in request.headers:
            return Answer(403)
        answer = json_answer({"access_token": self.bearer, "expires_in": self.lifetime, "token_type": "Bearer"})
        answer.headers["Metadata-Flavor"] = self.flavor
        return answer

    def _huawei(self, request: RecordedRequest) -> Answer:
        del request
        key, secret, token = self.access_key
        found = {"access": key, "secret": secret, "securitytoken": token, "expires_at": self._end(".000000")}
        return json_answer({"credential": found})

    def _azure(self, request: RecordedRequest) -> Answer:
        asked = dict(request.query)
        known = asked.get("api-version") == "2018-02-01" and asked.get("resource") in RESOURCES
        if request.headers.get("metadata") != "true" or not known:
            return Answer(400)
        # All members are text, as Azure has them.
        return json_answer({"access_token": self.bearer, "expires_in": str(self.lifetime), "token_type": "Bearer"})

    def _end(self, fraction: str) -> str:
        return (self.clock.now() + timedelta(seconds=self.lifetime)).strftime(f"%Y-%m-%dT%H:%M:%S{fraction}Z")
