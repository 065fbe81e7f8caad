"""Docker configs: selection of the entry for an image, and handling of invalid entries."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import ConfigError
from sealgate.references import Repository, parse_reference
from sealgate.registry.credentials import CredentialChain, Credentials, DockerConfigCredentials, NoCredentials
from tests.support.environments.registry_clients import credentials_for, docker_config
from tests.support.examples import examples
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from pathlib import Path

    from sealgate.registry.credentials import CredentialProvider


def _user(image: str, *keys: str) -> str | None:
    """Return the key whose credentials an image gets, of a config that has an entry for each key."""
    config = docker_config({key: {"username": key, "password": "x"} for key in keys})
    found = credentials_for(config, parse_reference(image).repository)
    return None if found is None else found.username


@pytest.mark.parametrize(
    "key",
    [
        "registry.example.org",
        "REGISTRY.example.org",
        "registry.example.org:443",
        "https://registry.example.org",
        "http://registry.example.org/",
        "https://registry.example.org/v1/",
        "https://registry.example.org/v2/",
        "https://registry.example.org/v2",
        "registry.example.org/team",
        "registry.example.org/team/app",
        "https://registry.example.org/v2/team/app/",
        "*.example.org",
        "*.*.org",
        "reg*.example.org",
        "r*g*y.example.org",
        "registry.*.*/team",
    ],
)
def test_an_entry_is_for_the_images_under_it(key: str) -> None:
    assert _user("registry.example.org/team/app:1", key) == key


@pytest.mark.parametrize(
    "key",
    [
        "example.org",
        "other.example.org",
        "registry.example.org.evil.com",
        "registry.example.org:5000",
        "*.org",
        "*",
        "*.registry.example.org",
        "registry.example.org/other",
        "registry.example.org/team/app/deeper",
        "registry.exampl?.org",
        "*.example.org:5000",
        "x*.example.org",
        "r*x*y.example.org",
        "registry.e*x*e*e.org",
        "",
    ],
)
def test_an_entry_is_not_for_other_images(key: str) -> None:
    assert _user("registry.example.org/team/app:1", key) is None


def test_a_port_is_part_of_the_registry() -> None:
    assert _user("registry.example.org:5000/app", "registry.example.org") is None
    assert _user("registry.example.org:5000/app", "*.example.org:5000") == "*.example.org:5000"


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_aliases(key: str) -> None:
    assert _user("nginx", key) == key


def test_the_most_exact_entry_wins() -> None:
    keys = ("*.example.org", "registry.example.org", "registry.example.org/team", "*.example.org/team/app/x")
    assert _user("registry.example.org/team/app/x", *keys) == "registry.example.org/team"
    assert _user("registry.example.org/other", *keys) == "registry.example.org"
    assert _user("another.example.org/team/app/x", *keys) == "*.example.org/team/app/x"
    assert _user("another.example.org/team", *keys) == "*.example.org"


def test_name_and_password_may_be_in_one_field() -> None:
    config = docker_config({"a.example.org": {"auth": b64encode(b"robot:pass:word\0").decode()}})
    assert credentials_for(config, Repository("a.example.org", "x")) == Credentials("robot", "pass:word")


def test_identity_tokens_are_read() -> None:
    config = docker_config({"a.example.org": {"identitytoken": "refresh me"}})
    assert credentials_for(config, Repository("a.example.org", "x")) == Credentials(identity_token="refresh me")


def test_empty_entries_are_ignored() -> None:
    assert _user("a.example.org/x") is None
    config = docker_config({"a.example.org": {}, "a.example.org/x": {"email": "a@example.org", "auth": ""}})
    assert credentials_for(config, Repository("a.example.org", "x")) is None


def test_older_config_format_is_read() -> None:
    data = encode({"https://a.example.org/v1/": {"auth": b64encode(b"robot:x").decode(), "email": "e"}})
    config = DockerConfigCredentials.from_bytes(data, "Secret shop/pull")
    assert credentials_for(config, Repository("a.example.org", "x")) == Credentials("robot", "x")


def test_config_without_logins_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"auths": null, "HttpHeaders": {"User-Agent": "x"}, "credHelpers": null, "credsStore": ""}')
    assert credentials_for(DockerConfigCredentials.from_file(path), Repository("a.example.org", "x")) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hunter2",
        b"[]",
        b'{"auths":[]}',
        b'{"auths":{},"auths":{}}',
        b'{"hunter2":' * 1000,
    ],
)
def test_a_bad_config_is_named_and_never_quoted(data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"Secret shop/pull\\n is not a docker config") as wrong:
        DockerConfigCredentials.from_bytes(data, "Secret shop/pull\n")
    assert "hunter2" not in str(wrong.value)
    assert wrong.value.__cause__ is None
    assert wrong.value.__suppress_context__


def test_a_config_with_too_many_entries_is_refused() -> None:
    data = encode({"auths": {f"{number}.example.org": {} for number in range(1025)}})
    with pytest.raises(ConfigError, match="more than 1024 entries"):
        DockerConfigCredentials.from_bytes(data, "Secret shop/pull")


@pytest.mark.parametrize(
    "entry",
    [
        "hunter2",
        {"auth": "hunter2!"},
        {"auth": "aHVudGVyMg=="},
        {"auth": "//8="},
        {"auth": "aHVudGVyMjp=="},
        {"username": 1},
        [],
    ],
)
def test_bad_entry_affects_only_itself_and_is_named(entry: object) -> None:
    good = {"username": "robot", "password": "x"}
    data = encode({"auths": {"bad.example.org": entry, "null.example.org": None, "a.example.org": good}})
    config = DockerConfigCredentials.from_bytes(data, "Secret shop/pull")
    assert config.unreadable == ("bad.example.org",)
    assert credentials_for(config, Repository("a.example.org", "x")) == Credentials("robot", "x")
    assert credentials_for(config, Repository("bad.example.org", "x")) is None


@pytest.mark.parametrize("auth", ["dXU6cHA", "dXU6cHA=", " dXU6\r\ncHA=\n", "dXU6 cHA"])
def test_base64_without_padding_or_with_white_space_is_read(auth: str) -> None:
    config = docker_config({"a.example.org": {"auth": auth}})
    assert credentials_for(config, Repository("a.example.org", "x")) == Credentials("uu", "pp")


def test_the_older_form_may_have_name_and_password() -> None:
    data = encode({"https://a.example.org": {"username": "u", "password": "p", "email": "a@example.org"}, "b.c": None})
    config = DockerConfigCredentials.from_bytes(data, "Secret shop/pull")
    assert config.unreadable == ()
    assert credentials_for(config, Repository("a.example.org", "x")) == Credentials("u", "p")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json cannot be read: No such file"):
        DockerConfigCredentials.from_file(tmp_path / "config.json")


def test_oversized_config_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b" " * (1 << 20) + b"{}")
    with pytest.raises(ConfigError):
        DockerConfigCredentials.from_file(path)


def test_chain_orders_candidates_by_path_length_then_source() -> None:
    one = docker_config(
        {
            "a.example.org": {"username": "one", "password": "x"},
            "a.example.org/team": {"username": "one-team", "password": "x"},
        }
    )
    two = docker_config(
        {
            "*.example.org": {"username": "two-wildcard", "password": "x"},
            "a.example.org": {"username": "two", "password": "x"},
            "a.example.org/team/app": {"username": "two-app", "password": "x"},
        }
    )
    chain = CredentialChain([NoCredentials(), one, two])
    assert [
        [
            candidate.credentials.username
            for candidate in chain.candidates(Repository(f"{name}.example.org", "team/app"))
        ]
        for name in ("a", "b", "c.d")
    ] == [["two-app", "one-team", "one", "two", "two-wildcard"], ["two-wildcard"], []]


def test_sources_differ_whenever_credentials_may() -> None:
    one = docker_config({"a.example.org": {"username": "one", "password": "x"}})
    two = docker_config({"a.example.org": {"username": "one", "password": "y"}})
    providers: list[CredentialProvider] = [
        NoCredentials(),
        one,
        two,
        CredentialChain([one, two]),
        CredentialChain([two, one]),
    ]
    assert len({provider.source for provider in providers}) == 5
    assert NoCredentials().source == CredentialChain([]).source


def test_secrets_do_not_show() -> None:
    shown = repr(Credentials("robot", "hunter2", "refresh me"))
    assert "robot" in shown
    assert "hunter2" not in shown
    assert "refresh" not in shown


@given(st.tuples(st.text(), st.text(), st.one_of(st.none(), st.text())), st.tuples(st.text(), st.text(), st.text()))
@settings(max_examples=examples(100), deadline=None)
def test_fingerprints_differ_with_credentials(one: tuple[str, str, str | None], two: tuple[str, str, str]) -> None:
    same = (one[0], one[1], one[2] or "") == two
    assert (Credentials(*one).fingerprint == Credentials(*two).fingerprint) is same


@given(st.text(alphabet="a*", max_size=12), st.text(alphabet="ab", max_size=12))
@settings(max_examples=examples(200), deadline=None)
def test_stars_stand_for_any_run_inside_one_part(pattern: str, part: str) -> None:
    import fnmatch
    import re

    if not part:
        return
    expected = re.fullmatch(fnmatch.translate(pattern), part) is not None
    assert (_user(f"{part}.example.org/x", f"{pattern}.example.org") is not None) is expected
