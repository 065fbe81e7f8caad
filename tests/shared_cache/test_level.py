"""Findings and digests are shared between replicas, and only with callers who may have them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealgate.findings import Finding, Outcome, SeenSignature
from sealgate.http.settings import HostSettings
from sealgate.reasons import Reason
from sealgate.references import Digest, Repository
from sealgate.registry.callers import OPEN, Caller
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import Candidate, Credentials, Exactness
from sealgate.shared_cache.budgets import SharedBudgets
from sealgate.shared_cache.flights import SharedFlights
from sealgate.shared_cache.level import SharedCache
from sealgate.verification.caches import FindingKey
from sealgate.verification.repository_caller import RepositoryCaller
from sealgate.verification.settings import VerifierSettings
from tests.shared_cache.environment import Replica
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from sealgate.registry.callers import Access
    from tests.support.real_tools.valkey import ValkeyServer

pytestmark = pytest.mark.real
REPOSITORY = Repository("registry.example.org", "team/app")
SIGNATURES = Repository("registry.example.org", "team/signatures")
DIGEST = Digest("sha256:" + "a" * 64)
KEY = FindingKey("release", "c0ffee", REPOSITORY.name, DIGEST, None)
SEEN = SeenSignature("layer 1", Reason.VERIFIED, "ok", "sha256:1")
VERIFIED = Finding("release", "cosign", Outcome.VERIFIED, Reason.VERIFIED, "signed", ("sha256:1",), (SEEN,))
REFUSED = Finding("release", "cosign", Outcome.REFUSED, Reason.NO_SIGNATURE, "no signature")
PARTIAL = replace(VERIFIED, signatures=(SEEN, SeenSignature("layer 2", Reason.REGISTRY_UNAVAILABLE, "down")))
OURS, THEIRS = Credentials("ours", "secret"), Credentials("theirs", "secret")
SECONDS = 20.0


class _Provider:
    """Credentials for some repositories; others would have to be read."""

    def __init__(self, *credentials: Credentials, known: Sequence[Repository] = (REPOSITORY, SIGNATURES)) -> None:
        self._candidates = [Candidate(Exactness(True, 1, 1), each) for each in credentials]
        self._known = known

    @property
    def source(self) -> Hashable:
        return self

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        if repository not in self._known:
            raise AssertionError("no credentials may be read here")
        return self._candidates

    def cached(self, repository: Repository) -> Sequence[Candidate] | None:
        return self._candidates if repository in self._known else None


@pytest.fixture
def client() -> Iterator[RegistryClient]:
    client = RegistryClient(HostSettings(), clock=FakeClock())
    yield client
    client.close()


class _Caches:
    """Two replicas over one server, and callers of both."""

    def __init__(self, one: Replica, other: Replica, client: RegistryClient) -> None:
        self.one, self.other = (self._open(replica) for replica in (one, other))
        self.clock = one.clock
        self._client = client

    @staticmethod
    def _open(replica: Replica) -> SharedCache:
        limits = VerifierSettings()
        flights = SharedFlights(replica.store, replica.clock, replica.observer)
        budgets = SharedBudgets(60.0, 1, replica.store, replica.observer)
        return SharedCache(replica.store, flights, budgets, limits, replica.clock)

    def caller(
        self, *credentials: Credentials, known: Sequence[Repository] = (REPOSITORY, SIGNATURES)
    ) -> RepositoryCaller:
        return RepositoryCaller(self._client, Caller(_Provider(*credentials, known=known)), REPOSITORY, "shop")

    def found(self, caller: RepositoryCaller, key: FindingKey = KEY) -> Finding | None:
        with self.other.finding(key, caller) as cached:
            return None if cached is None else cached.value

    def digest(self, caller: RepositoryCaller, tag: str = "v1") -> Digest | None:
        with self.other.tag(tag, caller) as cached:
            return None if cached is None else cached.value


@pytest.fixture
def caches(server: ValkeyServer, client: RegistryClient) -> Iterator[_Caches]:
    clock = FakeClock()
    with Replica(server.port, clock=clock) as one, Replica(server.port, clock=clock) as other:
        yield _Caches(one, other, client)


def _access(credentials: Credentials, *repositories: Repository) -> Access:
    return tuple((repository, (credentials.fingerprint,)) for repository in repositories or (REPOSITORY,))


@pytest.mark.parametrize("finding", [VERIFIED, REFUSED, PARTIAL])
def test_open_finding_is_for_every_caller_of_every_replica(caches: _Caches, finding: Finding) -> None:
    caches.one.put_finding(KEY, finding, caches.caller(OURS), OPEN, SECONDS)
    for caller in (caches.caller(), caches.caller(OURS), caches.caller(THEIRS), caches.caller(known=())):
        with caches.other.finding(KEY, caller) as cached:
            assert cached is not None
            assert (cached.value, cached.access) == (finding, OPEN)
            assert cached.expires_at == pytest.approx(caches.clock.monotonic() + SECONDS, abs=0.01)


@pytest.mark.parametrize("finding", [VERIFIED, REFUSED])
def test_attack_47_private_finding_is_for_equal_credentials_only(caches: _Caches, finding: Finding) -> None:
    caches.one.put_finding(KEY, finding, caches.caller(OURS), _access(OURS), SECONDS)
    assert caches.found(caches.caller(OURS)) == finding
    for caller in (caches.caller(), caches.caller(THEIRS), caches.caller(OURS, THEIRS), caches.caller(known=())):
        assert caches.found(caller) is None


def test_attack_47_finding_with_signatures_elsewhere_is_for_callers_with_equal_credentials_there(
    caches: _Caches,
) -> None:
    access = _access(OURS, REPOSITORY, SIGNATURES)
    caches.one.put_finding(KEY, VERIFIED, caches.caller(OURS), access, SECONDS)
    assert caches.found(caches.caller(OURS)) == VERIFIED
    assert caches.found(caches.caller(OURS, known=[REPOSITORY])) is None


def test_anonymous_refusal_is_for_equal_callers_and_an_anonymous_verification_for_all(caches: _Caches) -> None:
    anonymous: Access = ((REPOSITORY, ()),)
    caches.one.put_finding(KEY, REFUSED, caches.caller(), anonymous, SECONDS)
    assert caches.found(caches.caller()) == REFUSED
    assert caches.found(caches.caller(OURS)) is None
    caches.one.put_finding(KEY, VERIFIED, caches.caller(), anonymous, SECONDS)
    assert caches.found(caches.caller(OURS)) == VERIFIED
    # A verified finding wins over a refusal that somebody kept from being replaced.
    assert caches.found(caches.caller()) == VERIFIED


@pytest.mark.parametrize(
    "changed",
    [
        KEY._replace(authenticator="other"),
        KEY._replace(content="changed"),
        KEY._replace(repository="registry.example.org/team/other"),
        KEY._replace(digest="sha256:" + "b" * 64),
        KEY._replace(tag="v1"),
    ],
)
def test_attack_27_finding_is_for_everything_that_decided_about_it(caches: _Caches, changed: FindingKey) -> None:
    caches.one.put_finding(KEY, VERIFIED, caches.caller(), OPEN, SECONDS)
    assert caches.found(caches.caller(), changed) is None


def test_attack_28_unavailable_finding_is_never_shared(caches: _Caches) -> None:
    finding = Finding("release", "cosign", Outcome.UNAVAILABLE, Reason.REGISTRY_UNAVAILABLE, "down")
    with pytest.raises(ValueError, match="unavailable"):
        caches.one.put_finding(KEY, finding, caches.caller(), OPEN, SECONDS)


def test_nothing_is_used_for_longer_than_this_replica_would_cache_it(caches: _Caches) -> None:
    for finding, at_most in ((VERIFIED, 600.0), (REFUSED, 30.0), (PARTIAL, 30.0)):
        caches.one.put_finding(KEY, finding, caches.caller(), OPEN, 10_000.0)
        with caches.other.finding(KEY, caches.caller()) as cached:
            assert cached is not None
            assert cached.expires_at <= caches.clock.monotonic() + at_most
    caches.one.put_tag("v1", DIGEST, caches.caller(), OPEN, 10_000.0)
    with caches.other.tag("v1", caches.caller()) as digest:
        assert digest is not None
        assert digest.expires_at <= caches.clock.monotonic() + 30.0


def test_open_digest_is_for_every_caller_and_for_its_tag_only(caches: _Caches) -> None:
    caches.one.put_tag("v1", DIGEST, caches.caller(), OPEN, SECONDS)
    assert caches.digest(caches.caller()) == DIGEST
    assert caches.digest(caches.caller(OURS)) == DIGEST
    assert caches.digest(caches.caller(), "v2") is None


def test_attack_47_private_digest_is_for_equal_credentials_only(caches: _Caches) -> None:
    caches.one.put_tag("v1", DIGEST, caches.caller(OURS), _access(OURS), SECONDS)
    assert caches.digest(caches.caller(OURS)) == DIGEST
    for caller in (caches.caller(), caches.caller(THEIRS), caches.caller(known=())):
        assert caches.digest(caller) is None


def test_answer_of_other_credentials_than_the_callers_is_not_shared(caches: _Caches) -> None:
    caches.one.put_finding(KEY, VERIFIED, caches.caller(OURS), _access(THEIRS), SECONDS)
    caches.one.put_finding(KEY, VERIFIED, caches.caller(known=()), _access(OURS), SECONDS)
    assert caches.found(caches.caller(OURS)) is None
    assert caches.found(caches.caller(THEIRS)) is None


def test_without_a_key_nothing_is_shared(server: ValkeyServer, client: RegistryClient) -> None:
    with Replica(server.port) as one, Replica(server.port) as other:
        one.keys = other.keys = ()
        caches = _Caches(one, other, client)
        caches.one.put_finding(KEY, VERIFIED, caches.caller(), OPEN, SECONDS)
        caches.one.put_tag("v1", DIGEST, caches.caller(), OPEN, SECONDS)
        assert caches.found(caches.caller()) is None
        assert caches.digest(caches.caller()) is None
        assert server.admin.dbsize() == 0
