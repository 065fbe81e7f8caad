"""Tests of sealgate on a real cluster: that of KUBECONFIG, which nothing else may use.

They run if SEALGATE_E2E is set (`make e2e`), in the order of `MODULE_ORDER`: modules that disturb the cluster more run
later. Each test uses its own namespaces and policies.
"""

from __future__ import annotations

import itertools
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.clusters import Machine, require_machine
from tests.e2e.images import Image, ImageBuilder
from tests.e2e.servers import name_servers
from tests.e2e.teams import Team

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.kube import Object

MODULE_ORDER = (
    "test_installation",
    "test_policy_objects",
    "test_workloads",
    "test_updates",
    "test_actions",
    "test_policy_bypasses",
    "test_pinning",
    "test_denial_events",
    "test_rollout",
    "test_columns",
    "test_pull_secrets",
    "test_scan",
    "test_doctor",
    "test_keyless",
    "test_attestations",
    "test_huawei_swr",
    "test_alibaba_acr",
    "test_oracle_ocir",
    "test_notation",
    "test_openshift",
    "test_docker_dtr",
    "test_signing_by_policy",
    "test_signing_with_services",
    "test_signing_under_load",
    "test_trusted_roots",
    "test_pull_credentials",
    "test_shared_cache",
    "test_policy_changes",
    "test_custom_kinds",
    "test_reports",
    "test_report_defaults",
    "test_upgrades",
    "test_client_certificates",
    "test_platforms",
    "test_guard",
    "test_stale_tags",
    "test_runbook",
    "test_faults",
    "test_exceptions",
    "test_outages",
    "test_backup",
    "test_reinstallation",
    "test_many_policies",
    "test_enforcement",
)
REASON = "needs a cluster that nothing else uses: set SEALGATE_E2E and KUBECONFIG (make e2e)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests of this folder, and skip them where there is no cluster."""
    here = [item for item in items if "tests/e2e/" in item.nodeid]
    for item in here:
        item.add_marker(pytest.mark.e2e)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(900))
        # A kubeconfig may disable verification of the API server's certificate.
        item.add_marker(pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"))
        if not os.environ.get("SEALGATE_E2E"):
            item.add_marker(pytest.mark.skip(reason=REASON))
    ordered = sorted(here, key=_position)
    items[:] = [item for item in items if item not in here] + ordered


def _position(item: pytest.Item) -> tuple[int, int]:
    assert isinstance(item, pytest.Function)
    return MODULE_ORDER.index(item.path.stem), item.function.__code__.co_firstlineno


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair of cosign.

    Attributes:
        name: name of the private key in `ImageBuilder`.
        pem: the public key in PEM.
    """

    name: str
    pem: str

    @property
    def entry(self) -> Object:
        """The entry of this key in an Authenticator."""
        return {"pem": self.pem}


@dataclass(frozen=True, slots=True)
class SampleImages:
    """Images that most tests share, and the keys they are signed with.

    Attributes:
        key: the trusted key.
        untrusted_key: a key that is in no policy by default.
        signed: signed with the trusted key.
        newer: another tag of that repository, also signed with the trusted key.
        unsigned: not signed.
        untrusted: signed with the untrusted key.
    """

    key: Key
    untrusted_key: Key
    signed: Image
    newer: Image
    unsigned: Image
    untrusted: Image


@pytest.fixture(scope="session")
def image_builder(tmp_path_factory: pytest.TempPathFactory) -> ImageBuilder:
    """Builder of images and keys."""
    return ImageBuilder(tmp_path_factory.mktemp("image_builder"))


@pytest.fixture(scope="session")
def repository() -> str:
    """Repository prefix of the images, different in each run, so that images of another run are never used."""
    return f"{release.REGISTRY}/e2e-{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def samples(image_builder: ImageBuilder, repository: str) -> SampleImages:
    """Images that most tests share."""
    key = Key("release", image_builder.new_key("release"))
    untrusted_key = Key("untrusted", image_builder.new_key("untrusted"))
    return SampleImages(
        key,
        untrusted_key,
        signed=image_builder.signed(f"{repository}/signed:1", key.name),
        newer=image_builder.signed(f"{repository}/signed:2", key.name),
        unsigned=image_builder.push(f"{repository}/unsigned:1", "unsigned"),
        untrusted=image_builder.signed(f"{repository}/untrusted:1", untrusted_key.name),
    )


@pytest.fixture(scope="session", autouse=True)
def sealgate() -> Iterator[None]:
    """Install sealgate for the session; an existing release is used and not uninstalled."""
    name_servers()
    if release.installed():
        yield
        return
    seconds = release.install()
    print(f"\nhelm install --wait took {seconds:.1f} s in {NAMESPACE}")  # noqa: T201 - a figure for the log
    yield
    if release.installed():
        release.uninstall()


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def new_team(_numbers: Iterator[int]) -> Iterator[Callable[[], Team]]:
    """Function that creates namespaces, which are deleted after the test."""
    yield from _make_teams(_numbers)


@pytest.fixture(scope="module")
def new_module_team(_numbers: Iterator[int]) -> Iterator[Callable[[], Team]]:
    """Function that creates namespaces, which are deleted after the module."""
    yield from _make_teams(_numbers)


def _make_teams(_numbers: Iterator[int]) -> Iterator[Callable[[], Team]]:
    teams: list[Team] = []

    def make() -> Team:
        team = Team(f"team-{next(_numbers)}-{secrets.token_hex(3)}")
        teams.append(team)
        return team

    yield make
    for team in teams:
        team.delete()


@pytest.fixture
def team(new_team: Callable[[], Team], samples: SampleImages) -> Team:
    """A namespace that requires a signature of the trusted key for every image."""
    team = new_team()
    team.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
    return team


@pytest.fixture
def machine() -> Machine:
    """The machine that runs the cluster."""
    return require_machine()
