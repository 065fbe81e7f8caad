"""URLs with more than one possible reading are refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import ForbiddenAddressError
from sealgate.http.urls import join_url, parse_origin, parse_url
from tests.support.examples import examples
from tests.support.rows import row


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.example.org", "https://a.example.org/"),
        ("HTTPS://A.Example.Org:443/X?y=%2F#z", "https://a.example.org/X?y=%2F"),
        ("http://a.example.org:80/", "http://a.example.org/"),
        ("http://a.example.org:443/", "http://a.example.org:443/"),
        ("https://[0:0::1]:5000/x", "https://[::1]:5000/x"),
        ("https://my_bucket.example.org/", "https://my_bucket.example.org/"),
        ("https://xn--bcher-kva.example/?", "https://xn--bcher-kva.example/"),
        ("https://127.0.0.1:5000//x", "https://127.0.0.1:5000//x"),
    ],
)
def test_urls_have_one_form(text: str, expected: str) -> None:
    assert str(parse_url(text)) == expected


AMBIGUOUS: list[str] = [
    "",
    "a.example.org",
    "//a.example.org/",
    "https:a.example.org",
    "https:///x",
    "https://",
    "ftp://a.example.org/",
    "file:///etc/passwd",
    "https://user@a.example.org/",
    "https://user:hunter2@a.example.org/",
    "https://a.example.org\\@evil.com/",
    "https://a.example.org /",
    "https://a.example.org/\n",
    "https://a.example.org/\tx",
    "https://a.example.org./",
    "https://a..example.org/",
    "https://-a.example.org/",
    "https://ä.example.org/",
    "https://a%2eexample.org/",
    "https://a.example.org:0/",
    "https://a.example.org:65536/",
    "https://a.example.org:x/",
    "https://a.example.org:/",
    "https://[::1/",
    "https://[::1%25eth0]/",
    "https://[v1.x]/",
    "https://[:::]/",
    "https://a.example.org/" + "x" * 9000,
    "https://" + "a." * 130 + "org/",
]


def test_ambiguous_url_is_refused() -> None:
    for text in AMBIGUOUS:
        with row(text):
            with pytest.raises(ForbiddenAddressError) as refused:
                parse_url(text)
            assert "\n" not in refused.value.message


def test_query_and_fragment_are_not_in_messages() -> None:
    with pytest.raises(ForbiddenAddressError) as refused:
        parse_url("ftp://a.example.org/x?signature=hunter2")
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/x", "https://a.example.org/x"),
        ("x", "https://a.example.org/v2/x"),
        ("//b.example.org/x", "https://b.example.org/x"),
        ("http://b.example.org", "http://b.example.org/"),
        ("?n=1", "https://a.example.org/v2/list?n=1"),
    ],
)
def test_links_are_relative_to_their_page(location: str, expected: str) -> None:
    assert str(join_url(parse_url("https://a.example.org/v2/list"), location)) == expected


@pytest.mark.parametrize("location", ["http://[", "\x00", "ftp://b.example.org/", "//user@b.example.org/", "x" * 9000])
def test_bad_links_are_refused(location: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        join_url(parse_url("https://a.example.org/v2/list"), location)


@pytest.mark.parametrize("registry", ["[:::]", "a..b", "a/b", "", "a:b"])
def test_registries_that_are_no_hosts_are_refused(registry: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        parse_origin("https", registry)


def test_origin_of_a_registry() -> None:
    assert parse_origin("http", "a.example.org").authority == "a.example.org"
    assert parse_origin("https", "[::1]:5000").authority == "[::1]:5000"


@given(st.text(max_size=40) | st.from_regex(r"https?://[a-z0-9.\[\]:@%_-]{0,20}[/?#][!-~]{0,20}", fullmatch=True))
@settings(max_examples=examples(300), deadline=None)
def test_parsing_is_idempotent(text: str) -> None:
    try:
        url = parse_url(text)
    except ForbiddenAddressError:
        return
    assert parse_url(str(url)) == url
