"""Attacks on the platform's identity as pull credentials: secrets that stray, are shared, leak, or make others wait."""

from __future__ import annotations

from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import ConfigError, ForbiddenAddressError, UnauthorizedError, UnavailableError
from sealgate.http.metadata import MetadataClient
from sealgate.pull_credentials.leases import MAX_BACKOFF, MIN_AGE, LoginLease
from sealgate.pull_credentials.opening import open_provider
from sealgate.pull_credentials.provider import PlatformCredentialProvider
from sealgate.pull_credentials.settings import PlatformCredentials
from sealgate.references import Repository, parse_reference
from sealgate.registry.callers import Caller
from sealgate.registry.credentials import CredentialChain, Credentials, Login
from sealgate.shared_cache.sealing import SealingKey
from sealgate.workloads.kinds import BUILT_IN
from sealgate_webhook.backends.cluster.config import Registries
from sealgate_webhook.backends.cluster.pull_secrets import ClusterCredentials
from tests.support.builders.objects import policy
from tests.support.clocks import FakeClock
from tests.support.environments.pull_credentials import ControlledLogin, Results, RoutedServices
from tests.support.environments.registry_clients import Names, client_for, login, repository_of, session_of
from tests.support.signers.cosign import Classic, push_classic
from tests.support.simulators.aws_ecr import REGISTRY
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.metadata import MetadataSimulator
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import Auth
from tests.webhook.environment import PATIENCE, open_environment
from tests.webhook.objects import pod, review

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sealgate.clocks import Clock
    from tests.webhook.environment import ReviewAnswer, WebhookEnvironment
    from tests.webhook.ways import Way

SECRET = "s3cr3t"
ROLE = "arn:aws:iam::111122223333:role/sealgate"


class Cloud:
    """A cloud's identity at registries, whose answers a test chooses."""

    def __init__(self, clock: Clock) -> None:
        self.login = ControlledLogin()
        self.results = Results()
        self.services = RoutedServices({}, clock)
        self._clock = clock

    def lease(self, host: str) -> LoginLease:
        return LoginLease(host, "aws", self.login, self.services, MetadataClient(), self._clock, self.results)

    def provider(self, *hosts: str) -> PlatformCredentialProvider:
        return PlatformCredentialProvider({host: (self.login.identity, self.lease(host)) for host in hosts})


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    # No time passes for a lease, however slow the machine is.
    cloud = Cloud(FakeClock())
    with cloud.services:
        yield cloud
        cloud.login.gate.set()


@pytest.fixture(params=["basic", "bearer"])
def registry(request: pytest.FixtureRequest) -> Iterator[RegistrySimulator]:
    with RegistrySimulator(auth=Auth(request.param, users={"robot": SECRET})) as registry:
        registry.push_image("team/app", "v1")
        yield registry


def sent_to(simulator: RegistrySimulator) -> str:
    return repr([(request.path, request.query, dict(request.headers), request.body) for request in simulator.requests])


# 155: a host that only a pod names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image",
    [
        "444455556666.dkr.ecr.eu-central-1.amazonaws.com/shop/web",
        "111122223333.dkr.ecr.us-east-1.amazonaws.com/shop/web",
        f"{REGISTRY}.evil.example/shop/web",
        f"{REGISTRY}:8443/shop/web",
        f"evil.example/{REGISTRY}/shop/web",
        f"x.{REGISTRY}/shop/web",
    ],
)
def test_attack_155_host_that_is_not_listed_gets_no_identity(cloud: Cloud, image: str) -> None:
    entries = (PlatformCredentials(provider="aws", hosts=(REGISTRY,)),)
    environ = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "/dev/null"}
    provider = open_provider(entries, cloud.services, FakeClock(), cloud.results, environ)
    assert provider.candidates(parse_reference(f"{REGISTRY}/shop/web").repository)
    assert provider.candidates(parse_reference(image).repository) == ()


# 156: a listed registry leads the secret elsewhere --------------------------------------------------------------------


@pytest.mark.parametrize("identity_token", [None, SECRET])
def test_attack_156_token_service_elsewhere_does_not_get_the_secret(cloud: Cloud, identity_token: str | None) -> None:
    auth = Auth("bearer", users={"robot": SECRET}, identity_tokens={SECRET})
    with RegistrySimulator(auth=auth) as registry, RegistrySimulator(auth=auth) as thief:
        registry.push_image("team/app", "v1")
        registry.auth.realm = f"{thief.url}/token"
        cloud.login.answer = Login("robot", SECRET, identity_token)
        with client_for(registry, thief) as client, pytest.raises(UnauthorizedError, match="which is not among the"):
            session_of(client, cloud.provider(registry.host)).manifest(repository_of(registry), "v1")
        assert thief.requests == []


