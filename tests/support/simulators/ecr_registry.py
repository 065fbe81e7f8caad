"""A private registry of Amazon ECR, with ECR's API and STS: each has its real name, all at one address."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from tests.support.simulators.aws_ecr import REGISTRY, ECRSimulator
from tests.support.simulators.aws_kms import REGION
from tests.support.simulators.http_messages import Answer, registry_error
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.simulators.http_messages import RecordedRequest

STS, API = f"sts.{REGION}.amazonaws.com", f"api.ecr.{REGION}.amazonaws.com"
#: A registry of another account.
OTHER = f"222233334444.dkr.ecr.{REGION}.amazonaws.com"
NAMES = (REGISTRY, OTHER, STS, API)


class _API(ECRSimulator):
    """API and STS, which has an issuer of tokens decide.

    Args:
        trusts: whether the role trusts a token.
    """

    def __init__(self, trusts: Callable[[str], bool]) -> None:
        self._trusts = trusts
        super().__init__()

    def trusts(self, token: str) -> bool:
        return self._trusts(token)


class ECRRegistrySimulator(RegistrySimulator):
    """The registry of two accounts; see `RegistrySimulator`.

    It takes the passwords that its API has issued, as `AWS`, and nothing else.

    Args:
        trusts: whether the role trusts a web identity token.
        server: the arguments of `RegistrySimulator`.

    Attributes:
        api: API and STS, with the check of each signature.
    """

    def __init__(self, trusts: Callable[[str], bool], **server: Any) -> None:
        self.api = _API(trusts)
        super().__init__(**server)

    def close(self) -> None:
        """Stop serving."""
        super().close()
        self.api.close()

    def respond(self, request: RecordedRequest) -> Answer:
        host = request.headers["host"]
        if host in {STS, API}:
            return self.api.respond(request)
        given = request.headers.get("authorization", "")
        if host != REGISTRY or given not in [f"Basic {_basic(password)}" for password in self.api.passwords]:
            answer = registry_error(401, "UNAUTHORIZED")
            answer.headers["WWW-Authenticate"] = f'Basic realm="https://{host}/",service="ecr.amazonaws.com"'
            return answer
        return super().respond(request)


def _basic(password: str) -> str:
    return b64encode(f"AWS:{password}".encode()).decode()
