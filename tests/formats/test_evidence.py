"""Outcome of a verification: derived from all evidence, with one order of reasons for every format."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import DeadlineError, UnavailableError, VerificationError
from sealgate.formats.evidence import MAX_PASSED_OVER, Evidence, TooManyError
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.reasons import Reason
from tests.support.clocks import FakeClock
from tests.support.rows import row

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER = (
    Reason.EVIDENCE_TOO_LARGE,
    Reason.ANNOTATION_MISMATCH,
    Reason.IDENTITY_MISMATCH,
    Reason.REPOSITORY_MISMATCH,
    Reason.DIGEST_MISMATCH,
    Reason.REVOKED,
    Reason.EXPIRED,
    Reason.INVALID_SIGNATURE,
    Reason.UNKNOWN_KEY,
    Reason.MALFORMED_EVIDENCE,
    Reason.TYPE_MISMATCH,
    Reason.UNSUPPORTED_IMAGE,
)


def new(*keys: str, clock: FakeClock | None = None) -> Evidence:
    return Evidence(Deadline.after(clock or FakeClock(), 30), frozenset(keys) or None)


def made_by(key: str) -> Callable[[], tuple[str, str, bytes]]:
    return lambda: (key, f"made by {key}", b"signed")


def refused(reason: Reason) -> Callable[[], tuple[str, str, bytes]]:
    def verify() -> tuple[str, str, bytes]:
        raise VerificationError(f"because of {reason}", reason=reason)

    return verify


def accept(signed: bytes) -> None:
    assert signed == b"signed"


def reject(signed: bytes) -> None:
    assert signed == b"signed"
    raise VerificationError("it is about another image", reason=Reason.DIGEST_MISMATCH)


def test_refusal_that_explains_most_is_the_reason() -> None:
    for first, second in itertools.combinations(ORDER, 2):
        with row(first, second):
            for reasons in ((first, second), (second, first)):
                evidence = new()
                for reason in reasons:
                    evidence.judge(f"signature {reason}", refused(reason), accept)
                with pytest.raises(VerificationError, match=r"\(and 1 more that do not count\)") as caught:
                    evidence.conclude("nothing")
                assert caught.value.reason is first
                assert len(caught.value.signatures) == 2


def test_one_good_signature_is_enough() -> None:
    evidence = new("a", "b")
    evidence.judge("1", refused(Reason.UNKNOWN_KEY), accept)
    evidence.judge("2", made_by("a"), accept)
    with evidence.source("3"):
        raise UnavailableError("the store is down")
    with evidence.search("the rest"):
        evidence.count(MAX_SIGNATURES + 1)
    found = evidence.conclude("nothing")
    assert found.fingerprints == ("a",)
    assert [seen.source for seen in found.signatures] == ["1", "2", "3", "the rest"]


def test_evidence_is_complete_when_every_known_key_has_verified() -> None:
    evidence, unknown = new("a", "b"), new()
    for key, complete in (("a", False), ("b", True)):
        evidence.judge(key, made_by(key), accept)
        unknown.judge(key, made_by(key), accept)
        assert evidence.complete is complete
        assert not unknown.complete


def test_signature_with_wrong_claims_names_its_signer() -> None:
    evidence = new("a")
    evidence.judge("1", made_by("a"), reject)
    with pytest.raises(VerificationError, match="1: it is about another image") as caught:
        evidence.conclude("nothing")
    (seen,) = caught.value.signatures
    assert (seen.reason, seen.fingerprint) == (Reason.DIGEST_MISMATCH, "a")


def test_missing_signature_has_its_own_reason() -> None:
    with pytest.raises(VerificationError, match="nothing there") as caught:
        new().conclude("nothing there")
    assert caught.value.reason is Reason.NO_SIGNATURE


def test_unfetchable_source_is_unavailable_not_a_refusal() -> None:
    evidence = new()
    evidence.judge("1", refused(Reason.DIGEST_MISMATCH), accept)
    for number in (2, 3):
        with evidence.source(f"{number}"):
            raise UnavailableError(f"source {number} is down")
    with pytest.raises(UnavailableError, match="source 2 is down"):
        evidence.conclude("nothing")


def test_interrupted_search_is_unavailable() -> None:
    evidence = new()
    with evidence.search("the rest"):
        raise UnavailableError("the listing is down")
    with pytest.raises(UnavailableError, match="the listing is down"):
        evidence.conclude("nothing")


def test_too_many_candidates_are_the_first_reason() -> None:
    evidence = new()
    with evidence.source("1"):
        raise UnavailableError("source 1 is down")
    assert evidence.room == MAX_SIGNATURES
    with evidence.search("all candidates"), evidence.source("2"):
        evidence.count(MAX_SIGNATURES)
        assert evidence.room == 0
        evidence.count(1)
    with pytest.raises(VerificationError, match=f"more than {MAX_SIGNATURES} candidate") as caught:
        evidence.conclude("nothing")
    assert caught.value.reason is Reason.EVIDENCE_TOO_LARGE
    assert [seen.source for seen in caught.value.signatures] == ["1", "all candidates"]


def test_limit_ends_the_search_and_not_only_its_source() -> None:
    evidence = new()
    with pytest.raises(TooManyError), evidence.source("1"):
        evidence.count(MAX_SIGNATURES + 1)


def test_list_of_skipped_records_is_bounded() -> None:
    evidence = new()
    for number in range(MAX_PASSED_OVER + 5):
        evidence.pass_over(f"record {number}", Reason.TYPE_MISMATCH, "it is a build record")
    assert len(evidence.seen) == MAX_PASSED_OVER


def test_deadline_is_checked_before_each_candidate() -> None:
    clock = FakeClock()
    evidence = new(clock=clock)
    clock.advance(31)
    with pytest.raises(DeadlineError):
        evidence.judge("1", made_by("a"), accept)


@pytest.mark.parametrize("scope", [lambda evidence: evidence.search("rest"), lambda evidence: evidence.source("1")])
def test_unexpected_errors_are_not_recorded_but_raised(scope: Callable[[Evidence], object]) -> None:
    evidence = new()
    with pytest.raises(ZeroDivisionError), scope(evidence):  # type: ignore[attr-defined]  # a context manager
        raise ZeroDivisionError
    assert evidence.seen == ()
