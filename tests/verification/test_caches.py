from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sealgate.findings import Finding, Outcome, SeenSignature
from sealgate.reasons import Reason
from sealgate.references import Repository, parse_digest
from sealgate.registry.callers import OPEN, Access, Caller
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.verification.byte_cache import ByteCache
from sealgate.verification.caches import Cached, FindingCache, FindingKey, TagCache
from sealgate.verification.repository_caller import RepositoryCaller
from sealgate.verification.settings import VerifierSettings
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import docker_config

if TYPE_CHECKING:
    from sealgate.registry.credentials import CredentialProvider

KEY = FindingKey("release", "00", "registry.example.org/app", "sha256:" + "4a" * 32, None)
REPOSITORY = Repository("registry.example.org", "app")
REGISTRIES = RegistryClient()
SETTINGS = VerifierSettings(verified_seconds=600, refused_seconds=30, tag_seconds=30)
#: Enough for about a hundred findings.
LIMIT = 50_000


def asker(provider: CredentialProvider) -> RepositoryCaller:
    return RepositoryCaller(REGISTRIES, Caller(provider), REPOSITORY, "shop")


def user(name: str) -> RepositoryCaller:
    return asker(docker_config({REPOSITORY.registry: {"username": name, "password": "secret"}}))


ANONYMOUS = asker(NoCredentials())


def finding(outcome: Outcome, reason: Reason) -> Finding:
    return Finding("release", "cosign", outcome, reason, "", ("sha256:00",) if outcome is Outcome.VERIFIED else ())


@pytest.mark.parametrize(
    ("outcome", "reason", "seconds"),
    [(Outcome.VERIFIED, Reason.VERIFIED, 600), (Outcome.REFUSED, Reason.NO_SIGNATURE, 30)],
)
def test_finding_is_cached_for_its_ttl(outcome: Outcome, reason: Reason, seconds: float) -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, ByteCache(LIMIT, clock), clock)
    cache.put(KEY, finding(outcome, reason), ANONYMOUS, OPEN)
    clock.advance(seconds - 0.001)
    assert cache.get(KEY, ANONYMOUS) == Cached(finding(outcome, reason), seconds)
    clock.advance(0.001)
    assert cache.get(KEY, ANONYMOUS) is None


def test_partial_finding_has_the_ttl_of_a_refusal() -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, ByteCache(LIMIT, clock), clock)
    neighbour = SeenSignature("layer 2", Reason.REGISTRY_UNAVAILABLE, "the registry answered 503")
    cache.put(KEY, replace(finding(Outcome.VERIFIED, Reason.VERIFIED), signatures=(neighbour,)), ANONYMOUS, OPEN)
    clock.advance(SETTINGS.refused_seconds)
    assert cache.get(KEY, ANONYMOUS) is None


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.5, 599.0])
def test_finding_expires_when_what_it_depends_on_ends(seconds: float) -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, ByteCache(LIMIT, clock), clock)
    clock.advance(100)
    ending = replace(finding(Outcome.VERIFIED, Reason.VERIFIED), valid_until=clock.now() + timedelta(seconds=seconds))
    cache.put(KEY, ending, ANONYMOUS, OPEN)
    if seconds > 0:
        clock.advance(seconds - 0.001)
        assert cache.get(KEY, ANONYMOUS) == Cached(ending, 100 + seconds)
        clock.advance(0.001)
    assert cache.get(KEY, ANONYMOUS) is None


def test_end_after_the_ttl_changes_nothing() -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, ByteCache(LIMIT, clock), clock)
    ending = replace(finding(Outcome.VERIFIED, Reason.VERIFIED), valid_until=clock.now() + timedelta(days=1))
    cache.put(KEY, ending, ANONYMOUS, OPEN)
    clock.advance(SETTINGS.verified_seconds)
    assert cache.get(KEY, ANONYMOUS) is None


def test_unavailable_finding_is_never_cached() -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, ByteCache(LIMIT, clock), clock)
    with pytest.raises(ValueError, match="must not be cached"):
        cache.put(KEY, finding(Outcome.UNAVAILABLE, Reason.REGISTRY_UNAVAILABLE), ANONYMOUS, OPEN)
    assert cache.get(KEY, ANONYMOUS) is None


