from __future__ import annotations

from dataclasses import replace

import pytest

from sealgate.errors import Reason
from sealgate.findings import Finding, Outcome, SeenSignature
from sealgate.references import Repository, parse_digest
from sealgate.verification.caches import FindingCache, FindingKey, Remembered, TagCache
from sealgate.verification.settings import VerifierSettings
from tests.support.clocks import FakeClock

KEY = FindingKey("release:00", "registry.example.org/app", "sha256:" + "4a" * 32, None, "")
SETTINGS = VerifierSettings(verified_seconds=600, refused_seconds=30, tag_seconds=30, entries=100)


def finding(outcome: Outcome, reason: Reason) -> Finding:
    return Finding("release", "cosign", outcome, reason, "", ("sha256:00",) if outcome is Outcome.VERIFIED else ())


@pytest.mark.parametrize(
    ("outcome", "reason", "seconds"),
    [(Outcome.VERIFIED, Reason.VERIFIED, 600), (Outcome.REFUSED, Reason.NO_SIGNATURE, 30)],
)
def test_a_finding_is_believed_for_its_time_and_no_longer(outcome: Outcome, reason: Reason, seconds: float) -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, clock)
    cache.put(KEY, finding(outcome, reason))
    clock.advance(seconds - 0.001)
    assert cache.get(KEY) == Remembered(finding(outcome, reason), seconds)
    clock.advance(0.001)
    assert cache.get(KEY) is None


def test_a_finding_for_which_not_every_signature_could_be_looked_at_is_believed_shortly() -> None:
    clock = FakeClock()
    cache = FindingCache(SETTINGS, clock)
    neighbour = SeenSignature("layer 2", Reason.REGISTRY_UNAVAILABLE, "the registry answered 503")
    cache.put(KEY, replace(finding(Outcome.VERIFIED, Reason.VERIFIED), signatures=(neighbour,)))
    clock.advance(SETTINGS.refused_seconds)
    assert cache.get(KEY) is None


def test_what_could_not_be_found_out_is_never_remembered() -> None:
    cache = FindingCache(SETTINGS, FakeClock())
    with pytest.raises(ValueError, match="never remembered"):
        cache.put(KEY, finding(Outcome.UNAVAILABLE, Reason.REGISTRY_UNAVAILABLE))
    assert cache.get(KEY) is None


def test_a_cache_never_grows_beyond_its_entries() -> None:
    cache = FindingCache(SETTINGS, FakeClock())
    for number in range(1000):
        cache.put(KEY._replace(digest=f"sha256:{number:064x}"), finding(Outcome.VERIFIED, Reason.VERIFIED))
    assert len(cache) == 100


@pytest.mark.parametrize(
    "other",
    [
        KEY._replace(check="release:01"),
        KEY._replace(check="other:00"),
        KEY._replace(repository="registry.example.org/other"),
        KEY._replace(digest="sha256:" + "4b" * 32),
        KEY._replace(tag="v1"),
        KEY._replace(scope="team-a"),
    ],
)
def test_a_finding_answers_for_nothing_but_its_own_key(other: FindingKey) -> None:
    cache = FindingCache(SETTINGS, FakeClock())
    cache.put(KEY, finding(Outcome.VERIFIED, Reason.VERIFIED))
    assert cache.get(other) is None


def test_a_tag_is_remembered_shortly() -> None:
    clock = FakeClock()
    cache = TagCache(SETTINGS, clock)
    repository = Repository("registry.example.org", "app")
    digest = parse_digest("sha256:" + "4a" * 32)
    cache.put(repository, "v1", digest)
    assert cache.get(repository, "v1") == Remembered(digest, 30)
    assert cache.get(repository, "v2") is None
    clock.advance(30)
    assert cache.get(repository, "v1") is None
