from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import InvalidWorkloadError, UnavailableError
from sealgate.references import parse_repository
from sealgate.workloads.kinds import BUILT_IN
from sealgate_webhook.backends.cluster.pull_secrets import (
    MAX_QUICK,
    MAX_SECRETS,
    TTL_SECONDS,
    ClusterCredentials,
    SecretReader,
    SharedSecret,
)
from sealgate_webhook.reviews.request import AdmissionRequest
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator

if TYPE_CHECKING:
    import io

    from structlog.typing import FilteringBoundLogger

    from sealgate.kubernetes.client import KubernetesAPI

REPOSITORY = parse_repository("registry.example.org/team/app")


def put_secret(cluster: KubernetesSimulator, namespace: str, name: str, username: str, **data: str) -> None:
    auth = base64.b64encode(f"{username}:secret".encode()).decode()
    config = json.dumps({"auths": {"registry.example.org": {"auth": auth}}})
    content = data or {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
    cluster.put(f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": name}, "data": content})


def request(namespace: str = "shop", kind: str = "Pod", **spec: Any) -> AdmissionRequest:
    return AdmissionRequest(
        uid="1",
        group="" if kind == "Pod" else "apps",
        kind=kind,
        subresource="",
        namespace=namespace,
        name="app",
        operation="CREATE",
        object={"spec": spec if kind == "Pod" else {"template": {"spec": spec}}},
        old_object=None,
        dry_run=False,
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reader(api: KubernetesAPI, clock: FakeClock, log: FilteringBoundLogger) -> SecretReader:
    return SecretReader(api, clock, log)


@pytest.fixture
def credentials(reader: SecretReader) -> ClusterCredentials:
    shared = SharedSecret(reader, "sealgate", "registries")
    return ClusterCredentials(reader, shared, pull_secrets=True, kinds=BUILT_IN)


def username(credentials: ClusterCredentials, review: AdmissionRequest) -> str | None:
    return next(iter(usernames(credentials, review)), None)


def usernames(credentials: ClusterCredentials, review: AdmissionRequest) -> list[str]:
    found = credentials.provider(review).candidates(REPOSITORY)
    return [candidate.credentials.username for candidate in found]


def test_a_pods_own_pull_secrets_are_used_in_their_order(
    cluster: KubernetesSimulator, credentials: ClusterCredentials
) -> None:
    put_secret(cluster, "shop", "one", "first")
    put_secret(cluster, "shop", "two", "second")
    names = [{"name": "absent"}, {"name": "two"}, {"name": "one"}]
    assert username(credentials, request(imagePullSecrets=names)) == "second"


def test_default_pull_secrets_are_those_of_the_service_account(
    cluster: KubernetesSimulator, credentials: ClusterCredentials
) -> None:
    put_secret(cluster, "shop", "pull", "account")
    for name in ("default", "builder"):
        cluster.put(
            "/api/v1/namespaces/shop/serviceaccounts",
            {"metadata": {"name": name}, "imagePullSecrets": [{"name": "pull"}] if name == "builder" else []},
        )
    assert username(credentials, request(kind="Deployment", serviceAccountName="builder")) == "account"
    assert username(credentials, request(kind="Deployment")) is None
    assert username(credentials, request(serviceAccountName="absent")) is None


def test_shared_secret_is_used_last(cluster: KubernetesSimulator, credentials: ClusterCredentials) -> None:
    put_secret(cluster, "sealgate", "registries", "shared")
    assert username(credentials, request()) == "shared"
    put_secret(cluster, "shop", "own", "own")
    assert username(credentials, request(imagePullSecrets=[{"name": "own"}])) == "own"


def test_pull_secrets_of_other_namespaces_than_the_listed_ones_are_not_read(
    cluster: KubernetesSimulator, reader: SecretReader
) -> None:
    credentials = ClusterCredentials(reader, None, pull_secrets=("shop",), kinds=BUILT_IN)
    for namespace in ("shop", "sealgate-signing"):
        put_secret(cluster, namespace, "own", namespace)
    names = [{"name": "own"}]
    assert username(credentials, request(imagePullSecrets=names)) == "shop"
    seen = len(cluster.requests)
    assert username(credentials, request("sealgate-signing", imagePullSecrets=names)) is None
    assert len(cluster.requests) == seen


def test_all_credentials_are_candidates_the_longest_path_first(
    cluster: KubernetesSimulator, credentials: ClusterCredentials
) -> None:
    put_secret(cluster, "sealgate", "registries", "shared")
    put_secret(cluster, "shop", "one", "first")
    config = json.dumps({"auths": {"registry.example.org/team": {"username": "team", "password": "secret"}}})
    put_secret(cluster, "shop", "two", "", **{".dockerconfigjson": base64.b64encode(config.encode()).decode()})
    review = request(imagePullSecrets=[{"name": "one"}, {"name": "two"}])
    assert usernames(credentials, review) == ["team", "first", "shared"]


def test_cached_credentials_are_known_without_a_read(
    cluster: KubernetesSimulator, credentials: ClusterCredentials, clock: FakeClock
) -> None:
    cluster.put(
        "/api/v1/namespaces/shop/serviceaccounts",
        {"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "pull"}]},
    )
    put_secret(cluster, "shop", "pull", "account")
    provider = credentials.provider(request())
    read = provider.candidates(REPOSITORY)
    requests = len(cluster.requests)
    assert credentials.provider(request()).cached(REPOSITORY) == read
    clock.advance(TTL_SECONDS)
    assert credentials.provider(request()).cached(REPOSITORY) is None
    assert len(cluster.requests) == requests


@pytest.mark.parametrize(("entries", "from_memory"), [(MAX_QUICK, True), (MAX_QUICK + 1, False)])
@pytest.mark.parametrize("key", ["*.example.org/{}", "registry.example.org/{}"])
def test_many_entries_are_not_compared_for_a_caller_that_must_not_wait(
    cluster: KubernetesSimulator, credentials: ClusterCredentials, key: str, entries: int, *, from_memory: bool
) -> None:
    put_secret(cluster, "sealgate", "registries", "shared")
    auths = {key.format(f"team{number}"): {"username": "robot", "password": "x"} for number in range(entries - 1)}
    auths |= {f"other{number}.example.org": {"username": "robot", "password": "x"} for number in range(MAX_QUICK)}
    config = json.dumps({"auths": auths | {key.format("team"): {"username": "team", "password": "x"}}}).encode()
    put_secret(cluster, "shop", "one", "", **{".dockerconfigjson": base64.b64encode(config).decode()})
    review = request(imagePullSecrets=[{"name": "one"}])
    assert sorted(usernames(credentials, review)) == ["shared", "team"]
    assert (credentials.provider(review).cached(REPOSITORY) is not None) is from_memory


def test_secret_that_is_named_several_times_counts_once(
    cluster: KubernetesSimulator, credentials: ClusterCredentials
) -> None:
    put_secret(cluster, "shop", "one", "first")
    put_secret(cluster, "shop", "two", "second")
    names = [{"name": "one"}] * MAX_SECRETS + [{"name": "two"}]
    cluster.put("/api/v1/namespaces/shop/serviceaccounts", {"metadata": {"name": "default"}, "imagePullSecrets": names})
    assert usernames(credentials, request(imagePullSecrets=names)) == ["first", "second"]
    assert usernames(credentials, request()) == ["first", "second"]


def test_unreadable_entry_affects_only_itself_and_is_named(
    cluster: KubernetesSimulator, credentials: ClusterCredentials, output: io.StringIO
) -> None:
    auths = {
        "broken.example.org": {"auth": "!"},
        "gone.example.org": None,
        "registry.example.org": {"auth": "dXU6cHA"},
    }
    config = json.dumps({"auths": auths})
    put_secret(cluster, "shop", "pull", "", **{".dockerconfigjson": base64.b64encode(config.encode()).decode()})
    assert username(credentials, request(imagePullSecrets=[{"name": "pull"}])) == "uu"
    (line,) = [json.loads(line) for line in output.getvalue().splitlines()]
    assert line["msg"] == "pull secret has invalid entries"
    assert (line["namespace"], line["secret"], line["entries"]) == ("shop", "pull", ["broken.example.org"])


def test_secrets_are_read_only_when_a_registry_needs_them(
    cluster: KubernetesSimulator, credentials: ClusterCredentials
) -> None:
    provider = credentials.provider(request(imagePullSecrets=[{"name": "own"}]))
    assert provider.cached(REPOSITORY) is None
    assert cluster.requests == []


def test_secrets_are_cached_briefly(
    cluster: KubernetesSimulator, credentials: ClusterCredentials, clock: FakeClock
) -> None:
    put_secret(cluster, "shop", "own", "before")
    review = request(imagePullSecrets=[{"name": "own"}])
    assert username(credentials, review) == "before"
    put_secret(cluster, "shop", "own", "after")
    assert username(credentials, review) == "before"
    clock.advance(TTL_SECONDS)
    assert username(credentials, review) == "after"
    assert [seen.path.rpartition("/")[2] for seen in cluster.requests] == ["own", "registries"] * 2


@pytest.mark.parametrize(
    "data", [{".dockerconfigjson": "!"}, {".dockerconfigjson": base64.b64encode(b"[]").decode()}, {"other": ""}]
)
def test_secret_without_a_docker_config_is_skipped(
    cluster: KubernetesSimulator, credentials: ClusterCredentials, data: dict[str, str]
) -> None:
    put_secret(cluster, "shop", "broken", "", **data)
    put_secret(cluster, "shop", "good", "good")
    names = [{"name": "broken"}, {"name": "good"}, "rubbish", {"name": 1}]
    assert username(credentials, request(imagePullSecrets=names)) == "good"


def test_unreachable_api_server_makes_the_image_unavailable(
    cluster: KubernetesSimulator, credentials: ClusterCredentials
) -> None:
    cluster.faults.append(Fault("GET", "secrets", 500))
    with pytest.raises(UnavailableError):
        username(credentials, request(imagePullSecrets=[{"name": "own"}]))


def test_an_object_without_a_pod_spec_is_refused(credentials: ClusterCredentials) -> None:
    with pytest.raises(InvalidWorkloadError):
        credentials.provider(AdmissionRequest("1", "", "Pod", "", "shop", "app", "CREATE", {}, None, dry_run=False))