@pytest.mark.parametrize(
    "other",
    [
        KEY._replace(content="01"),
        KEY._replace(authenticator="other"),
        KEY._replace(repository="registry.example.org/other"),
        KEY._replace(digest="sha256:" + "4b" * 32),
        KEY._replace(tag="v1"),
    ],
)
def test_finding_is_a_hit_for_its_own_key_only(other: FindingKey) -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, ByteCache(LIMIT, clock), clock)
    cache.put(KEY, finding(Outcome.VERIFIED, Reason.VERIFIED), ANONYMOUS, OPEN)
    assert cache.get(other, ANONYMOUS) is None


def test_tag_is_cached_for_its_ttl() -> None:
    clock = FakeClock()
    cache = TagCache(SETTINGS, ByteCache(LIMIT, clock))
    digest = parse_digest("sha256:" + "4a" * 32)
    cache.put("v1", digest, ANONYMOUS, OPEN)
    assert cache.get("v1", ANONYMOUS) == Cached(digest, 30)
    assert cache.get("v2", ANONYMOUS) is None
    clock.advance(30)
    assert cache.get("v1", ANONYMOUS) is None


def access(of: RepositoryCaller) -> Access:
    return of.access(of.identities())


def test_tag_resolved_with_credentials_is_only_for_equal_credentials() -> None:
    cache = TagCache(SETTINGS, ByteCache(LIMIT, FakeClock()))
    digest = parse_digest("sha256:" + "4a" * 32)
    cache.put("v1", digest, user("robot"), access(user("robot")))
    assert cache.get("v1", user("robot")) == Cached(digest, 30, access(user("robot")))
    assert cache.get("v1", user("other")) is None
    assert cache.get("v1", ANONYMOUS) is None


def test_tag_resolved_anonymously_is_for_every_caller() -> None:
    cache = TagCache(SETTINGS, ByteCache(LIMIT, FakeClock()))
    digest = parse_digest("sha256:" + "4a" * 32)
    cache.put("v1", digest, ANONYMOUS, access(ANONYMOUS))
    assert cache.get("v1", user("robot")) == Cached(digest, 30)


@pytest.mark.parametrize("outcome", [Outcome.VERIFIED, Outcome.REFUSED])
def test_finding_made_with_credentials_is_only_for_equal_credentials(outcome: Outcome) -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, ByteCache(LIMIT, clock), clock)
    made = finding(outcome, Reason.NO_SIGNATURE)
    cache.put(KEY, made, user("robot"), access(user("robot")))
    own = cache.get(KEY, user("robot"))
    assert own is not None
    assert (own.value, own.access) == (made, access(user("robot")))
    assert cache.get(KEY, user("other")) is None
    assert cache.get(KEY, ANONYMOUS) is None


def test_verified_finding_is_shared_after_a_grant_until_it_expires() -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, ByteCache(LIMIT, clock), clock)
    cache.put(KEY, finding(Outcome.VERIFIED, Reason.VERIFIED), user("robot"), access(user("robot")))
    clock.advance(100)
    assert cache.needs_grant(KEY, user("other"))
    cache.grant(KEY, user("other"))
    known = cache.get(KEY, user("other"))
    assert known is not None
    assert (known.expires_at, known.access) == (600, access(user("other")))
    assert cache.get(KEY, user("third")) is None
    clock.advance(500)
    assert cache.get(KEY, user("other")) is None
    assert not cache.needs_grant(KEY, user("other"))


def test_refusal_and_partial_finding_need_no_grant() -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, ByteCache(LIMIT, clock), clock)
    neighbour = SeenSignature("layer 2", Reason.REGISTRY_UNAUTHORIZED, "not for this caller")
    partial = replace(finding(Outcome.VERIFIED, Reason.VERIFIED), signatures=(neighbour,))
    for made in (finding(Outcome.REFUSED, Reason.NO_SIGNATURE), partial):
        cache.put(KEY, made, user("robot"), access(user("robot")))
        assert not cache.needs_grant(KEY, user("other"))
        cache.grant(KEY, user("other"))
        assert cache.get(KEY, user("other")) is None


def test_anonymous_refusal_is_only_for_anonymous_callers() -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, ByteCache(LIMIT, clock), clock)
    made = finding(Outcome.REFUSED, Reason.NO_SIGNATURE)
    cache.put(KEY, made, ANONYMOUS, access(ANONYMOUS))
    assert cache.get(KEY, ANONYMOUS) is not None
    assert cache.get(KEY, user("robot")) is None
