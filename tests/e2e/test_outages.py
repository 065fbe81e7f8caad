"""Nothing that a client, a registry or a tenant does keeps another tenant's signed pods from being admitted in time.

In each test a neighbour creates pods meanwhile: of an image that has been verified, and of images that have not. Each
of them is admitted within the timeout of the webhook configuration, after which the API server refuses a pod.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import secrets
import select
import statistics
import string
import time
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice, product
from typing import TYPE_CHECKING

import pytest
import urllib3

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.admission_load import AdmissionLoad
from tests.e2e.attackers import Address, Flood, SilentClients, SilentHosts
from tests.e2e.clusters import require_machine
from tests.e2e.images import CONFIG, MANIFEST, Image, PlainRegistry
from tests.e2e.kube import api, apply, eventually, kubectl
from tests.e2e.objects import pod, policy
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

#: Images that are verified for the first time during each outage, and the seconds between two of them. Together they
#: last longer than the timeout of the webhook configuration.
FIRST, PACE = 6, 2.0
#: Seconds after which the kubelet counts a probe as failed, as the chart says.
PROBE_SECONDS = 5.0
#: The first bytes of a ClientHello, whose others never follow.
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
#: Size of a large review; a little more is refused unread.
REVIEW_BYTES = (7 << 20) - 1024
SILENT_ZONE = "silent.test"


#: A replica that closes a connection in the middle of a call leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A tenant that creates pods of signed images.

    Attributes:
        team: its namespace.
        known: an image that has been verified.
        new: images that have not.
    """

    team: Team
    known: Image
    new: Iterator[Image]

    def expect_served(self, outage: str) -> None:
        """Create pods for some seconds, and expect that all are admitted and that no replica starts again."""
        begin = time.monotonic()
        with AdmissionLoad(self.team.name, self.known.tagged) as load:
            first = [self._create(next(self.new)) for _ in range(FIRST)]
        known = sorted(load.latencies)
        print(  # noqa: T201 - figures for the log
            f"\n{outage}: {len(known)} pods of a verified image took {statistics.median(known):.3f} s (median), "
            f"{known[len(known) * 99 // 100]:.3f} s (99 %), {known[-1]:.3f} s (longest); "
            f"the others {', '.join(f'{seconds:.3f}' for seconds, _ in first)} s"
        )
        assert load.failures == []
        assert [message for _, message in first if message] == []
        assert _starts(time.monotonic() - begin) == 0

    def _create(self, image: Image) -> tuple[float, str]:
        """Create a pod and return the seconds that took, and the message if it failed."""
        time.sleep(PACE)  # the pace of the tenant
        begin = time.monotonic()
        response = api().send("POST", f"/api/v1/namespaces/{self.team.name}/pods?dryRun=All", pod("new", image.tagged))
        return time.monotonic() - begin, "" if response.ok else str(response.document.get("message"))


@pytest.fixture(scope="module")
def neighbour(new_module_team: Callable[[], Team], samples: SampleImages, repository: str) -> Neighbour:
    """A tenant with images that were signed before anything happens."""
    team, key = new_module_team(), new_key("EC_P256")
    team.require_signature({"pem": public_pem(key)}, probe=samples.unsigned.tagged)
    registry, (host, _, folder) = PlainRegistry(release.REGISTRY), repository.partition("/")
    path = f"{folder}/neighbour"
    config = {"mediaType": CONFIG, "size": 2, "digest": registry.push_blob(path, b"{}")}

    def push(number: int) -> Image:
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
        body = json.dumps({**manifest, "annotations": {"number": str(number)}}).encode()
        digest = registry.push_manifest(path, f"v{number}", body)
        push_classic(registry, path, Classic(digest, key))
        return Image(f"{host}/{path}:v{number}", digest)

    known = push(0)
    team.wait_for_decision(known.tagged, admitted=True)
    return Neighbour(team, known, iter([push(number) for number in range(1, 64)]))


