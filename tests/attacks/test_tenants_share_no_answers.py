"""Attacks by one tenant on what the registry answered another: through a webhook, with pull secrets in a cluster."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.client.configuration import Configuration

from sealgate.http.settings import HostSettings
from sealgate.kubernetes.client import KubernetesAPI
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import MAX_ENTRIES
from sealgate.workloads.kinds import BUILT_IN
from sealgate_webhook.backends.cluster.pull_secrets import TTL_SECONDS, ClusterCredentials, SecretReader
from tests.attacks.test_webhook_admits_no_bare_tag import PATIENCE, wait_until
from tests.support.builders.objects import authenticator, policy
from tests.support.clocks import FakeClock
from tests.support.signers.cosign import Classic, push_classic
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import Auth
from tests.webhook.environment import WebhookEnvironment, open_environment, write_objects
from tests.webhook.objects import pod, review

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.simulators.http_messages import Answer
    from tests.webhook.environment import ReviewAnswer
    from tests.webhook.ways import Way

USERS = {"robot": "s3cret", "member": "pa55word"}


class Tenants:
    """A webhook in front of a private registry, and namespaces with pull secrets of their own.

    Args:
        world: the webhook and its registry.
        cluster: where the Secrets are.
        clock: clock of all parts.
    """

    def __init__(self, environment: WebhookEnvironment, cluster: KubernetesSimulator, clock: FakeClock) -> None:
        self.environment = environment
        self.clock = clock
        self.cluster = cluster
        api = KubernetesAPI(Configuration(host=cluster.url))
        reader = SecretReader(api, clock, environment.logger)
        environment.credential_source = ClusterCredentials(reader, None, pull_secrets=True, kinds=BUILT_IN)

    def put_secret(
        self, namespace: str, name: str, username: str, password: str | None = None, registry: str = "", **more: Any
    ) -> None:
        """Store a pull secret, by default for the world's registry; `more` are further members of its docker config."""
        entry = {"username": username, "password": password or USERS.get(username, "wrong")}
        config = json.dumps({"auths": {registry or self.environment.registry.host: entry}, **more})
        data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
        self.cluster.put(f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": name}, "data": data})

    def put_account(self, namespace: str, name: str, *secrets: str) -> None:
        account = {"metadata": {"name": name}, "imagePullSecrets": [{"name": secret} for secret in secrets]}
        self.cluster.put(f"/api/v1/namespaces/{namespace}/serviceaccounts", account)

    def validate(self, namespace: str, image: str, *secrets: str, account: str = "") -> ReviewAnswer:
        return self.environment.validate(_pod_review(namespace, image, secrets, account))

    def mutate(self, namespace: str, image: str, *secrets: str) -> ReviewAnswer:
        return self.environment.mutate(_pod_review(namespace, image, secrets, ""))

    @property
    def requests(self) -> int:
        """How many requests the registry has got."""
        return len(self.environment.registry.requests)


def _pod_review(namespace: str, image: str, secrets: tuple[str, ...], account: str) -> dict[str, Any]:
    document = pod(image)
    document["spec"]["imagePullSecrets"] = [{"name": name} for name in secrets]
    if account:
        document["spec"]["serviceAccountName"] = account
    request = review(document)
    request["request"]["namespace"] = namespace
    return request


@pytest.fixture(params=["basic", "bearer"])
def tenants(request: pytest.FixtureRequest, tmp_path: Path, way: Way) -> Iterator[Tenants]:
    with KubernetesSimulator() as cluster, open_environment(tmp_path, way) as environment:
        environment.clock = clock = FakeClock()
        environment.registry.auth = Auth(request.param, users=USERS)
        yield Tenants(environment, cluster, clock)


@pytest.fixture
def shop(tenants: Tenants) -> Tenants:
    """Tenants of which `shop` has a pull secret and `evil` has none."""
    tenants.put_secret("shop", "pull", "robot")
    return tenants


def test_attack_47_tag_resolved_by_another_tenant_is_not_pinned(shop: Tenants) -> None:
    image = shop.environment.sign("team/app", "v1")
    assert "patch" in shop.mutate("shop", image, "pull").response
    answer = shop.mutate("evil", image)
    assert "patch" not in answer.response
    assert shop.environment.digest("team/app", "v1") not in json.dumps(answer.response)


@pytest.mark.parametrize("tag", ["v1", None])
def test_attack_47_verdict_on_a_private_image_needs_read_access(shop: Tenants, tag: str | None) -> None:
    image = shop.environment.sign("team/app", tag)
    before = shop.validate("evil", image)
    for _ in range(3):
        assert shop.validate("shop", image, "pull").allowed
    for _ in range(3):
        after = shop.validate("evil", image)
        assert not after.allowed
        # Whether another tenant uses the image changes nothing in the answer.
        assert (after.code, after.message) == (before.code, before.message)
    assert before.code == 503


def test_attack_47_answer_does_not_reveal_private_images(shop: Tenants) -> None:
    there = shop.environment.sign("team/app", "v1")
    unsigned = shop.environment.push("team/app", "v2")
    for image in (there, unsigned):
        for _ in range(2):
            shop.validate("shop", image, "pull")
    absent = shop.environment.reference("team/app", "v3", shop.environment.registry.push_image("team/other", "v1"))
    messages = {shop.validate("evil", image).message.replace(image, "IMAGE") for image in (there, unsigned, absent)}
    assert len(messages) == 1


def test_attack_47_wrong_password_gets_no_cached_answer(shop: Tenants) -> None:
    image = shop.environment.sign("team/app", "v1")
    for _ in range(2):
        assert shop.validate("shop", image, "pull").allowed
    shop.put_secret("evil", "pull", "robot", "a guess")
    assert not shop.validate("evil", image, "pull").allowed


def test_attack_47_one_tenants_refusal_is_not_anothers(shop: Tenants) -> None:
    image = shop.environment.sign("team/app", "v1")
    shop.put_secret("evil", "pull", "member")
    shop.environment.registry.faults.status(r"\.sig", 404)
    assert shop.validate("evil", image, "pull").code == 403
    shop.environment.registry.faults.clear()
    assert shop.validate("shop", image, "pull").allowed
    assert shop.validate("evil", image, "pull").code == 403


def test_attack_47_finding_is_shared_after_one_cached_head(shop: Tenants) -> None:
    image = shop.environment.sign("team/app", None)
    shop.put_secret("friend", "pull", "member")
    assert shop.validate("shop", image, "pull").allowed
    before = shop.requests
    for _ in range(5):
        assert shop.validate("friend", image, "pull").allowed
    heads = [request.method for request in shop.environment.registry.requests[before:] if "/manifests/" in request.path]
    assert heads == ["HEAD"]
    assert (
        shop.environment.metric("sealgate_verifications_total", format="cosign", outcome="verified", reason="Verified")
        == 1
    )


def test_attack_47_one_robot_account_costs_one_verification(shop: Tenants) -> None:
    image = shop.environment.sign("team/app", "v1")
    assert shop.validate("shop", image, "pull").allowed
    before = shop.requests
    for number in range(20):
        # The same account, in Secrets whose bytes differ.
        shop.put_secret(f"team-{number}", f"pull-{number}", "robot", HttpHeaders={"X-Team": str(number)})
        assert shop.validate(f"team-{number}", image, f"pull-{number}").allowed
    assert shop.requests == before


def test_attack_47_anonymous_answers_are_shared_by_all_tenants(shop: Tenants) -> None:
    shop.environment.registry.auth = Auth("none")
    image = shop.environment.sign("team/app", "v1")
    assert shop.validate("evil", image).allowed
    before = shop.requests
    assert shop.validate("shop", image, "pull").allowed
    assert shop.requests == before
    # The registry asked for no credentials, so no Secret was read.
    assert not any("/secrets/" in request.path for request in shop.cluster.requests)


def test_attack_47_a_secret_that_changed_is_another_identity(shop: Tenants) -> None:
    image = shop.environment.sign("team/app", None)
    for _ in range(2):
        assert shop.validate("shop", image, "pull").allowed
    shop.put_secret("shop", "pull", "stranger")
    shop.clock.advance(TTL_SECONDS)
    assert shop.validate("shop", image, "pull").code == 503


def test_attack_48_two_pull_secrets_differ_from_one_joined_name(shop: Tenants) -> None:
    image = shop.environment.sign("team/app", "v1")
    shop.put_secret("shop", "a", "stranger")
    shop.put_secret("shop", "b", "robot")
    for _ in range(3):
        assert shop.validate("shop", image, "a", "b").allowed
        assert not shop.validate("shop", image, "a,b").allowed
        assert not shop.validate("shop", image, "b,a").allowed
    assert "patch" in shop.mutate("shop", image, "a", "b").response
    assert "patch" not in shop.mutate("shop", image, "a,b").response


def test_attack_48_pull_secret_differs_from_its_service_account(shop: Tenants) -> None:
    image = shop.environment.sign("team/app", "v1")
    shop.put_account("shop", "builder")
    shop.put_secret("shop", "builder", "robot")
    shop.put_account("shop", "robot", "builder")
    shop.put_secret("shop", "robot", "stranger")
    for _ in range(3):
        assert shop.validate("shop", image, "builder").allowed
        assert not shop.validate("shop", image, account="builder").allowed
        assert shop.validate("shop", image, account="robot").allowed
        assert not shop.validate("shop", image, "robot").allowed


class Signatures:
    """An open registry with images, and signatures in a private one that only `shop` has a pull secret for."""

    def __init__(self, tenants: Tenants, private: RegistrySimulator) -> None:
        self.tenants = tenants
        self.private = private
        environment = tenants.environment
        environment.registry.auth = Auth("none")
        release = authenticator("release", environment.key)
        release["spec"]["cosign"]["signatureRepository"] = f"{private.host}/signatures"
        write_objects(environment.folder, release, policy("all", f"{environment.registry.host}/**"))
        tenants.put_secret("shop", "pull", "robot", registry=private.host)
        # From here on, the credentials of both are in memory.
        image = self.sign("first")
        for _ in range(2):
            assert tenants.validate("shop", image, "pull").allowed
            tenants.validate("evil", image)

    def sign(self, name: str) -> str:
        environment = self.tenants.environment
        digest = environment.registry.push_image(f"team/{name}", None)
        push_classic(self.private, "signatures", Classic(digest, environment.key))
        return environment.reference(f"team/{name}", None, digest)

    def join(self, first: str, second: str, image: str) -> tuple[ReviewAnswer, ReviewAnswer]:
        """Have one tenant ask while the other's verification is under way; return both answers."""
        release = threading.Event()

        def wait(answer: Answer) -> Answer:
            release.wait(PATIENCE)
            return answer

        fault = self.private.faults.add(Fault(r"\.sig", wait, times=1))
        secrets = {"shop": ("pull",), "evil": ()}
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(self.tenants.validate, first, image, *secrets[first])
            assert fault.hit.wait(PATIENCE)
            joins = self._joins
            two = pool.submit(self.tenants.validate, second, image, *secrets[second])
            wait_until(lambda: self._joins > joins)
            release.set()
            return one.result(PATIENCE), two.result(PATIENCE)

    @property
    def _joins(self) -> float:
        return self.tenants.environment.metric("sealgate_single_flight_joins_total", work="finding")


@pytest.fixture
def signatures(tenants: Tenants) -> Iterator[Signatures]:
    with RegistrySimulator(auth=Auth("basic", users=USERS)) as private:
        hosts = frozenset({tenants.environment.registry.host, private.host})
        with RegistryClient(HostSettings(insecure=hosts), clock=tenants.clock) as client:
            tenants.environment.network = client
            yield Signatures(tenants, private)


def test_attack_47_refusal_in_flight_is_not_shared_with_a_tenant(signatures: Signatures) -> None:
    evil, shop = signatures.join("evil", "shop", signatures.sign("app"))
    assert (evil.allowed, shop.allowed) == (False, True)


def test_attack_47_answer_in_flight_is_not_shared_with_a_tenant(signatures: Signatures) -> None:
    image = signatures.sign("app")
    signatures.tenants.environment.registry.faults.status("/manifests/", 403)
    shop, evil = signatures.join("shop", "evil", image)
    assert (shop.allowed, evil.allowed) == (True, False)


def test_attack_51_pull_secret_of_many_entries_admits_its_own_tenant_only(tenants: Tenants) -> None:
    """Its entries are compared in workers, not in the event loop; what is cached is still for its callers only."""
    many = {f"*.example.org/{number}": {"username": "robot", "password": "wrong"} for number in range(MAX_ENTRIES - 1)}
    host = tenants.environment.registry.host.rsplit(".", 1)[0] + ".*:" + tenants.environment.registry.host.split(":")[1]
    config = json.dumps({"auths": many | {host: {"username": "robot", "password": USERS["robot"]}}})
    data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
    tenants.cluster.put("/api/v1/namespaces/shop/secrets", {"metadata": {"name": "pull"}, "data": data})
    images = [tenants.environment.sign(f"team/app{number}", "v1") for number in range(2)]
    for image in images:
        for _ in range(2):
            assert tenants.validate("shop", image, *["pull"] * 40).allowed
            assert not tenants.validate("evil", image).allowed
            tenants.clock.advance(TTL_SECONDS / 2)