def test_attack_156_redirect_does_not_carry_the_secret(cloud: Cloud) -> None:
    with (
        RegistrySimulator(auth=Auth("basic", users={"robot": SECRET})) as registry,
        RegistrySimulator() as thief,
        client_for(registry, thief) as client,
    ):
        digest = registry.push_image("team/app", "v1")
        thief.push_image("team/app", "v1")
        provider = cloud.provider(registry.host)
        session_of(client, provider).manifest(repository_of(registry), "v1")
        registry.faults.redirect("manifests", f"{thief.url}/v2/team/app/manifests/{digest}", status=307)
        session_of(client, provider).manifest(repository_of(registry), digest)
        assert thief.requests
        assert "authorization" not in sent_to(thief)


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_attack_156_ca_of_an_authenticator_does_not_prove_a_listed_registry(cloud: Cloud, kind: str) -> None:
    auth = Auth(kind, users={"robot": SECRET}, identity_tokens={SECRET})
    with RegistrySimulator(auth=auth, tls=True) as thief, RegistrySimulator(tls=True) as other:
        cloud.login.answer = Login("robot", SECRET, SECRET if kind == "bearer" else None)
        with client_for(thief, ca={thief.host: other.ca_pem}) as client:
            session = session_of(client, cloud.provider(thief.host))
            with pytest.raises(UnauthorizedError, match=r"wants a user name|refuses callers"):
                session.document(f"{thief.url}/v2/x", "team/app", limit=1000, ca=thief.ca_pem, named=True)
        assert thief.requests
        assert SECRET not in sent_to(thief)
        assert b64encode(f"robot:{SECRET}".encode()).decode() not in sent_to(thief)


def test_attack_156_ca_of_an_authenticator_does_not_name_the_token_service_of_others() -> None:
    auth = Auth("bearer", users={"robot": SECRET})
    with RegistrySimulator(auth=auth, tls=True) as registry, RegistrySimulator(auth=Auth("bearer")) as thief:
        registry.push_image("team/app", "v1")
        own, registry.auth.realm = registry.auth.realm, f"{thief.url}/token"
        with client_for(registry, thief) as client:
            # The author's certificate for the host, and its challenge.
            with pytest.raises(UnauthorizedError, match="refuses the credentials"):
                session_of(client, login(registry, "robot", "of the author")).document(
                    f"{registry.url}/v2/x", "team/app", limit=1000, ca=registry.ca_pem, named=True
                )
            asked = len(thief.requests)
            registry.auth.realm = own
            session_of(client, login(registry, "robot", SECRET)).manifest(repository_of(registry), "v1")
        assert asked
        assert len(thief.requests) == asked


@pytest.mark.parametrize("listed", [REGISTRY, f"{REGISTRY}:443", REGISTRY.upper()])
def test_attack_156_registry_that_may_be_asked_without_tls_is_not_listed(listed: str) -> None:
    """An attacker on the network, who breaks TLS off, would be sent the secret in plain text."""
    entry = {"provider": "aws", "hosts": [REGISTRY]}
    registries = Registries.model_validate({"insecure": [listed], "platformCredentials": [entry]})
    with pytest.raises(ConfigError, match=r"is in registries\.insecure and in registries\.platformCredentials"):
        registries.settings()


# 157: answers obtained with the identity, for a caller that has another one -------------------------------------------


def test_attack_157_identities_are_equal_only_where_role_and_host_are(cloud: Cloud) -> None:
    lease = cloud.lease("a.example.org")
    given = [
        Credentials(identity=("platform", "a.example.org", "aws", "role", ROLE), lease=lease),
        Credentials(identity=("platform", "a.example.org", "aws", "role", f"{ROLE}2"), lease=lease),
        Credentials(identity=("platform", "b.example.org", "aws", "role", ROLE), lease=lease),
        Credentials(identity=("platform", "a.example.org", "awsrole", ROLE), lease=lease),
        # What a pull secret may hold, so as to be taken for the identity.
        Credentials("platform", "a.example.org", "aws"),
        Credentials("robot", SECRET),
    ]
    assert len({each.fingerprint for each in given}) == len(given)
    key = SealingKey(b"k" * 32, "binding")
    assert len({key.identify([each]) for each in given}) == len(given)


