"""Parsing of valid and invalid `WWW-Authenticate` headers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.registry.challenges import Challenge, parse_challenges
from tests.support.examples import examples


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ()),
        (" , ,", ()),
        ("Basic", (Challenge("basic"),)),
        ("Basic, Bearer", (Challenge("basic"), Challenge("bearer"))),
        ('Basic realm="a, b"', (Challenge("basic", {"realm": "a, b"}),)),
        ('BASIC Realm = "a" ', (Challenge("basic", {"realm": "a"}),)),
        (r'Basic realm="a\"b\\c"', (Challenge("basic", {"realm": r"a\"b\c".replace(r"\"", '"')}),)),
        ('Basic realm=""', (Challenge("basic", {"realm": ""}),)),
        (
            'Bearer realm="https://a/t",service="s",scope="x y",error=insufficient_scope',
            (
                Challenge(
                    "bearer", {"realm": "https://a/t", "service": "s", "scope": "x y", "error": "insufficient_scope"}
                ),
            ),
        ),
        (
            'Negotiate, Basic realm="a", Bearer realm="b", service=c',
            (
                Challenge("negotiate"),
                Challenge("basic", {"realm": "a"}),
                Challenge("bearer", {"realm": "b", "service": "c"}),
            ),
        ),
        ("Basic realm=Registry Realm", (Challenge("basic"),)),
        ("Basic realm='Registry Realm'", (Challenge("basic"),)),
        ("basic realm='a b', charset=\"UTF-8\"", (Challenge("basic"),)),
        ('Basic realm="not ended', (Challenge("basic"),)),
        ("Basic realm=", (Challenge("basic"),)),
        ("Basic realm=https://a.example.org/", (Challenge("basic"),)),
        (
            'Bearer realm="https://a/t", Basic realm=\'a b',
            (Challenge("bearer", {"realm": "https://a/t"}), Challenge("basic")),
        ),
        ("Negotiate abc/def==, Basic realm=x", (Challenge("negotiate"), Challenge("basic", {"realm": "x"}))),
    ],
)
def test_several_challenges_in_one_header_are_separated(header: str, expected: tuple[Challenge, ...]) -> None:
    assert parse_challenges(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        'Bearer realm="a',
        'Bearer realm="a" service="b"',
        "Bearer realm='a b'",
        "Bearer realm=https://a/t",
        "Basic realm='a b', Bearer realm=\"b\"",
        "Digest realm='a b'",
        'Bearer realm="a",realm="b"',
        'Bearer realm="a\nb"',
        "Bearer realm=,=",
        "=",
        'Bearer "a"',
        ", ".join(["Basic"] * 9),
        'Basic realm="' + "x" * 9000 + '"',
    ],
)
def test_text_outside_the_grammar_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="challenge"):
        parse_challenges(header)


@given(st.text(alphabet='aB=", \\/\t~\n', max_size=60))
@settings(max_examples=examples(200), deadline=None)
def test_any_text_is_parsed_or_refused(header: str) -> None:
    try:
        parse_challenges(header)
    except ValueError as error:
        assert "challenge" in str(error)  # noqa: PT017 - either outcome is fine