@pytest.fixture(scope="module")
def four() -> Iterator[SilentHosts]:
    """Registries that do not answer."""
    yield from _silent_hosts(4)


@pytest.fixture(scope="module")
def eight() -> Iterator[SilentHosts]:
    """Other registries that do not answer."""
    yield from _silent_hosts(8)


def _silent_hosts(count: int) -> Iterator[SilentHosts]:
    hosts = SilentHosts(require_machine().address, count)
    yield hosts
    hosts.close()


@pytest.fixture(scope="module")
def attacker(new_module_team: Callable[[], Team], samples: SampleImages, four: SilentHosts, eight: SilentHosts) -> Team:
    """A tenant whose policy covers everything; it names the silent registries, whose addresses are private."""
    team = new_module_team()
    team.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
    obj = policy(team.name, team.authenticators, team.name)
    obj["spec"]["images"] += [{"repository": f"{host}/**"} for host in (*four.hosts, *eight.hosts)]
    apply(obj).checked()
    return team


@pytest.fixture
def replicas() -> list[Address]:
    """Addresses of the webhook's replicas."""
    return _addresses("webhook", 8443)


def _addresses(component: str, port: int) -> list[Address]:
    return [(found["status"]["podIP"], port) for found in release.pods(component)]


def _starts(seconds: float) -> int:
    """Return how often the webhook has begun to serve lately; its worker can start again without the container."""
    select = ("-l", "app.kubernetes.io/component=webhook")
    since = f"--since={math.ceil(seconds)}s"
    return kubectl("-n", NAMESPACE, "logs", *select, since, "--tail=-1").checked().out.count('"msg": "reviews served"')


def _posts(replicas: list[Address], path: str, body: Callable[[int], bytes]) -> Callable[[int], None]:
    """Return a call that posts a body to one of the replicas, in turn, and waits for any response."""
    pools = [
        urllib3.HTTPSConnectionPool(
            *replica, maxsize=128, cert_reqs="CERT_NONE", assert_hostname=False, timeout=30, retries=False
        )
        for replica in replicas
    ]
    headers = {"Content-Type": "application/json"}

    def post(number: int) -> None:
        # A replica may close the connection instead.
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            pools[number % len(pools)].request("POST", f"{path}?timeout=10s", body=body(number), headers=headers)

    return post


def _pods(replicas: list[Address], team: Team, *images: str) -> Callable[[int], None]:
    """Return a call that has a replica review a pod with images, in which {digest} and {name} stand for random text."""

    def body(_: int) -> bytes:
        found = [image.format(digest=secrets.token_hex(32), name=secrets.token_hex(8)) for image in images]
        containers = [{"name": f"c-{index}", "image": image} for index, image in enumerate(found)]
        return _review(pod("attack", "", containers=containers), {"version": "v1", "kind": "Pod"}, team.name)

    return _posts(replicas, "/validate", body)


def _review(obj: Object, kind: Object, namespace: str = "", user: str = "attacker") -> bytes:
    request = {"uid": "1", "kind": {"group": "", **kind}, "operation": "CREATE", "userInfo": {"username": user}}
    request |= {"namespace": namespace, "object": obj}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(review, separators=(",", ":")).encode()


def _dear_policy(patterns: int) -> Object:
    """Return a policy whose patterns have many alternatives."""
    options = ",".join("".join(pair) for pair in islice(product(string.ascii_lowercase, repeat=2), 128))
    obj: Object = policy("dear", ["release"], None)
    obj["spec"]["images"] = [
        {"repository": f"registry.example.org/{number}{{{options}}}x*x*"} for number in range(patterns)
    ]
    return obj


def test_attack_50_half_open_tls_handshakes_hold_up_no_pod(neighbour: Neighbour, replicas: list[Address]) -> None:
    with SilentClients(replicas, 256, HALF_A_HELLO):
        neighbour.expect_served("256 half-open TLS handshakes")