def test_attack_157_renewed_secret_is_the_same_caller(cloud: Cloud, registry: RegistrySimulator) -> None:
    caller = Caller(cloud.provider(registry.host))
    before = caller.identity(repository_of(registry))
    (credentials,) = caller.credentials(repository_of(registry))
    held = credentials.obtain(Deadline.after(SystemClock(), 30))
    assert (held.password, held.fingerprint) == (SECRET, credentials.fingerprint)
    assert (held.fingerprint,) == before
    assert held.fingerprint != Credentials("robot", SECRET).fingerprint


# 158, 159: a cloud that fails or hangs --------------------------------------------------------------------------------


class Webhook:
    """A webhook whose private registry is read with the identity of a cloud."""

    def __init__(self, environment: WebhookEnvironment, cloud: Cloud) -> None:
        self.environment = environment
        environment.registry.auth = Auth("basic", users={"robot": SECRET})
        environment.credential_source = ClusterCredentials(
            None,  # type: ignore[arg-type]  # no pull secrets are read
            None,
            pull_secrets=False,
            kinds=BUILT_IN,
            platform=cloud.provider(environment.registry.host),
        )

    def validate(self, image: str, query: str = PATIENCE) -> ReviewAnswer:
        return self.environment.validate(review(pod(image)), query)


@pytest.fixture
def webhook(tmp_path: Path, way: Way, cloud: Cloud) -> Iterator[Webhook]:
    with open_environment(tmp_path, way) as environment:
        yield Webhook(environment, cloud)


def test_attack_158_pods_of_a_failing_registry_cost_one_request(webhook: Webhook, cloud: Cloud) -> None:
    image = webhook.environment.sign("team/app", "v1")
    cloud.login.answer = UnavailableError("sts.example.org cannot be reached")
    names = [image, *(webhook.environment.sign(f"team/app-{number}", "v1") for number in range(8))]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(webhook.validate, names * 4))
    assert not any(answer.allowed for answer in answers)
    assert [answer.message for answer in answers if "no pull credentials for" not in answer.message] == []
    assert cloud.login.logins == 1


def test_attack_158_flood_of_refusals_does_not_renew_the_secret(cloud: Cloud, registry: RegistrySimulator) -> None:
    registry.auth.users["robot"] = "changed"
    provider = cloud.provider(registry.host)
    with client_for(registry) as client:
        for _ in range(20):
            with pytest.raises(UnauthorizedError):
                session_of(client, provider).manifest(repository_of(registry), "v1")
    assert cloud.login.logins == 1


def test_attack_158_repository_that_refuses_the_secret_does_not_take_it_from_the_others(
    registry: RegistrySimulator,
) -> None:
    """A user may name any repository of a listed registry, also while the cloud cannot be reached."""
    clock = FakeClock()
    cloud = Cloud(clock)
    with cloud.services, client_for(registry) as client:
        provider = cloud.provider(registry.host)
        session_of(client, provider).manifest(repository_of(registry), "v1")
        clock.advance(MIN_AGE)
        cloud.login.answer = UnavailableError("sts.example.org cannot be reached")
        (candidate,) = provider.candidates(repository_of(registry))
        candidate.credentials.obtain(Deadline.after(SystemClock(), 30)).refused()
        for tries in range(1, 4):
            session_of(client, provider).manifest(repository_of(registry), "v1")
            cloud.results.wait_for(1 + tries)
            clock.advance(MAX_BACKOFF * 1.2)


def test_attack_158_pull_secret_of_the_pod_needs_no_cloud(cloud: Cloud, registry: RegistrySimulator) -> None:
    cloud.login.answer = UnavailableError("sts.example.org cannot be reached")
    provider = CredentialChain([login(registry, password=SECRET), cloud.provider(registry.host)])
    with client_for(registry) as client:
        session_of(client, provider).manifest(repository_of(registry), "v1")
    assert cloud.login.logins == 0


@pytest.mark.parametrize("status", [401, 403, 404])
def test_attack_158_refusal_by_other_credentials_does_not_hide_the_failure(cloud: Cloud, status: int) -> None:
    """Else the image would count as one without signatures, and be refused for longer than the cloud fails."""
    cloud.login.answer = UnavailableError("sts.example.org cannot be reached")
    with RegistrySimulator(auth=Auth("basic", users={"robot": SECRET})) as registry, client_for(registry) as client:
        respond = registry.respond
        registry.respond = lambda request: (  # type: ignore[method-assign]  # a user without rights
            Answer(status) if "authorization" in request.headers else respond(request)
        )
        provider = CredentialChain([cloud.provider(registry.host), login(registry, password=SECRET)])
        with pytest.raises(UnavailableError, match="no pull credentials for") as caught:
            session_of(client, provider).manifest(repository_of(registry), "v1")
        assert type(caught.value) is UnavailableError


