"""Limits of one policy object, counted in steps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidPatternError
from sealgate.patterns import CHARACTER_STEPS, GLOB_STEPS
from sealgate.policies.limits import (
    KEY_STEPS,
    MAX_PATTERN_STEPS,
    MAX_SIZE_STEPS,
    PATTERN_STEPS,
    ObjectTooLargeError,
    PatternCompiler,
    Steps,
    check_size,
)
from tests.support.examples import examples

BRACES = "{a,b}" * 7


def compiled(count: int, pattern: str) -> int:
    """Return how many of some different patterns one object may have."""
    patterns = PatternCompiler()
    for number in range(count):
        try:
            patterns.repository(pattern.format(number))
        except ObjectTooLargeError:
            return number
    return count


def test_steps_are_refused_once_they_are_used_up() -> None:
    steps = Steps(10, "too many")
    steps.spend(6)
    steps.spend(4)
    for more in (1, 0, 5):
        if more:
            with pytest.raises(ObjectTooLargeError, match="too many"):
                steps.spend(more)
        else:
            steps.spend(more)


def test_large_policy_of_plain_patterns_fits() -> None:
    assert compiled(256, "registry.example.org/team-{:03}/app/**") == 256
    assert compiled(450, "registry.example.org/team-{}/*") == 450


def test_patterns_of_one_object_are_too_large_together() -> None:
    count = compiled(256, f"r{{}}.example.org/{BRACES}".replace("{a,b}", "{{a,b}}"))
    assert 4 < count < 16


def test_equal_patterns_are_compiled_once() -> None:
    patterns = PatternCompiler()
    first = patterns.repository(f"registry.example.org/{BRACES}")
    assert all(patterns.repository(f"registry.example.org/{BRACES}") is first for _ in range(256))
    assert patterns.tag("**") is not patterns.repository("**")


def test_invalid_patterns_count_too() -> None:
    patterns = PatternCompiler()
    for number in range(64):
        with pytest.raises(InvalidPatternError):
            patterns.repository(f"r{number}.example.org/{BRACES}@")
    with pytest.raises(ObjectTooLargeError, match="or split the object into several"):
        patterns.repository(BRACES)


_PARTS = st.sampled_from(["{a,b}", "{a, b, c*}", "*", "?", "x", "/y", "**", "{x}", "longer-text/"])


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.lists(_PARTS, max_size=12).map("".join), max_size=60))
def test_any_patterns_make_no_more_than_the_limit(texts: list[str]) -> None:
    """What is compiled for one object is bounded, whatever its patterns are."""
    patterns, steps = PatternCompiler(), 0
    for text in dict.fromkeys(texts):
        try:
            pattern = patterns.repository(f"r.example.org/{text}")
        except ObjectTooLargeError:
            return
        except InvalidPatternError:
            continue
        shortest = min(len(glob.prefix) for glob in pattern.globs)
        steps += PATTERN_STEPS + len(pattern.globs) * (GLOB_STEPS + CHARACTER_STEPS * shortest)
        assert steps <= 2 * MAX_PATTERN_STEPS


@pytest.mark.parametrize(
    "spec",
    [
        {"cosign": {"keys": [{"pem": "x" * 800, "algorithm": "ECDSA_SHA_256"}] * 64}},
        {"simpleSigning": {"keyring": {"inline": "x" * 250_000}}},
        {"images": [{"repository": "r.example.org/*", "tags": ["v*"] * 8}] * 256},
        None,
        "text",
    ],
)
def test_large_objects_fit(spec: Any) -> None:
    check_size({"spec": spec})


@pytest.mark.parametrize(
    "spec",
    [
        {"cosign": {"keys": [{"pem": ""}] * (MAX_SIZE_STEPS // KEY_STEPS)}},
        {"cosign": {"keys": [{"pem": "x" * 65536}] * 5}},
        {"simpleSigning": {"keyring": {"inline": "x" * 330_000}}},
        {"cosign": {"annotations": {f"a{number}": "b" for number in range(MAX_SIZE_STEPS)}}},
        {"images": [{}] * MAX_SIZE_STEPS},
        {"images": [{"repository": "r.example.org/*", "tags": ["v*"] * 64}] * 256},
        {"description": "x" * 2_000_000},
        {"x" * 2_000_000: 1},
    ],
)
def test_object_that_is_too_large_is_refused(spec: Any) -> None:
    with pytest.raises(ObjectTooLargeError, match=r"too large: .*; split it into several, or move keys to Secrets"):
        check_size({"spec": spec})
