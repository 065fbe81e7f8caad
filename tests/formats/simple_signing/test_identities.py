"""Matching of signed names against image references."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidReferenceError, VerificationError
from sealgate.formats.simple_signing.identities import (
    ExactRepository,
    Identity,
    MatchExact,
    MatchRepoDigestOrExact,
    MatchRepository,
    parse_exact_reference,
    parse_expected_identity,
    parse_remap,
    parse_signed_reference,
)
from sealgate.reasons import Reason
from sealgate.references import parse_reference, parse_repository
from tests.support.examples import examples
from tests.support.rows import row

D1, D2 = "sha256:" + "1" * 64, "sha256:" + "2" * 64
REPO = "r.example.org/team/api"

EXACT, REPO_DIGEST, REPOSITORY = MatchExact(), MatchRepoDigestOrExact(), MatchRepository()
ONE_REFERENCE = parse_exact_reference(f"{REPO}:1")
ONE_DIGEST = parse_exact_reference(f"{REPO}@{D1}")
ONE_REPOSITORY = ExactRepository(parse_repository(REPO))
MIRROR = parse_remap("mirror.example.org", "r.example.org")
DEEP_MIRROR = parse_remap("mirror.example.org/vendor", "r.example.org/team")
HUB = parse_remap("mirror.example.org", "docker.io")

ACCEPTED: list[tuple[Identity, str, str]] = [
    (EXACT, f"{REPO}:1", f"{REPO}:1"),
    (EXACT, f"{REPO}@{D1}", f"{REPO}@{D1}"),
    (EXACT, f"{REPO}:1@{D1}", f"{REPO}:1"),
    (EXACT, f"{REPO}:1@{D1}", f"{REPO}:1@{D1}"),
    (EXACT, REPO, f"{REPO}:latest"),
    (EXACT, "busybox", "docker.io/library/busybox:latest"),
    (EXACT, "busybox:1", "index.docker.io/library/busybox:1"),
    (EXACT, "R.example.org:443/team/api:1", f"{REPO}:1"),
    (REPO_DIGEST, f"{REPO}:1", f"{REPO}:1"),
    (REPO_DIGEST, REPO, f"{REPO}:latest"),
    (REPO_DIGEST, f"{REPO}:1@{D1}", f"{REPO}:1"),
    (REPO_DIGEST, f"{REPO}:1@{D1}", f"{REPO}:1@{D1}"),
    (REPO_DIGEST, f"{REPO}@{D1}", f"{REPO}:1"),
    (REPO_DIGEST, f"{REPO}@{D1}", f"{REPO}@{D1}"),
    (REPO_DIGEST, f"{REPO}@{D1}", f"{REPO}@{D2}"),
    (REPOSITORY, f"{REPO}:1", f"{REPO}:2"),
    (REPOSITORY, f"{REPO}:1", REPO),
    (REPOSITORY, REPO, f"{REPO}@{D1}"),
    (REPOSITORY, f"{REPO}@{D1}", REPO),
    (ONE_REFERENCE, "mirror.example.org/whatever:9", f"{REPO}:1"),
    (ONE_DIGEST, "mirror.example.org/whatever:9", f"{REPO}@{D1}"),
    (ONE_REPOSITORY, "mirror.example.org/whatever:9", f"{REPO}:2"),
    (ONE_REPOSITORY, "mirror.example.org/whatever:9", REPO),
    (MIRROR, "mirror.example.org/team/api:1", f"{REPO}:1"),
    (MIRROR, f"mirror.example.org/team/api@{D1}", f"{REPO}:2"),
    (MIRROR, f"mirror.example.org/team/api:1@{D1}", f"{REPO}:1"),
    (MIRROR, "other.example.org/team/api:1", "other.example.org/team/api:1"),
    (DEEP_MIRROR, "mirror.example.org/vendor/api:1", f"{REPO}:1"),
    (DEEP_MIRROR, "mirror.example.org/vendors/api:1", "mirror.example.org/vendors/api:1"),
    (HUB, "mirror.example.org/library/busybox:1", "busybox:1"),
    (parse_remap(REPO, "x.example.org/all/api"), f"{REPO}:1", "x.example.org/all/api:1"),
    (parse_remap("docker.io/team", "x.example.org"), "team/api:1", "x.example.org/api:1"),
]
REFUSED: list[tuple[Identity, str, str]] = [
    (EXACT, f"{REPO}:1", f"{REPO}:2"),
    (EXACT, f"{REPO}:1", REPO),
    (EXACT, f"{REPO}:latest", REPO),
    (EXACT, REPO, REPO),
    (EXACT, REPO, f"{REPO}:1"),
    (EXACT, f"{REPO}:1", f"{REPO}@{D1}"),
    (EXACT, f"{REPO}:1", f"{REPO}:1@{D1}"),
    (EXACT, f"{REPO}@{D1}", f"{REPO}:1"),
    (EXACT, f"{REPO}@{D1}", f"{REPO}@{D2}"),
    (EXACT, f"{REPO}:1@{D1}", f"{REPO}@{D1}"),
    (EXACT, f"{REPO}:1@{D1}", f"{REPO}:2"),
    (EXACT, f"{REPO}:1@{D1}", f"{REPO}:1@{D2}"),
    (EXACT, f"{REPO}:1", "other.example.org/team/api:1"),
    (EXACT, "busybox:1", "docker.io/busybox2:1"),
    (REPO_DIGEST, f"{REPO}:1", f"{REPO}:2"),
    (REPO_DIGEST, f"{REPO}:1", REPO),
    (REPO_DIGEST, f"{REPO}:1", f"{REPO}@{D1}"),
    (REPO_DIGEST, f"{REPO}:1", f"{REPO}:1@{D1}"),
    (REPO_DIGEST, f"{REPO}@{D1}", REPO),
    (REPO_DIGEST, f"{REPO}@{D1}", "r.example.org/team/web:1"),
    (REPO_DIGEST, f"{REPO}:1@{D1}", f"{REPO}:2"),
    (REPO_DIGEST, f"{REPO}:1@{D1}", f"{REPO}@{D1}"),
    (REPO_DIGEST, f"{REPO}:1@{D1}", REPO),
    (REPOSITORY, f"{REPO}:1", "r.example.org/team/api2:1"),
    (REPOSITORY, f"{REPO}:1", "r.example.org/team:1"),
    (REPOSITORY, f"{REPO}:1", "team/api:1"),
    (ONE_REFERENCE, f"{REPO}:2", f"{REPO}:2"),
    (ONE_REFERENCE, f"{REPO}:1", REPO),
    (ONE_REFERENCE, f"{REPO}:1", f"{REPO}:1@{D1}"),
    (ONE_DIGEST, f"{REPO}@{D1}", f"{REPO}@{D2}"),
    (ONE_REPOSITORY, "r.example.org/team/web:1", "r.example.org/team/web:1"),
    (MIRROR, "mirror.example.org/team/api:1", "mirror.example.org/team/api:1"),
    (MIRROR, "mirror.example.org/team/api:1", f"{REPO}:2"),
    (MIRROR, "mirror.example.org/team/api:1", REPO),
    (MIRROR, "mirror.example.org.evil.example/team/api:1", f"{REPO}:1"),
    (DEEP_MIRROR, "mirror.example.org/vendors/api:1", f"{REPO}s/api:1"),
    (HUB, "mirror.example.org/busybox:1", "busybox:1"),
    (parse_remap(REPO, "x.example.org"), f"{REPO}:1", "x.example.org/api:1"),
]


def test_a_name_that_is_one_for_the_image_is_accepted() -> None:
    for rule, image, signed in ACCEPTED:
        with row(rule, image, signed):
            rule.require(parse_reference(image), parse_signed_reference(signed))


def test_any_other_name_is_refused() -> None:
    for rule, image, signed in REFUSED:
        with row(rule, image, signed):
            with pytest.raises(VerificationError, match="was signed") as caught:
                rule.require(parse_reference(image), parse_signed_reference(signed))
            assert caught.value.reason in {Reason.IDENTITY_MISMATCH, Reason.REPOSITORY_MISMATCH}


@pytest.mark.parametrize(
    "text", ["", "UPPER/case", "a b", f"{REPO}:", f"{REPO}@sha512:{'1' * 128}", "a" * 500, "\x1b[31m"]
)
def test_invalid_signed_name_is_refused(text: str) -> None:
    with pytest.raises(VerificationError, match="not one of an image") as caught:
        parse_signed_reference(text)
    assert caught.value.reason is Reason.IDENTITY_MISMATCH
    assert caught.value.message.isprintable()


def test_mismatch_names_the_repository_or_the_tag() -> None:
    for signed, reason in ((f"{REPO}2:1", Reason.REPOSITORY_MISMATCH), (f"{REPO}:2", Reason.IDENTITY_MISMATCH)):
        with pytest.raises(VerificationError) as caught:
            EXACT.require(parse_reference(f"{REPO}:1"), parse_signed_reference(signed))
        assert caught.value.reason is reason


def test_an_expected_identity_without_tag_means_latest() -> None:
    assert str(parse_expected_identity(REPO)) == f"{REPO}:latest"
    assert str(parse_expected_identity(f"{REPO}@{D1}")) == f"{REPO}@{D1}"
    with pytest.raises(InvalidReferenceError, match="expect one of them"):
        parse_expected_identity(f"{REPO}:1@{D1}")


names = st.sampled_from([REPO, "r.example.org/team/web", "mirror.example.org/team/api", "busybox", "team/api"])
references = st.builds(
    "{}{}{}".format, names, st.sampled_from(["", ":1", ":2", ":latest"]), st.sampled_from(["", f"@{D1}", f"@{D2}"])
)


def accepts(rule: Identity, image: str, signed: str) -> bool:
    try:
        rule.require(parse_reference(image), parse_reference(signed))
    except VerificationError:
        return False
    return True


@settings(max_examples=examples(400), deadline=None)
@given(image=references, signed=references)
def test_the_rules_are_ordered_by_strictness(image: str, signed: str) -> None:
    if accepts(EXACT, image, signed):
        assert accepts(REPO_DIGEST, image, signed)
    if accepts(REPO_DIGEST, image, signed):
        assert accepts(REPOSITORY, image, signed)
        assert parse_reference(image).repository == parse_reference(signed).repository


@settings(max_examples=examples(200), deadline=None)
@given(image=references, signed=references)
def test_pinning_a_tag_by_digest_keeps_the_outcome(image: str, signed: str) -> None:
    reference: Any = parse_reference(image)
    if reference.digest is None and accepts(REPO_DIGEST, image, signed):
        assert accepts(REPO_DIGEST, f"{reference.name}:{reference.effective_tag}@{D1}", signed)
