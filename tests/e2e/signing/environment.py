"""Signing by policy on the cluster: a real docker-registry that reports pushes, services of keys and signatures."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import urllib3
from cryptography import x509

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.kube import api, apply, eventually, get, kubectl
from tests.e2e.objects import secret
from tests.e2e.servers import serve
from tests.support.real_tools.ports import port_of, reserve_port
from tests.support.real_tools.required import require_tool
from tests.support.signers.client_certificates import SERVER, ClientCA
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.grafeas import GrafeasSimulator
from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.huawei_dew import DEWSimulator
from tests.support.simulators.lookaside import LookasideSimulator
from tests.support.simulators.oci_vault import OCIVaultSimulator
from tests.support.simulators.ocir import OCIRSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.clusters import Machine
    from tests.e2e.kube import Object
    from tests.support.simulators.http_messages import RecordedRequest

SECRETS = f"{NAMESPACE}-signing"
REGISTRY = release.SIGNING
TOKEN = "e2e-token-of-the-registry"  # noqa: S105 - of a registry that lives as long as these tests
WORKER, EVENTS = "signing-worker", "signing-events"
#: Seconds until an image that was pushed is signed; the endpoint and the worker may have to catch up first, and repeat
#: what failed ever more rarely.
SECONDS = 240
#: States of a request whose image is signed: for the request, or by a resync that found it first.
SIGNED = {"Signed", "AlreadySigned"}
_CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{address}"}}
notifications:
  endpoints:
    - name: sealgate
      url: {url}
      headers: {{Authorization: [Bearer {token}]}}
      timeout: 500ms
      threshold: 3
      backoff: 1s
"""
#: The values that `values_for` replaces, as they were before.
DEFAULTS: Object = {
    "webhook": {"pullSecrets": {"enabled": True}},
    "cache": {"refusedSeconds": 30},
    "signing": {"enabled": False},
}


class RegistryFront(HTTPSimulator):
    """Passes requests on to a real registry, so that a test can hold responses back.

    Args:
        upstream: URL of the registry.
        more: arguments of `HTTPSimulator`.
    """

    def __init__(self, *, upstream: str, **more: Any) -> None:
        self._upstream = upstream
        self._pool = urllib3.PoolManager(maxsize=16, retries=False, timeout=60)
        super().__init__(**more)

    def respond(self, request: RecordedRequest) -> Answer:
        """Return the registry's response."""
        url = f"{self._upstream}{quote(request.path)}?{urlencode(request.query)}"
        answer = self._pool.request(
            request.method, url, body=request.body, headers=request.headers, redirect=False, decode_content=False
        )
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "transfer-encoding"}
        return Answer(answer.status, headers, answer.data)


@dataclass(frozen=True, slots=True)
class Services:
    """The services that hold keys and signatures.

    Attributes:
        lookaside: stores OpenPGP signatures.
        dew: keys of Huawei Cloud.
        grafeas: stores attestations.
        alibaba: keys of Alibaba Cloud.
        ocir: stores Oracle Cloud's records, and has the vault's API key.
        vault: keys of Oracle Cloud.
    """

    lookaside: LookasideSimulator
    dew: DEWSimulator
    grafeas: GrafeasSimulator
    alibaba: AlibabaKMSSimulator
    ocir: OCIRSimulator
    vault: OCIVaultSimulator

    def secrets(self) -> dict[str, tuple[Object, list[str]]]:
        """Return the content of each credential that signs, and the hosts that it may be sent to, by its Secret."""
        return {
            "release-dew": (self.dew.secret, [self.dew.host]),
            "release-grafeas": ({"token": self.grafeas.token.encode()}, [self.grafeas.host]),
            "release-ram": (self.alibaba.secret, [self.alibaba.host]),
            "release-api-key": (dict(self.vault.secret), [self.vault.host, self.ocir.host]),
        }


@dataclass(frozen=True, slots=True)
class Signing:
    """A registry whose pushes are signed by policy.

    Attributes:
        services: of keys and signatures.
        run: repository prefix of all images, different in each run.
        pem: the public key of the Secret `release-key`.
        keyring: the public key of the Secret `release-pgp`, armored.
        url: of the endpoint, without a path.
        registry: through which requests reach the registry.
    """

    services: Services
    run: str
    pem: str
    keyring: str
    url: str
    registry: RegistryFront

    @contextmanager
    def policy(self, name: str, **spec: Any) -> Iterator[str]:  # noqa: ANN401 - fields of a spec
        """Create a SigningPolicy, wait for its baseline, return the prefix of the repositories it is for; delete it."""
        prefix = f"{self.run}/{name}"
        apply(policy(name, prefix, **spec)).checked()
        try:
            eventually(lambda: ready(name), f"the policy {name} is Ready and has its baseline", SECONDS)
            yield prefix
        finally:
            kubectl("delete", "signingpolicy", name)


def policy(name: str, prefix: str, **spec: Any) -> Object:  # noqa: ANN401 - fields of a spec
    """Return a SigningPolicy for the repositories below a prefix; by default it signs like cosign, with a PEM key."""
    key = {"secretRef": {"name": "release-key", "key": "key.pem"}}
    fields = spec if "key" in spec else {"cosign": {}, "key": key, **spec}
    return {
        "apiVersion": "sealgate.dev/v1alpha1",
        "kind": "SigningPolicy",
        "metadata": {"name": name},
        "spec": {"images": [{"repository": f"{prefix}/*"}], **fields},
    }