def test_attack_50_thousands_of_connections_hold_up_no_pod(neighbour: Neighbour, replicas: list[Address]) -> None:
    with SilentClients(replicas, 2250):
        neighbour.expect_served("2,250 connections")


def test_attack_51_silent_registries_hold_up_no_pod(
    neighbour: Neighbour, replicas: list[Address], attacker: Team, four: SilentHosts
) -> None:
    calls = [_pods(replicas, attacker, f"{host}/app@sha256:{{digest}}") for host in four.hosts]
    with Flood(256, lambda number: calls[number // 2 % 4](number)):
        four.wait_for_clients()
        neighbour.expect_served("four silent registries")


def test_attack_51_one_pod_of_silent_hosts_holds_up_no_pod(
    neighbour: Neighbour, replicas: list[Address], attacker: Team, eight: SilentHosts
) -> None:
    images = [f"{host}/app-{number}:1" for number in range(32) for host in eight.hosts]
    with Flood(2, _pods(replicas, attacker, *images)):
        eight.wait_for_clients()
        neighbour.expect_served("one pod of eight silent hosts in each replica")


@pytest.fixture
def silent_names() -> Iterator[Callable[[], bool]]:
    """A zone whose name server does not answer; the result says whether it has been asked."""
    server = require_machine().silence_zone(SILENT_ZONE)
    yield lambda: bool(select.select([server], (), (), 0)[0])
    server.close()


def test_attack_52_silent_names_hold_up_no_pod(
    neighbour: Neighbour, replicas: list[Address], attacker: Team, silent_names: Callable[[], bool]
) -> None:
    images = [f"{{name}}-{number}.{SILENT_ZONE}/app:1" for number in range(4)]
    with Flood(64, _pods(replicas, attacker, *images)):
        eventually(silent_names, "a silent name has been looked up")
        neighbour.expect_served("128 silent names in each replica")


@pytest.mark.parametrize(("threads", "patterns"), [(2, 64), (128, 16)], ids=["one-of-27-KB", "64-of-7-KB"])
def test_attack_54_dear_policies_hold_up_no_pod(
    neighbour: Neighbour, replicas: list[Address], threads: int, patterns: int
) -> None:
    obj, kind = _dear_policy(patterns), {"group": "sealgate.dev", "version": "v1alpha1", "kind": "VerificationPolicy"}
    bodies = [_review(obj, kind, user=f"user-{number}") for number in range(8)]
    with Flood(threads, _posts(replicas, "/validate-policies", lambda number: bodies[number % 8])):
        neighbour.expect_served(f"{threads // 2} policies of {len(bodies[0]) >> 10} KB in each replica")


def test_attack_55_large_reviews_hold_up_no_pod(neighbour: Neighbour, replicas: list[Address]) -> None:
    filler = {"kind": "Pod", "metadata": {"annotations": [[]] * (REVIEW_BYTES // len("[],"))}}
    body = _review(filler, {"version": "v1", "kind": "Pod"})
    with Flood(8, _posts(replicas, "/validate", lambda _: body)):
        neighbour.expect_served("4 reviews of 7 MiB in each replica")


def test_attack_50_silent_clients_of_the_operator_starve_no_probe() -> None:
    operators = _addresses("operator", 8080)
    pool = urllib3.PoolManager(timeout=PROBE_SECONDS, retries=False)
    with SilentClients(operators, 16):
        for path, (host, port) in product(("/healthz", "/readyz") * 3, operators):
            headers = {"Connection": "close"}
            assert pool.request("GET", f"http://{host}:{port}{path}", headers=headers).status == HTTPStatus.OK


def test_attack_53_random_digests_hold_up_no_pod(
    neighbour: Neighbour, replicas: list[Address], attacker: Team, samples: SampleImages
) -> None:
    images = [f"{samples.unsigned.name}@sha256:{{digest}}"] * 10
    with Flood(64, _pods(replicas, attacker, *images)):
        neighbour.expect_served("random digests")
