"""Oracle Cloud Infrastructure Registry: the workload identity of the ServiceAccount, exchanged for a token.

The token of the ServiceAccount goes to the API server's address (`sealgate.cloud.oracle_workload`). The request that
the session signs goes to the listed registry alone, which answers with a token of its own.
Source: Container Registry API 20180419, GetAccessToken; the user name is that of Oracle's credential provider for OKE.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from sealgate.cloud.oracle import sign_request
from sealgate.cloud.oracle_workload import WorkloadIdentity
from sealgate.cloud.responses import Call, ask_object, text, whole_number
from sealgate.messages import quote
from sealgate.oracle_realms import REALM_DOMAINS
from sealgate.pull_credentials.interface import Issued
from sealgate.pull_credentials.settings import invalid
from sealgate.registry.credentials import Login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.pull_credentials.interface import CloudServices
    from sealgate.pull_credentials.settings import PlatformCredentials

_REGION = r"[a-z]{2}(?:-[a-z]{2,16}){1,3}-[0-9]{1,2}"
_DOMAINS = "|".join(sorted({re.escape(domain) for domain in REALM_DOMAINS.values()}))
#: By the key or the name of the region, or (the newer form) in the domain of its realm.
HOST: Final = re.compile(rf"(?:[a-z]{{3}}|{_REGION})\.ocir\.io|ocir\.{_REGION}\.oci\.(?:{_DOMAINS})")
_WHAT = "Oracle Cloud Infrastructure Registry"
_USERNAME = "BEARER_TOKEN"


def open_login(entry: PlatformCredentials, host: str, environ: Mapping[str, str]) -> OCIRLogin:
    """Return what logs in to a registry of Oracle Cloud; see `OpenLogin`. There are no parameters."""
    entry.permit(())
    if HOST.fullmatch(host) is None:
        raise invalid(entry.provider, f"{quote(host)} is not REGION.ocir.io or ocir.REGION.oci.oraclecloud.com")
    return OCIRLogin(host, WorkloadIdentity.of(environ, entry.token_file))


@dataclass(frozen=True, slots=True)
class OCIRLogin:
    """See `RegistryLogin`.

    Attributes:
        host: the registry.
        workload: opens sessions.
    """

    host: str
    workload: WorkloadIdentity

    token_services: ClassVar[frozenset[str]] = frozenset()
    identity: ClassVar[tuple[str, ...]] = ("workload",)
    who: ClassVar[str] = "the workload identity of the ServiceAccount"
    remedy: ClassVar[str] = (
        "use an enhanced cluster, and write an IAM policy that lets the workload (cluster, namespace, ServiceAccount) "
        "read repos"
    )

    def log_in(self, services: CloudServices, clock: Clock) -> Issued:
        """Ask for a token; see `RegistryLogin.log_in`."""
        session = self.workload.open_session(services)
        url = f"https://{self.host}/20180419/docker/token"
        headers = sign_request("GET", url, {"accept": "application/json"}, None, session, clock.now())
        answer = ask_object(services, Call("GET", url, headers, None, None, self.who), _WHAT)
        seconds = whole_number(answer, "expires_in", _WHAT)
        return Issued(Login(_USERNAME, text(answer, "token", _WHAT)), seconds)
