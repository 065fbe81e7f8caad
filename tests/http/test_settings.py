"""Settings of a host apply to every spelling of that host and to no other host."""

from __future__ import annotations

import pytest

from sealgate.errors import ConfigError
from sealgate.http.settings import HostSettings


def test_hosts_are_folded_as_in_references() -> None:
    settings = HostSettings(
        insecure=frozenset({"Registry.Example.Org:443", "localhost:5000"}),
        ca={"registry-1.docker.io": "pem"},
        mirrors={"index.docker.io": "Mirror.Example.Org"},
        private=frozenset({"auth.example.org"}),
    )
    assert settings.is_insecure("registry.example.org")
    assert settings.is_insecure("localhost:5000")
    assert settings.ca_of("registry-1.docker.io") == settings.ca_of("docker.io") == "pem"
    assert settings.mirrors == {"docker.io": "mirror.example.org"}
    for named in ("registry.example.org", "registry-1.docker.io", "mirror.example.org", "auth.example.org"):
        assert settings.names(named)


@pytest.mark.parametrize(
    "other", ["localhost", "localhost:5001", "localhost:50000", "a.localhost:5000", "127.0.0.1:5000"]
)
def test_a_host_is_only_that_host(other: str) -> None:
    settings = HostSettings(insecure=frozenset({"localhost:5000"}), ca={"localhost:5000": "pem"})
    assert not settings.is_insecure(other)
    assert not settings.names(other)
    assert settings.ca_of(other) is None


@pytest.mark.parametrize("wrong", ["", "https://a.example.org", "a.example.org/x", "*.example.org", "a b", "[::1"])
def test_invalid_host_in_settings_is_an_error(wrong: str) -> None:
    for given in (
        {"insecure": frozenset({wrong})},
        {"private": frozenset({wrong})},
        {"ca": {wrong: "pem"}},
        {"mirrors": {wrong: "a.example.org"}},
        {"mirrors": {"a.example.org": wrong}},
    ):
        with pytest.raises(ConfigError, match="host:port"):
            HostSettings(**given)