def ready(name: str) -> bool:
    """Return whether a SigningPolicy is Ready and has its baseline, so that new images are signed."""
    found = api().send("GET", f"/apis/sealgate.dev/v1alpha1/signingpolicies/{name}").checked().document
    status = found.get("status", {})
    conditions = {item["type"]: item["status"] for item in status.get("conditions", [])}
    return conditions.get("Ready") == "True" and bool(status.get("baseline", {}).get("state") == "Recorded")


def states(prefix: str = "") -> dict[str, str]:
    """Return the state of the SigningRequests for repositories that begin with a prefix, by image."""
    path = f"/apis/sealgate.dev/v1alpha1/namespaces/{NAMESPACE}/signingrequests"
    found = api().send("GET", path).checked().document["items"]
    return {
        f"{item['spec']['repository']}:{item['spec']['tag']}": item.get("status", {}).get("state", "Waiting")
        for item in found
        if item["spec"]["repository"].startswith(prefix)
    }


def wait_until_signed(tagged: str) -> None:
    """Wait until the image of a SigningRequest is signed."""
    eventually(lambda: states().get(tagged) in SIGNED, f"{tagged} is signed", SECONDS)


@contextmanager
def services() -> Iterator[Services]:
    """Start the services."""
    with ExitStack() as stack:
        vault = stack.enter_context(serve(OCIVaultSimulator, "vault.test"))
        grafeas = stack.enter_context(serve(GrafeasSimulator, "grafeas.test"))
        grafeas.token = TOKEN
        yield Services(
            lookaside=stack.enter_context(serve(LookasideSimulator, "lookaside.test")),
            dew=stack.enter_context(serve(DEWSimulator, "dew.test")),
            grafeas=grafeas,
            alibaba=stack.enter_context(serve(AlibabaKMSSimulator, "alibaba-kms.test")),
            ocir=stack.enter_context(serve(OCIRSimulator, "ocir.test", api_key=vault.api_key)),
            vault=vault,
        )


def values_for(services: Services) -> Object:
    """Return the chart values with which signing is installed."""
    keys = [{"name": name} for name in ("release-key", "release-pgp", "release-delegation")]
    credentials = [{"name": name, "hosts": hosts} for name, (_, hosts) in services.secrets().items()]
    source = {"name": "main", "kind": "docker", "registry": REGISTRY, "auth": "bearer", "secretName": "e2e-events"}
    return {
        "webhook": {"pullSecrets": {"enabled": False}},
        # An image is refused before it is signed; the refusal must not be kept for long.
        "cache": {"refusedSeconds": 2},
        "signing": {
            "enabled": True,
            "secrets": keys + credentials,
            "events": {"enabled": True, "tlsSecret": "e2e-events-tls", "sources": [source]},
        },
    }


@contextmanager
def namespace_of_secrets(services: Services, keys: Object) -> Iterator[None]:
    """Create the namespace of the Secrets that sign, with credentials of the services and these keys by name."""
    contents = keys | {name: content for name, (content, _) in services.secrets().items()}
    kubectl("create", "namespace", SECRETS).checked()
    try:
        apply(*(secret(name, data, SECRETS) for name, data in contents.items())).checked()
        yield
    finally:
        kubectl("delete", "namespace", SECRETS, "--wait=false")


@contextmanager
def installed(services: Services, folder: Path, machine: Machine) -> Iterator[tuple[str, RegistryFront]]:
    """Install signing and start the registry, which reports its pushes to the endpoint of the URL that is returned."""
    ca, host = ClientCA("events"), "sealgate-events.test"
    bundle = ca.issue(folder, host, usages=(SERVER,), alternatives=[x509.DNSName(host)]).read_bytes()
    apply(secret("e2e-events-tls", {"tls.crt": bundle, "tls.key": bundle})).checked()
    release.upgrade(values_for(services))
    try:
        # They keep refusals for longer.
        release.wait_for_old_replicas()
        service = get("service", f"{release.NAME}-{EVENTS}", "-n", NAMESPACE)
        machine.add_host_name(host, service["spec"]["clusterIP"])
        url = f"https://{host}"
        with _registry(folder, f"{url}/events/main", ca) as registry:
            yield url, registry
    finally:
        kubectl("delete", "signingpolicies", "--all", "--ignore-not-found")
        release.upgrade(DEFAULTS)


@contextmanager
def _registry(folder: Path, url: str, ca: ClientCA) -> Iterator[RegistryFront]:
    (folder / "ca.pem").write_bytes(ca.pem)
    reservation = reserve_port()
    port = port_of(reservation)
    text = _CONFIG.format(folder=folder, address=f"127.0.0.1:{port}", url=url, token=TOKEN)
    (folder / "config.yml").write_text(text)
    process = subprocess.Popen(
        [require_tool("docker-registry"), "serve", str(folder / "config.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Go's TLS trusts the certificates of this file instead of the system's.
        env={**os.environ, "SSL_CERT_FILE": str(folder / "ca.pem")},
    )

    def listening() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        eventually(listening, "the registry listens")
        assert process.poll() is None, "the registry has ended; another process listens on its port"
        name, _, front_port = REGISTRY.partition(":")
        with serve(RegistryFront, name, int(front_port), upstream=f"http://127.0.0.1:{port}") as front:
            yield front
    finally:
        process.terminate()
        process.wait()
        reservation.close()
