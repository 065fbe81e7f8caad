"""Credential helpers are real programs, run with bounds and only for the user's own Docker config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import ConfigError, UnavailableError
from sealgate.reasons import Reason
from sealgate.references import Repository
from sealgate.registry import credential_helpers as helpers
from sealgate.registry.credentials import Credentials, DockerConfigCredentials
from tests.support.environments.registry_clients import credentials_for
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANSWER = """#!/bin/sh
read -r server || true
echo "$1 $server" >> "$0.log"
printf '{"ServerURL":"%s","Username":"robot","Secret":"of %s"}' "$server" "$server"
"""


@pytest.fixture(name="helper")
def _helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    # Long enough for a helper on a busy machine.
    monkeypatch.setattr(helpers, "HELPER_SECONDS", 60)

    def make(name: str, script: str) -> Path:
        path = tmp_path / f"docker-credential-{name}"
        path.write_text(script)
        path.chmod(0o700)
        return path

    return make


def _config(tmp_path: Path, document: Any) -> DockerConfigCredentials:
    path = tmp_path / "config.json"
    path.write_bytes(encode(document))
    return DockerConfigCredentials.from_file(path)


def test_helper_is_called_for_its_registry(tmp_path: Path, helper: Callable[[str, str], Path]) -> None:
    program = helper("one", ANSWER)
    helper("two", ANSWER)
    config = _config(
        tmp_path, {"credHelpers": {"https://A.example.org": "one"}, "credsStore": "two", "auths": {"a.example.org": {}}}
    )
    for _ in range(2):
        assert credentials_for(config, Repository("a.example.org", "x")) == Credentials("robot", "of a.example.org")
    assert program.with_name(f"{program.name}.log").read_text() == "get a.example.org\n"
    assert credentials_for(config, Repository("b.example.org", "x")) == Credentials("robot", "of b.example.org")


def test_credential_store_is_called_after_the_entries(tmp_path: Path, helper: Callable[[str, str], Path]) -> None:
    helper("store", ANSWER)
    config = _config(
        tmp_path, {"credsStore": "store", "auths": {"a.example.org": {"username": "entry", "password": "x"}, "c.d": {}}}
    )
    assert credentials_for(config, Repository("a.example.org", "x")) == Credentials("entry", "x")
    assert credentials_for(config, Repository("c.d", "x")) == Credentials("robot", "of c.d")


def test_a_registry_without_helper_or_entry_has_no_credentials(
    tmp_path: Path, helper: Callable[[str, str], Path]
) -> None:
    helper("one", ANSWER)
    config = _config(tmp_path, {"credHelpers": {"a.example.org": "one"}})
    assert credentials_for(config, Repository("b.example.org", "x")) is None


def test_docker_hub_has_the_name_that_helpers_expect(tmp_path: Path, helper: Callable[[str, str], Path]) -> None:
    helper("store", ANSWER)
    config = _config(tmp_path, {"credsStore": "store"})
    found = credentials_for(config, Repository("docker.io", "library/nginx"))
    assert found == Credentials("robot", "of https://index.docker.io/v1/")


def test_a_helper_may_hold_an_identity_token(tmp_path: Path, helper: Callable[[str, str], Path]) -> None:
    helper("store", """#!/bin/sh\necho '{"Username":"<token>","Secret":"refresh me"}'\n""")
    config = _config(tmp_path, {"credsStore": "store"})
    assert credentials_for(config, Repository("a.example.org", "x")) == Credentials(identity_token="refresh me")


def test_helper_without_credentials_is_accepted(tmp_path: Path, helper: Callable[[str, str], Path]) -> None:
    helper("store", "#!/bin/sh\necho credentials not found in native keychain\nexit 1\n")
    assert credentials_for(_config(tmp_path, {"credsStore": "store"}), Repository("a.example.org", "x")) is None


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("#!/bin/sh\necho hunter2\nexit 1\n", "it ended with status 1"),
        ("#!/bin/sh\necho hunter2\n", "its answer is not the JSON"),
        ("""#!/bin/sh\necho '{"Username":"hunter2"}'\n""", "its answer is not the JSON"),
        ("#!/bin/sh\nexec yes hunter2\n", "it prints too much"),
        ("no program", "it cannot be started"),
    ],
)
def test_failing_helper_is_reported_without_its_output(
    tmp_path: Path, helper: Callable[[str, str], Path], script: str, why: str
) -> None:
    helper("bad", script)
    with pytest.raises(UnavailableError, match=f"docker-credential-bad failed: {why}") as failed:
        credentials_for(_config(tmp_path, {"credsStore": "bad"}), Repository("a.example.org", "x"))
    assert failed.value.reason is Reason.REGISTRY_UNAUTHORIZED
    assert "hunter2" not in str(failed.value)


def test_a_helper_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="docker-credential-no-such-helper failed: it is not installed"):
        credentials_for(_config(tmp_path, {"credsStore": "no-such-helper"}), Repository("a.example.org", "x"))


def test_a_helper_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, helper: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helpers, "HELPER_SECONDS", 0.2)
    helper("slow", "#!/bin/sh\nsleep 1000 &\nsleep 1000\n")
    with pytest.raises(UnavailableError, match="docker-credential-slow failed"):
        credentials_for(_config(tmp_path, {"credsStore": "slow"}), Repository("a.example.org", "x"))


@pytest.mark.parametrize("name", ["../x", "/bin/sh", "a b", "", "x\n", "-x"])
def test_a_helper_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        _config(tmp_path, {"credHelpers": {"a.example.org": name}})


def test_configs_that_others_wrote_run_no_programs(helper: Callable[[str, str], Path]) -> None:
    program = helper("store", ANSWER)
    data = encode({"credsStore": "store", "credHelpers": {"a.example.org": "store"}})
    config = DockerConfigCredentials.from_bytes(data, "Secret shop/pull")
    assert credentials_for(config, Repository("a.example.org", "x")) is None
    assert not program.with_name(f"{program.name}.log").exists()
