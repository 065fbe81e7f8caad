"""Patterns over normalised repository names; a pattern that can never match is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidPatternError
from sealgate.patterns import compile_repository_pattern
from sealgate.references import parse_reference
from tests.support.examples import examples
from tests.support.rows import row


@pytest.mark.parametrize(
    ("pattern", "image"),
    [
        ("docker.io/library/nginx", "nginx"),
        ("index.docker.io/library/nginx", "nginx"),
        ("registry-1.docker.io/**", "grafana/grafana"),
        ("Docker.IO/library/*", "redis"),
        ("Registry.Example.org:443/app", "registry.example.org/app"),
        ("REGISTRY.example.org/team/**", "registry.example.org/team/a/b"),
        ("registry:5000/app-?", "registry:5000/app-1"),
        ("registry:443/app", "registry:443/app"),
        ("localhost/app", "localhost/app"),
        ("[2001:DB8:0::1]:5000/*", "[2001:db8::1]:5000/app"),
        ("[::1]:443/**", "[::1]/a/b"),
        ("*/library/nginx", "docker.io/library/nginx"),
        ("**", "quay.io/app"),
        ("**/nginx", "registry.example.org/a/nginx"),
        ("*.example.org/**", "registry.example.org/app"),
        ("registry-{1, 2}.example.org/app", "registry-2.example.org/app"),
        ("{docker.io, Quay.IO:443}/team/*", "quay.io/team/app"),
        ("{index.docker.io/library, quay.io}/app", "app"),
        ("swr.example.com/library/{nginx,redis}-*", "swr.example.com/library/redis-7"),
        ("reg-*:443/app", "reg-a:443/app"),
        ("localhost:*/**", "localhost:5000/app"),
        ("docker.io/*/nginx", "nginx"),
        ("docker.io/**", "nginx"),
    ],
)
def test_a_pattern_covers_the_normalised_name(pattern: str, image: str) -> None:
    assert compile_repository_pattern(pattern).matches(parse_reference(image).name)


def test_the_text_stays_as_written() -> None:
    assert compile_repository_pattern("Index.docker.io:443/library/*").text == "Index.docker.io:443/library/*"


NEVER_MATCHING: list[tuple[str, str]] = [
    ("nginx", "write docker.io/library/nginx"),
    ("nginx-*", "write docker.io/library/nginx-*, or **/nginx-*"),
    ("library/nginx", "write docker.io/library/nginx"),
    ("library/*", "write docker.io/library/*"),
    ("team-*/app", "write docker.io/team-*/app"),
    ("app**", "write docker.io/library/app**"),
    ("*", "registry/path"),
    ("?pp", "registry/path"),
    ("{nginx, redis}", "(as nginx) can never match"),
    ("{quay.io, team}/app", "(as team/app) can never match"),
    ("/app", "write docker.io/library/app"),
    ("/team/app", "write docker.io/team/app"),
    ("docker.io/nginx", "write docker.io/library/nginx"),
    ("docker.io/*", "write docker.io/library/*"),
    ("index.docker.io/ngin?", "write docker.io/library/ngin?"),
    ("quay.io/Team/app", "write quay.io/team/app"),
    ("quay.io/team/App-*", "write quay.io/team/app-*"),
    ("*.Example.org/app", "write *.example.org/app"),
    ("*.example.org:443/**", "leave :443 out"),
    ("quay.io/app:v1", "tags have patterns of their own"),
    ("quay.io/app:*", "tags have patterns of their own"),
    ("quay.io/app@sha256:*", "tags have patterns of their own"),
    ("quay.io//app", "between slashes"),
    ("quay.io/**/", "between slashes"),
    ("quay.io/", "between slashes"),
    ("quay.io/team /app", "a repository name cannot contain"),
    (" quay.io/app", "not a registry"),
    ("quay.io/*,redhat.io/*", "a repository name cannot contain"),
    ("https://quay.io/app", "port"),
    ("quay.io/a..b", "must be lower-case letters"),
    ("quay.io/-app", "must be lower-case letters"),
    ("quay.io./app", "not a registry"),
    ("quay.io:0443/app", "without leading zeros"),
    ("127.1/app", "IPv4"),
    ("quay.io/é*", "a repository name cannot contain"),
    ("quay.io**", "write quay.io/**"),
    ("*.example.org**", "write *.example.org/**"),
    ("quay.io**/app", "also covers longer host names"),
    ("quay.io/(app|web)", "a repository name cannot contain"),
    ("^quay\\.io/app$", "not a registry"),
]


def test_pattern_that_never_matches_is_refused_with_a_correction() -> None:
    for pattern, hint in NEVER_MATCHING:
        with row(pattern, hint):
            with pytest.raises(InvalidPatternError) as caught:
                compile_repository_pattern(pattern)

            assert hint in caught.value.message


_NAMES = st.lists(st.from_regex(r"[a-z0-9]{1,3}(-[a-z0-9]{1,2})?", fullmatch=True), min_size=1, max_size=3).map(
    "/".join
)
_HOSTS = st.sampled_from(["docker.io", "quay.io", "Quay.IO:443", "index.docker.io", "localhost:5000", "reg:443"])


@settings(max_examples=examples(200))
@given(_HOSTS, _NAMES)
def test_a_literal_pattern_covers_the_image_it_spells_and_no_other(host: str, path: str) -> None:
    try:
        pattern = compile_repository_pattern(f"{host}/{path}")
    except InvalidPatternError:
        assert "/" not in path  # Docker Hub's own images, without library
        return

    assert pattern.matches(parse_reference(f"{host}/{path}").name)
    assert not pattern.matches(parse_reference(f"{host}/{path}x").name)


@settings(max_examples=examples(300))
@given(st.text("aA.:/*?{},@- ", max_size=25))
def test_any_text_compiles_or_is_refused(pattern: str) -> None:
    with contextlib.suppress(InvalidPatternError):
        assert compile_repository_pattern(pattern).text == pattern
