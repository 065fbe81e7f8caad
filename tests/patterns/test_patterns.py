"""The pattern language over arbitrary text."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidPatternError
from sealgate.patterns import MAX_ALTERNATIVES, MAX_LENGTH, compile_pattern, compile_tag_pattern
from sealgate.reasons import Reason
from tests.patterns.naive import naive_match
from tests.support.examples import examples


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("nginx", ["nginx"], ["nginx1", "anginx", "NGINX", ""]),
        ("nginx-*", ["nginx-", "nginx-a", "nginx-a.b"], ["nginx", "nginx-a/b"]),
        ("*", ["", "a"], ["/", "a/b"]),
        ("**", ["", "a", "a/b/c"], []),
        ("?", ["a"], ["", "/", "ab"]),
        ("a?c", ["abc", "a?c"], ["a/c", "ac"]),
        ("a/*/c", ["a/b/c", "a//c"], ["a/b/b/c"]),
        ("a/**/c", ["a/b/c", "a/b/b/c", "a//c"], ["a/c"]),
        ("**/c", ["a/c", "a/b/c", "/c"], ["c", "a/cc"]),
        ("*.example.com/**", ["a.example.com/x"], ["a/b.example.com/x", "a.example.com"]),
        ("{nginx, redis}-*", ["nginx-1", "redis-"], ["nginx", " redis-1", "redis-1/2", "nginx,redis-1"]),
        ("{ a ,\tb }", ["a", "b"], [" a ", "\tb"]),
        ("{a*, b**}/c", ["ax/c", "bx/y/c"], ["ax/y/c"]),
        ("{a}", ["a"], ["{a}"]),
        ("a,b", ["a,b"], ["a", "b"]),
        ("a.b+c(d)[e]^$|\\", ["a.b+c(d)[e]^$|\\"], ["axb+c(d)[e]^$|\\"]),
        ("*a*b*", ["ab", "xaxbx"], ["ba", "a/b"]),
        ("**a*b", ["x/ab", "a/a/axb"], ["a/b", "ab/"]),
        ("*/*", ["a/b", "/"], ["a", "a/b/c"]),
        ("***", ["a/b"], []),
        ("a{*,x}*", ["a", "abc", "axc"], ["a/b"]),
        ("a??b", ["axxb"], ["axb", "ax/b"]),
        ("a\nb", ["a\nb"], ["a\nb\n"]),
    ],
)
def test_pattern_agrees_with_the_plain_implementation(pattern: str, matching: list[str], others: list[str]) -> None:
    compiled = compile_pattern(pattern)

    assert [text for text in matching if not compiled.matches(text)] == []
    assert [text for text in others if compiled.matches(text)] == []


_PATTERN_TEXT = st.lists(st.sampled_from(["a", "b", "/", "*", "**", "?", "ab", "a/b"]), max_size=6).map("".join)
_BRACES = st.lists(_PATTERN_TEXT.filter(bool), min_size=1, max_size=3).map(
    lambda options: "{" + ", ".join(options) + "}"
)
PATTERNS = st.lists(st.one_of(_PATTERN_TEXT, _BRACES), min_size=1, max_size=4).map("".join).filter(bool)
TEXTS = st.text("ab/", max_size=12)
#: Every text of up to three characters. Drawing a pattern takes far longer than matching it against all of them.
SHORT_TEXTS = ["".join(letters) for length in range(4) for letters in itertools.product("ab/", repeat=length)]


@settings(max_examples=examples(300))
@given(PATTERNS, st.lists(TEXTS, max_size=4))
def test_matching_agrees_with_the_plain_telling_of_the_language(pattern: str, texts: list[str]) -> None:
    try:
        compiled = compile_pattern(pattern)
    except InvalidPatternError:
        return

    for text in (*SHORT_TEXTS, *texts):
        assert compiled.matches(text) == naive_match(pattern, text), text


@settings(max_examples=examples(300))
@given(st.text("ab/.-_{}*?, ", max_size=40))
def test_any_text_compiles_or_is_refused(pattern: str) -> None:
    with contextlib.suppress(InvalidPatternError):
        compiled = compile_pattern(pattern)

        assert compiled.text == pattern
        assert isinstance(compiled.matches(pattern), bool)


@settings(max_examples=examples(200))
@given(PATTERNS, TEXTS)
def test_every_match_starts_with_the_prefix(pattern: str, text: str) -> None:
    try:
        compiled = compile_pattern(pattern)
    except InvalidPatternError:
        return

    assert not compiled.matches(text) or text.startswith(compiled.prefix)


def test_prefix_is_shared_by_all_alternatives() -> None:
    assert compile_pattern("a/{b, bc}*/d").prefix == "a/b"
    assert compile_pattern("**/a").prefix == ""
    assert compile_pattern("a/b").prefix == "a/b"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("{a, b", "without a '}'"),
        ("a}", "without a '{'"),
        ("}{", "without a '{'"),
        ("{a,{b,c}}", "braces inside braces"),
        ("{}", "option between its braces is empty"),
        ("{a,}", "option between its braces is empty"),
        ("{a, ,b}", "option between its braces is empty"),
        ("a" * (MAX_LENGTH + 1), f"longer than {MAX_LENGTH}"),
        ("{a,b}" * 8, f"more than {MAX_ALTERNATIVES} combinations"),
    ],
)
def test_text_outside_the_language_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(InvalidPatternError) as caught:
        compile_pattern(pattern)

    assert caught.value.reason is Reason.INVALID_PATTERN
    assert why in caught.value.message
    assert len(caught.value.message) < MAX_LENGTH


def test_as_many_alternatives_as_allowed_compile() -> None:
    assert len(compile_pattern("{a,b}" * 7).globs) == MAX_ALTERNATIVES


def test_equal_alternatives_are_merged() -> None:
    assert len(compile_pattern("{a,a}{*,*}*").globs) == 1


@pytest.mark.parametrize("pattern", ["v*", "v?.{1, 2}.*", "_X-1", "**"])
def test_tag_pattern_may_contain_tag_characters(pattern: str) -> None:
    assert compile_tag_pattern(pattern).text == pattern


@pytest.mark.parametrize("pattern", ["a/b", "v1 ", ":v1", "v1@sha256", "vé", "{a, b/c}"])
def test_a_tag_pattern_that_no_tag_can_match_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPatternError, match="a tag cannot contain"):
        compile_tag_pattern(pattern)
