"""Walking around patterns, and using them against sealgate itself."""

from __future__ import annotations

import pytest

from sealgate.errors import InvalidPatternError, InvalidReferenceError
from sealgate.patterns import MAX_ALTERNATIVES, MAX_EXPANDED, MAX_LENGTH, compile_pattern, compile_repository_pattern
from sealgate.references import MAX_PATH_LENGTH, parse_reference

DIGEST = "sha256:" + "4a" * 32


def covers(pattern: str, image: str) -> bool:
    return compile_repository_pattern(pattern).matches(parse_reference(image).name)


@pytest.mark.parametrize(
    "image",
    [
        "evil.com/good.com/app",
        "good.com.evil.com/app",
        "xgood.com/app",
        "good.com-evil.org/app",
        "good.com:5000/app",
        "evil.com/app",
        "good.com/team/app",
        "goodxcom/app",
    ],
)
def test_attack_22_a_pattern_is_anchored_at_both_ends(image: str) -> None:
    assert covers("good.com/*", "good.com/app")
    assert not covers("good.com/*", image)


@pytest.mark.parametrize(
    "image",
    ["GOOD.com/app", "good.com:443/app", "Good.Com:443/app:v1", f"good.com/app@{DIGEST}", f"good.com/app:v1@{DIGEST}"],
)
def test_attack_22_another_spelling_is_covered_too(image: str) -> None:
    assert covers("good.com/app", image)
    assert covers("GOOD.com:443/app", image)


@pytest.mark.parametrize("image", ["nginx", "library/nginx", "docker.io/nginx", "index.docker.io/library/nginx"])
@pytest.mark.parametrize("pattern", ["docker.io/library/nginx", "index.docker.io/library/*", "Docker.io/**"])
def test_attack_22_docker_hub_is_covered_however_it_is_written(pattern: str, image: str) -> None:
    assert covers(pattern, image)


def test_attack_22_one_star_stays_between_slashes() -> None:
    assert not covers("*/app", "good.com/team/app")
    assert not covers("good.com/*", "good.com/a/b")
    assert not covers("good.com/?app", "good.com/x/app")
    assert not covers("*.good.com/app", "evil.com/x.good.com/app")


def test_attack_22_case_is_never_folded_in_a_match() -> None:
    pattern = compile_pattern("v1-*")

    assert pattern.matches("v1-a")
    assert not pattern.matches("V1-a")


@pytest.mark.parametrize("pattern", ["good.com**", "good.com**/app", "good.com*/**"])
def test_attack_22_a_host_does_not_grow_by_accident(pattern: str) -> None:
    """`good.com**` would let in `good.com.evil.org/x`; with one star it covers no more than its text suggests."""
    try:
        compiled = compile_repository_pattern(pattern)
    except InvalidPatternError:
        return
    assert "*/" in compiled.text


@pytest.mark.parametrize("host", ["[2001:DB8::1]", "[2001:db8:0:0::1]:443"])
def test_attack_22_an_ipv6_registry_is_covered_in_every_spelling(host: str) -> None:
    assert covers("[2001:db8::1]/**", f"{host}/app")
    assert covers(f"{host}/**", "[2001:db8::1]/app")


@pytest.mark.parametrize(
    "pattern", ["a*" * 200, "**a" * 150, "*?" * 200, "{a*,*a}" * 7, "?*" * 100 + "b", "*a**b?" * 80]
)
def test_attack_23_worst_pattern_takes_linear_time(pattern: str) -> None:
    """With backtracking, any of these would take longer than the universe has been there."""
    compiled = compile_pattern(pattern)

    for text in ("a" * MAX_PATH_LENGTH, "ab" * 120, "a/" * 120, "a" * MAX_PATH_LENGTH + "c"):
        assert isinstance(compiled.matches(text), bool)


@pytest.mark.parametrize("pattern", ["{a,{b,{c,{d,e}}}}", "{" * 200, "{a" * 100 + "}" * 100, "{{a,b},c}"])
def test_attack_23_nested_braces_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidPatternError):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", ["{a,b}" * 100, "{a,b,c,d,e,f,g,h}" * 30, "{" + "a," * 250 + "a}"])
def test_attack_23_braces_that_multiply_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidPatternError, match=f"more than {MAX_ALTERNATIVES}"):
        compile_pattern(pattern)


def test_attack_23_an_endless_pattern_is_refused_unread() -> None:
    with pytest.raises(InvalidPatternError, match=f"longer than {MAX_LENGTH}"):
        compile_pattern("{*," * 10_000_000)


def test_attack_23_an_endless_name_is_never_matched() -> None:
    with pytest.raises(InvalidReferenceError):
        parse_reference("a" * 10_000_000)


def test_attack_36_the_largest_patterns_stay_small() -> None:
    pattern = compile_repository_pattern("quay.io/" + "{*a?,**b?}" * 6 + "*c?" * 30)

    assert not pattern.matches("quay.io/" + "ab" * 120)
    with pytest.raises(InvalidPatternError, match=f"more than {MAX_EXPANDED} characters"):
        compile_pattern("{*a?,**b?}" * 7 + "*c?" * 130)