def test_attack_159_hanging_cloud_delays_no_other_registry(webhook: Webhook, cloud: Cloud) -> None:
    environment = webhook.environment
    image = environment.sign("team/app", "v1")
    cloud.login.gate.clear()
    with (
        RegistrySimulator() as other,
        client_for(environment.registry, other) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        environment.network = client
        environment.write(policy("all", "**"))
        push_classic(other, "team/app", Classic(other.push_image("team/app", "v1"), environment.key))
        waiting = pool.submit(webhook.validate, image)
        try:
            assert cloud.login.entered.wait(60)
            assert webhook.validate(f"{other.host}/team/app:v1").allowed
            assert not waiting.done()
        finally:
            cloud.login.gate.set()
        assert waiting.result(60).allowed


def test_attack_159_deadline_of_a_review_bounds_the_wait_for_a_cloud(webhook: Webhook, cloud: Cloud) -> None:
    image = webhook.environment.sign("team/app", "v1")
    cloud.login.gate.clear()
    answer = webhook.validate(image, "timeout=2s")
    assert not answer.allowed
    assert "ran out of time" in answer.message
    cloud.login.gate.set()
    assert webhook.validate(image).allowed
    assert cloud.login.logins == 1


# 160: the secret in what people see -----------------------------------------------------------------------------------


def test_attack_160_secret_is_not_in_messages_logs_or_reprs(webhook: Webhook, cloud: Cloud) -> None:
    webhook.environment.registry.auth.users["robot"] = "changed"
    image = webhook.environment.sign("team/app", "v1")
    answer = webhook.validate(image)
    assert not answer.allowed
    cloud.login.answer = ValueError(SECRET)
    failed = cloud.provider("registry.example.org")
    (candidate,) = failed.candidates(parse_reference("registry.example.org/app").repository)
    with pytest.raises(UnavailableError) as caught:
        candidate.credentials.obtain(Deadline.after(SystemClock(), 30))
    shown = (answer.message, webhook.environment.log.getvalue(), caught.value.message, cloud.results.problems)
    assert SECRET not in repr((shown, candidate, Login("robot", SECRET, SECRET), cloud.lease("a.example.org")))


# 161: what a cloud, or what answers in its name, issues ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Login("robot", f"{SECRET}\r\nX-Injected: yes"), 3600),
        (Login(f"robot\n{SECRET}", "x"), 3600),
        (Login(identity_token=f"{SECRET}\x00"), 3600),
        (Login("robot", SECRET * 10_000), 3600),
        (Login("robot", "\udc80"), 3600),
        (Login("robot", SECRET), 0),
        (Login("robot", SECRET), -1e9),
        (Login("robot", SECRET), float("nan")),
    ],
)
def test_attack_161_secret_that_cannot_be_used_is_not_sent(cloud: Cloud, answer: Login, seconds: float) -> None:
    cloud.login.answer, cloud.login.seconds = answer, seconds
    with RegistrySimulator(auth=Auth("basic", users={"robot": SECRET})) as registry, client_for(registry) as client:
        with pytest.raises(UnavailableError, match="no pull credentials for") as caught:
            session_of(client, cloud.provider(registry.host)).manifest(repository_of(registry), "v1")
        assert "authorization" not in sent_to(registry)
        assert SECRET not in caught.value.message


def test_attack_161_secret_is_not_used_for_longer_than_half_a_day(cloud: Cloud) -> None:
    clock = FakeClock()
    lease = LoginLease("a.example.org", "aws", cloud.login, cloud.services, MetadataClient(), clock, cloud.results)
    cloud.login.seconds = float("inf")
    lease.obtain(Deadline.after(clock, 30))
    clock.advance(12 * 3600)
    cloud.login.answer = Login("robot", "second")
    assert lease.obtain(Deadline.after(clock, 30)).password == "second"  # noqa: S105 - of the test


# 162: the metadata service --------------------------------------------------------------------------------------------

METADATA = ("169.254.169.254", "169.254.170.23", "fd00:ec2::23")


def open_with_metadata(
    metadata: MetadataSimulator, services: RoutedServices, provider: str, host: str, environ: Mapping[str, str]
) -> PlatformCredentialProvider:
    entry = PlatformCredentials(provider=provider, hosts=(host,), metadataService=True)
    return open_provider((entry,), services, SystemClock(), Results(), environ, metadata.client())


