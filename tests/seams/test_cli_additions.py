"""New credential providers, clouds and commands work by the files that CONTRIBUTING.md lists, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.objects import write
from tests.seams.additions import Addition, copy_sources, listed_sources, run_commands, run_python
from tests.seams.cli_additions import CLOUD, COMMAND, CREDENTIALS
from tests.seams.test_seams import CLI
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from pathlib import Path

WEBHOOK = """
from sealgate.references import parse_reference
from sealgate.workloads.kinds import BUILT_IN
from sealgate_webhook.backends.cluster.pull_secrets import ClusterCredentials
import sys
import structlog
from sealgate.clocks import Deadline, SystemClock
from sealgate_webhook.backends.cluster.backend import ClusterBackend
from sealgate_webhook.backends.cluster.config import Registries
from sealgate_webhook.backends.cluster.platform_credentials import platform_credentials
from sealgate_webhook.metrics import Metrics
from sealgate_webhook.reviews.request import AdmissionRequest

request = AdmissionRequest("1", "", "Pod", "", "shop", "app", "CREATE", {}, None)
credentials = ClusterCredentials(None, None, pull_secrets=False, kinds=BUILT_IN).provider(request)
(found,) = credentials.candidates(parse_reference("registry.example.org/app").repository)
print(found.credentials.username)

log, clock = structlog.get_logger(), SystemClock()
image = parse_reference("registry.example.org/app").repository
assert platform_credentials(Registries(), clock, Metrics(log), log) is None
print([name for name in sys.modules if ".pull_credentials." in name and not name.endswith(".settings")])
entry = {"provider": "toy", "hosts": ["registry.example.org"], "parameters": {"colour": "red"}}
provider = platform_credentials(Registries(platformCredentials=[entry]), clock, Metrics(log), log)
credentials = ClusterCredentials(None, None, pull_secrets=False, kinds=BUILT_IN, platform=provider).provider(request)
(found, _) = credentials.candidates(image)
print(found.credentials.obtain(Deadline.after(clock, 30)).password)
print("sealgate.pull_credentials.providers.aws" in sys.modules)
"""
KEY = new_key("ECDSA P-256", "release")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    copy_sources(folder, CREDENTIALS, CLOUD, COMMAND)
    return folder


def test_toy_credentials_are_sent_to_a_registry_that_asks_for_some(sources: Path, tmp_path: Path) -> None:
    write(tmp_path / "policies.yaml", authenticator("release", KEY), policy("all"))
    with RegistrySimulator(auth=Auth("basic", {"toy": "t0y"})) as registry:
        push_classic(registry, "team/app", Classic(registry.push_image("team/app", "v1"), KEY))
        image = f"{registry.host}/team/app:v1"
        options = ("--policies", tmp_path, "--insecure-registry", registry.host, "--output", "json")
        result = run_python(sources, CLI, "verify", image, *options)
        assert result.returncode == 0, result.stderr


def test_webhook_uses_toy_credentials_and_those_of_a_toy_cloud_and_imports_no_cloud_without(sources: Path) -> None:
    result = run_python(sources, WEBHOOK)
    assert (result.returncode, result.stdout) == (0, "toy\n[]\ncl0ud\nFalse\n"), result.stderr


def test_toy_command_is_listed_and_runs_with_the_exit_codes_of_all(sources: Path) -> None:
    listed, described, repeated = run_commands(
        sources, ["--help"], ["toy", "--help"], ["toy", "hello", "--output", "json"]
    )
    assert "Repeat a word." in listed.stdout
    assert "Exit codes: 0 repeated" in described.stdout
    assert (repeated.returncode, repeated.stdout) == (0, "json: hello\n"), repeated.stderr
    refused = run_python(sources, CLI, "toy", "")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "the word is empty" in refused.stderr


@pytest.mark.parametrize(
    ("title", "addition"),
    [
        ("A new credential provider", CREDENTIALS),
        ("A new cloud for pull credentials", CLOUD),
        ("A new command", COMMAND),
    ],
)
def test_contributing_lists_every_source_file_that_is_touched(title: str, addition: Addition) -> None:
    assert listed_sources(title) == addition.touched
