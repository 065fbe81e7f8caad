"""Registry authentication: challenges and tokens are cached, credentials are read only when they are required."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import DeadlineError, ForbiddenAddressError, UnauthorizedError, UnavailableError, UnreachableError
from sealgate.registry.callers import Caller
from sealgate.registry.credentials import MAX_CREDENTIALS, Candidate, Credentials, Exactness, NoCredentials
from sealgate.registry.tokens import basic
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import client_for, login, repository_of, session_of
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.http_messages import Answer, encode, registry_error
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.references import Repository
    from tests.support.simulators.http_messages import RecordedRequest

USERS = {"robot": "s3cret"}


class Given:
    """A provider of fixed credentials that records every call."""

    source = "given"

    def __init__(self, *credentials: Credentials) -> None:
        self._candidates = [Candidate(Exactness(literal=True, registry=1, path=0), each) for each in credentials]
        self.asked: list[Repository] = []

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        self.asked.append(repository)
        return self._candidates

    def cached(self, _: Repository) -> None:
        return None


def test_password_is_sent_after_a_challenge_and_then_preemptively() -> None:
    with RegistrySimulator(auth=Auth("basic", users=USERS)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        for _ in range(2):
            session_of(client, login(registry)).manifest(repository_of(registry), "v1")
        assert ["authorization" in request.headers for request in registry.requests] == [False, True, True]


def test_a_wrong_password_is_sent_once() -> None:
    with RegistrySimulator(auth=Auth("basic", users=USERS)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        for sent in (2, 3):
            with pytest.raises(UnauthorizedError, match="pull secret") as refused:
                session_of(client, login(registry, password="hunter2")).manifest(repository_of(registry), "v1")
            assert len(registry.requests) == sent
            assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_without_credentials_the_message_asks_for_a_pull_secret(mode: str) -> None:
    with (
        RegistrySimulator(auth=Auth(mode, users=USERS)) as registry,
        client_for(registry) as client,
        pytest.raises(UnauthorizedError, match="pull secret"),
    ):
        session_of(client).manifest(repository_of(registry), "v1")


@pytest.mark.parametrize("member", ["token", "access_token"])
def test_a_token_serves_until_shortly_before_it_expires(member: str) -> None:
    clock = FakeClock()
    auth = Auth("bearer", users=USERS, expires_in=300, token_member=member)
    with RegistrySimulator(auth=auth) as registry, client_for(registry, clock=clock) as client:
        registry.push_image("team/app", "v1")
        for _ in range(3):
            session_of(client, login(registry)).manifest(repository_of(registry), "v1")
        assert registry.paths.count("/token") == 1
        assert len(registry.requests) == 5
        clock.advance(271)
        session_of(client, login(registry)).manifest(repository_of(registry), "v1")
        assert registry.paths.count("/token") == 2
        token = next(request for request in registry.requests if request.path == "/token")
        assert token.query == (("service", "simulator"), ("scope", "repository:team/app:pull"), ("account", "robot"))


@pytest.mark.parametrize("expires_in", [None, 0, -5, True, "300", 60])
def test_token_without_expiry_lives_for_one_minute(expires_in: object) -> None:
    clock = FakeClock()
    with (
        RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry,
        client_for(registry, clock=clock) as client,
    ):
        registry.auth.expires_in = expires_in  # type: ignore[assignment]  # as foreign servers have it
        registry.push_image("team/app", "v1")
        session_of(client).manifest(repository_of(registry), "v1")
        clock.advance(49)
        session_of(client).manifest(repository_of(registry), "v1")
        assert registry.paths.count("/token") == 1
        clock.advance(2)
        session_of(client).manifest(repository_of(registry), "v1")
        assert registry.paths.count("/token") == 2


def test_token_lifetime_is_capped() -> None:
    clock = FakeClock()
    auth = Auth("bearer", anonymous=True, expires_in=10**12)
    with RegistrySimulator(auth=auth) as registry, client_for(registry, clock=clock) as client:
        registry.push_image("team/app", "v1")
        session_of(client).manifest(repository_of(registry), "v1")
        clock.advance(3601)
        session_of(client).manifest(repository_of(registry), "v1")
        assert registry.paths.count("/token") == 2


def test_challenge_of_a_registry_is_cached() -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry, client_for(registry) as client:
        for path in ("team/app", "team/other"):
            registry.push_image(path, "v1")
            session_of(client).manifest(repository_of(registry, path), "v1")
        assert registry.paths == [
            "/v2/team/app/manifests/v1",
            "/token",
            "/v2/team/app/manifests/v1",
            "/token",
            "/v2/team/other/manifests/v1",
        ]


def test_rejected_token_is_refetched_once() -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session_of(client).manifest(repository_of(registry), "v1")
        registry.auth.issued.clear()
        registry.requests.clear()
        session_of(client).manifest(repository_of(registry), "v1")
        assert registry.paths == ["/v2/team/app/manifests/v1", "/token", "/v2/team/app/manifests/v1"]


def test_registry_that_rejects_every_token_is_not_retried_forever() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        registry.faults.answer("manifests", 401, {"WWW-Authenticate": f'Bearer realm="{registry.url}/token"'})
        with pytest.raises(UnauthorizedError, match="may not read"):
            session_of(client, login(registry)).manifest(repository_of(registry), "v1")
        assert registry.paths == ["/v2/team/app/manifests/v1", "/token", "/v2/team/app/manifests/v1"]
        registry.auth.anonymous = True
        with pytest.raises(UnauthorizedError, match="cannot be read anonymously"):
            session_of(client).manifest(repository_of(registry), "v1")


def test_scopes_are_requested_as_the_registry_named_them() -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        scope = "repository:team/app:pull repository:cache/app:pull repository:team/app:pull"
        registry.auth.challenge = f'Bearer realm="{registry.url}/token?a=b",scope="{scope}"'
        for _ in range(2):
            session_of(client).manifest(repository_of(registry), "v1")
        token = next(request for request in registry.requests if request.path == "/token")
        assert token.query == (
            ("a", "b"),
            ("scope", "repository:team/app:pull"),
            ("scope", "repository:cache/app:pull"),
        )
        assert registry.paths.count("/token") == 1


def test_excessive_scopes_are_not_requested() -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        scope = " ".join(f"repository:r{n}:pull" for n in range(9))
        registry.auth.challenge = f'Bearer realm="{registry.url}/token",scope="{scope}"'
        session_of(client).manifest(repository_of(registry), "v1")
        assert dict(registry.requests[1].query)["scope"] == "repository:team/app:pull"


def test_an_identity_token_is_exchanged_by_post() -> None:
    auth = Auth("bearer", identity_tokens={"refresh me"}, token_member="access_token")
    given = Given(Credentials(identity_token="refresh me"))
    with RegistrySimulator(auth=auth) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session_of(client, given).manifest(repository_of(registry), "v1")
        request = registry.requests[1]
        assert request.method == "POST"
        assert b"grant_type=refresh_token" in request.body
        assert b"refresh_token=refresh+me" in request.body
        assert request.query == ()


def test_token_service_without_post_is_asked_with_get() -> None:
    given = Given(Credentials("robot", "s3cret", "refresh me"))
    with RegistrySimulator(auth=Auth("bearer", users=USERS, post=False)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session_of(client, given).manifest(repository_of(registry), "v1")
        assert [request.method for request in registry.requests] == ["GET", "POST", "GET", "GET"]


def test_refused_identity_token_is_not_retried_as_a_password() -> None:
    given = Given(Credentials("robot", "s3cret", "stale"))
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, client_for(registry) as client:
        with pytest.raises(UnauthorizedError, match="token service"):
            session_of(client, given).manifest(repository_of(registry), "v1")
        assert [request.method for request in registry.requests] == ["GET", "POST"]


def test_tokens_are_preferred_where_a_registry_offers_both() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        registry.auth.challenge = f'Basic realm="x", Bearer realm="{registry.url}/token"'
        session_of(client, login(registry)).manifest(repository_of(registry), "v1")
        assert registry.requests[-1].headers["authorization"].startswith("Bearer ")


@pytest.mark.parametrize(
    "challenge",
    [
        "Negotiate",
        "Bearer",
        'Bearer service="x"',
        'Bearer realm="x',
        'Bearer realm="ftp://x/"',
        "Digest realm=x",
        "?",
        "\t",
    ],
)
def test_challenges_that_cannot_be_answered_are_refusals(challenge: str) -> None:
    with (
        RegistrySimulator(auth=Auth("basic", users=USERS, challenge=challenge)) as registry,
        client_for(registry) as client,
    ):
        with pytest.raises(UnauthorizedError):
            session_of(client, login(registry)).manifest(repository_of(registry), "v1")
        assert len(registry.requests) == 1


def test_a_401_without_a_challenge_is_a_refusal() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.status("manifests", 401)
        with pytest.raises(UnauthorizedError, match="neither Basic nor Bearer"):
            session_of(client, login(registry)).manifest(repository_of(registry), "v1")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"token":1}', b'{"token":"a b"}', encode({"token": "a\n"}), encode({"token": "x" * 20_000})],
)
def test_response_without_a_token_is_unavailable_and_not_quoted(body: bytes) -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry, client_for(registry) as client:
        registry.documents["/other"] = Answer(body=body)
        registry.auth.realm = f"{registry.url}/other"
        with pytest.raises(UnavailableError, match="not a token") as failed:
            session_of(client).manifest(repository_of(registry), "v1")
        assert failed.value.__cause__ is None
        assert "xxx" not in str(failed.value)


def test_a_token_service_that_fails_is_unavailable() -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry, client_for(registry) as client:
        registry.faults.status("/token", 500)
        with pytest.raises(UnavailableError, match="500") as failed:
            session_of(client).manifest(repository_of(registry), "v1")
        assert type(failed.value) is UnreachableError


def test_registry_that_drops_its_failing_token_service_is_read_again() -> None:
    clock = FakeClock()
    with (
        RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry,
        client_for(registry, clock=clock) as client,
    ):
        registry.push_image("team/app", "v1")
        session_of(client, clock=clock).manifest(repository_of(registry), "v1")
        registry.faults.status("/token", 503)
        registry.auth.mode = "none"
        clock.advance(300)
        with pytest.raises(UnavailableError, match="status 503"):
            session_of(client, clock=clock).manifest(repository_of(registry), "v1")
        session_of(client, clock=clock).manifest(repository_of(registry), "v1")


def test_a_token_service_may_not_send_credentials_elsewhere() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, RegistrySimulator() as other:
        registry.faults.redirect("/token", f"{other.url}/token")
        with client_for(registry, other) as client, pytest.raises(UnavailableError, match="307"):
            session_of(client, login(registry)).manifest(repository_of(registry), "v1")
        assert other.requests == []


def test_credentials_are_not_read_where_none_are_required() -> None:
    given = Given(Credentials("robot", "s3cret"))
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session_of(client, given).manifest(repository_of(registry), "v1")
        assert given.asked == []


def test_credentials_are_read_once_per_session() -> None:
    given = Given(Credentials("robot", "s3cret"))
    with RegistrySimulator(auth=Auth("basic", users=USERS)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session = session_of(client, given)
        for _ in range(3):
            session.manifest(repository_of(registry), "v1")
        assert given.asked == [repository_of(registry)]


def test_identity_token_alone_is_not_used_for_basic() -> None:
    given = Given(Credentials(identity_token="refresh me"))
    with RegistrySimulator(auth=Auth("basic", users=USERS)) as registry, client_for(registry) as client:
        for _ in range(2):
            with pytest.raises(UnauthorizedError, match="user name and password"):
                session_of(client, given).manifest(repository_of(registry), "v1")
        assert all("authorization" not in request.headers for request in registry.requests)


def test_threads_that_want_the_same_token_fetch_it_once() -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        gate = threading.Event()
        fault = registry.faults.wait_for("/token", gate)
        found: list[str] = []

        def read() -> None:
            found.append(session_of(client).manifest(repository_of(registry), "v1").digest)

        threads = [threading.Thread(target=read) for _ in range(6)]
        for thread in threads:
            thread.start()
        assert fault.hit.wait(100)
        gate.set()
        for thread in threads:
            thread.join()
        assert len(found) == 6
        assert registry.paths.count("/token") == 1


def test_waiter_for_a_token_keeps_its_own_deadline_and_outcome() -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        clock, waited_for = FakeClock(), threading.Event()
        failures: list[Exception] = []

        def answer_too_late(answer: Answer) -> Answer:
            waited_for.wait(150)
            clock.advance(100)
            return answer

        class Telling(Deadline):
            def check(self, doing: str) -> float:
                if doing == "waiting for a token":
                    waited_for.set()
                return super().check(doing)

        def lead() -> None:
            try:
                session_of(client, clock=clock, seconds=100).manifest(repository_of(registry), "v1")
            except DeadlineError as error:
                failures.append(error)

        fault = registry.faults.add(Fault("/token", answer_too_late, times=1))
        thread = threading.Thread(target=lead)
        thread.start()
        assert fault.hit.wait(100)
        with pytest.raises(DeadlineError):
            session_of(client, seconds=0.1).manifest(repository_of(registry), "v1")
        assert not waited_for.is_set()
        patient = Telling.after(SystemClock(), 60)
        client.session(NoCredentials(), patient).manifest(repository_of(registry), "v1")
        thread.join()
        assert len(failures) == 1


def test_token_service_address_must_be_allowed() -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry, RegistrySimulator() as other:
        registry.auth.realm = f"{other.url}/token"
        with client_for(registry) as client, pytest.raises(ForbiddenAddressError):
            client.session(NoCredentials(), Deadline.after(SystemClock(), 20)).manifest(repository_of(registry), "v1")
        assert other.requests == []


WRONG = Credentials("robot", "wrong")
RIGHT = Credentials("robot", "s3cret")


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_credentials_are_tried_in_order_and_the_last_good_ones_first(mode: str) -> None:
    with RegistrySimulator(auth=Auth(mode, users=USERS)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        given = Given(WRONG, RIGHT)
        session_of(client, given).manifest(repository_of(registry), "v1")
        before = len(registry.requests)
        session_of(client, given).manifest(repository_of(registry), "v1")
        assert len(registry.requests) == before + 1


def test_status_403_leads_to_the_next_credentials() -> None:
    class _Forbidding(RegistrySimulator):
        def respond(self, request: RecordedRequest) -> Answer:
            if request.headers.get("authorization") == basic(Credentials("other", "x")):
                return registry_error(403, "DENIED")
            return super().respond(request)

    users = {**USERS, "other": "x"}
    with _Forbidding(auth=Auth("basic", users=users)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        session_of(client, Given(Credentials("other", "x"), RIGHT)).manifest(repository_of(registry), "v1")
        with pytest.raises(UnauthorizedError, match="DENIED"):
            session_of(client, Given(Credentials("other", "x"), WRONG)).manifest(repository_of(registry), "v1")


def test_credentials_are_tried_up_to_a_bound_and_each_once() -> None:
    with RegistrySimulator(auth=Auth("basic", users=USERS)) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        wrong = [Credentials("robot", f"guess {number}") for number in range(MAX_CREDENTIALS)]
        with pytest.raises(UnauthorizedError, match="may not read"):
            session_of(client, Given(*wrong, *wrong, RIGHT)).manifest(repository_of(registry), "v1")
        sent = [request.headers["authorization"] for request in registry.requests if "authorization" in request.headers]
        assert sorted(set(sent)) == sorted(basic(credentials) for credentials in wrong)
        session_of(client, Given(*wrong[1:], *wrong[1:], RIGHT)).manifest(repository_of(registry), "v1")


def test_only_candidates_that_are_tried_are_kept() -> None:
    with RegistrySimulator() as registry:
        given = Given(*[Credentials("robot", f"guess {number // 2}") for number in range(2 * MAX_CREDENTIALS + 2)])
        kept = Caller(given).candidates(repository_of(registry))
        first = [Credentials("robot", f"guess {number}") for number in range(MAX_CREDENTIALS)]
        assert [candidate.credentials for candidate in kept] == first


def test_credentials_are_not_tried_without_a_challenge() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        given = Given(WRONG, RIGHT)
        registry.faults.status("manifests", 403)
        with pytest.raises(UnauthorizedError):
            session_of(client, given).manifest(repository_of(registry), "v1")
        assert (given.asked, len(registry.requests)) == ([], 1)


def test_bounded_credentials_are_sent_to_no_other_token_service() -> None:
    with RegistrySimulator() as elsewhere, RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry:
        registry.auth.realm = f"{elsewhere.url}/token"
        registry.push_image("team/app", "v1")
        bounded = Given(Credentials("robot", "s3cret").only_for(frozenset({registry.host})))
        with (
            client_for(registry, elsewhere) as client,
            pytest.raises(UnauthorizedError, match="not among the hosts"),
        ):
            session_of(client, bounded).manifest(repository_of(registry), "v1")
        assert not elsewhere.requests