def obtain(provider: PlatformCredentialProvider, host: str) -> Credentials:
    (candidate,) = provider.candidates(Repository(host, "web"))
    return candidate.credentials.obtain(Deadline.after(SystemClock(), 30))


@pytest.fixture
def metadata() -> Iterator[MetadataSimulator]:
    with MetadataSimulator() as simulator:
        yield simulator


@pytest.mark.parametrize("address", METADATA)
def test_attack_162_no_image_name_or_redirect_reaches_the_metadata_service(
    cloud: Cloud, metadata: MetadataSimulator, address: str
) -> None:
    """Not even with the exception switched on: it is another client, which no reference leads to."""
    obtain(open_with_metadata(metadata, cloud.services, "google", "gcr.io", {}), "gcr.io")
    literal = f"[{address}]" if ":" in address else address
    names = Names({"evil.example": address, "127.0.0.1": "127.0.0.1", address: address})
    with RegistrySimulator() as registry, client_for(registry, resolver=names) as client:
        registry.faults.redirect("manifests", f"http://{literal}/v1/credentials", status=307)
        for repository in (Repository("evil.example", "web"), Repository(literal, "web"), repository_of(registry)):
            with pytest.raises(ForbiddenAddressError, match="not asked"):
                session_of(client, literal=frozenset({repository.registry})).manifest(repository, "v1")
        for url in (f"http://{literal}/v1/credentials", "https://evil.example/v1/credentials"):
            with pytest.raises(ForbiddenAddressError, match="not asked"):
                client.services(Deadline.after(SystemClock(), 30)).request("GET", url)
    assert len(metadata.requests) == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://evil.example/v1/credentials",
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/node",
        "http://169.254.170.23/v1/credentials/../x",
        "http://169.254.170.23.evil.example/v1/credentials",
        "http://169.254.170.23@evil.example/v1/credentials",
        "https://169.254.170.23/v1/credentials",
        "http://localhost/v1/credentials",
        "",
    ],
)
def test_attack_162_address_of_the_agent_is_the_fixed_one(
    cloud: Cloud, metadata: MetadataSimulator, tmp_path: Path, address: str
) -> None:
    (tmp_path / "token").write_text(metadata.token)
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": address,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
    }
    with pytest.raises(
        UnavailableError, match=r"AWS_CONTAINER_CREDENTIALS_FULL_URI is not http://169\.254\.170\.23/v1"
    ):
        obtain(open_with_metadata(metadata, cloud.services, "aws", REGISTRY, environ), REGISTRY)
    assert metadata.dialed == []
    assert cloud.services.asked == []


@pytest.mark.parametrize(("provider", "host"), [("aws", REGISTRY), ("azure", "shop1.azurecr.io")])
def test_attack_162_metadata_service_is_not_asked_unless_the_settings_say_so(
    cloud: Cloud, metadata: MetadataSimulator, provider: str, host: str
) -> None:
    environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}
    entry = PlatformCredentials(provider=provider, hosts=(host,))
    opened = open_provider((entry,), cloud.services, SystemClock(), Results(), environ, metadata.client())
    with pytest.raises(UnavailableError, match="the platform has given this process no identity"):
        obtain(opened, host)
    assert metadata.dialed == []


def test_attack_162_redirect_and_proxy_lead_the_request_nowhere(
    cloud: Cloud, metadata: MetadataSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RegistrySimulator() as thief:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, thief.url)
        metadata.faults.redirect("token", f"{thief.url}/token", status=302)
        with pytest.raises(UnavailableError, match="the metadata service answers 302"):
            obtain(open_with_metadata(metadata, cloud.services, "google", "gcr.io", {}), "gcr.io")
        assert thief.requests == []
    assert metadata.dialed == [("169.254.169.254", 80)]


def test_attack_162_answer_of_something_else_at_the_address_is_not_used(
    cloud: Cloud, metadata: MetadataSimulator
) -> None:
    metadata.flavor = "Amazon"
    with pytest.raises(UnavailableError, match="it is not that of Google"):
        obtain(open_with_metadata(metadata, cloud.services, "google", "gcr.io", {}), "gcr.io")
    metadata.faults.body("token", b"x" * (1 << 20))
    with pytest.raises(UnavailableError, match="answers with more than"):
        obtain(open_with_metadata(metadata, cloud.services, "google", "gcr.io", {}), "gcr.io")
