"""sealgate on a real cluster: the one of KUBECONFIG, which these tests have to themselves.

They run where SEALGATE_E2E is set (`make e2e`), in the order of `ORDER`, since what they do to the cluster gets rougher
from one to the next. Each uses namespaces and policies of its own.
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
from tests.e2e.images import Image, Workshop
from tests.e2e.servers import name_servers
from tests.e2e.teams import Team

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.kube import Object

ORDER = (
    "test_installation",
    "test_policy_objects",
    "test_workloads",
    "test_updates",
    "test_actions",
    "test_policy_bypasses",
    "test_pinning",
    "test_denial_events",
    "test_pull_secrets",
    "test_huawei_swr",
    "test_alibaba_acr",
    "test_oracle_ocir",
    "test_openshift",
    "test_docker_dtr",
    "test_policy_changes",
    "test_custom_kinds",
    "test_upgrades",
    "test_client_certificates",
    "test_platforms",
    "test_runbook",
    "test_faults",
    "test_reinstallation",
    "test_many_policies",
    "test_enforcement",
)
REASON = "needs a cluster of its own: set SEALGATE_E2E and KUBECONFIG (make e2e)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests of this folder, and skip them where there is no cluster."""
    here = [item for item in items if "tests/e2e/" in item.nodeid]
    for item in here:
        item.add_marker(pytest.mark.e2e)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))
        # A kubeconfig may say that nobody is to look at the API server's certificate.
        item.add_marker(pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"))
        if not os.environ.get("SEALGATE_E2E"):
            item.add_marker(pytest.mark.skip(reason=REASON))
    ordered = sorted(here, key=_place)
    items[:] = [item for item in items if item not in here] + ordered


def _place(item: pytest.Item) -> tuple[int, int]:
    assert isinstance(item, pytest.Function)
    return ORDER.index(item.path.stem), item.function.__code__.co_firstlineno


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair of cosign's.

    Attributes:
        name: to sign with.
        pem: its public half.
    """

    name: str
    pem: str

    @property
    def entry(self) -> Object:
        """What an Authenticator says of it."""
        return {"pem": self.pem}


@dataclass(frozen=True, slots=True)
class Shelf:
    """The images of the tests, and the keys that they are signed with.

    Attributes:
        key: the key that counts.
        stranger: a key that nobody trusts.
        signed: signed with the key.
        newer: the same.
        unsigned: signed by nobody.
        strange: signed with the stranger's key.
    """

    key: Key
    stranger: Key
    signed: Image
    newer: Image
    unsigned: Image
    strange: Image


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """What makes images and keys."""
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="session")
def repository() -> str:
    """Where images go: a new place for each run, so that nothing is left from another."""
    return f"{release.REGISTRY}/e2e-{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def shelf(workshop: Workshop, repository: str) -> Shelf:
    """Images and keys."""
    key = Key("release", workshop.new_key("release"))
    stranger = Key("stranger", workshop.new_key("stranger"))
    return Shelf(
        key,
        stranger,
        signed=workshop.signed(f"{repository}/signed:1", key.name),
        newer=workshop.signed(f"{repository}/signed:2", key.name),
        unsigned=workshop.push(f"{repository}/unsigned:1", "unsigned"),
        strange=workshop.signed(f"{repository}/strange:1", stranger.name),
    )


@pytest.fixture(scope="session", autouse=True)
def sealgate() -> Iterator[None]:
    """sealgate, installed; what is there already stays, and is not taken away in the end."""
    name_servers()
    if release.installed():
        yield
        return
    seconds = release.install()
    print(f"\nhelm install --wait took {seconds:.1f} s in {NAMESPACE}")  # noqa: T201 - a figure that the log should have
    yield
    if release.installed():
        release.uninstall()


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def new_team(_numbers: Iterator[int]) -> Iterator[Callable[[], Team]]:
    """Makes namespaces; they are deleted in the end."""
    yield from _make_teams(_numbers)


@pytest.fixture(scope="module")
def new_module_team(_numbers: Iterator[int]) -> Iterator[Callable[[], Team]]:
    """Makes namespaces for all tests of a module."""
    yield from _make_teams(_numbers)


def _make_teams(_numbers: Iterator[int]) -> Iterator[Callable[[], Team]]:
    teams: list[Team] = []

    def make() -> Team:
        team = Team(f"team-{next(_numbers)}-{secrets.token_hex(3)}")
        teams.append(team)
        return team

    yield make
    for team in teams:
        team.forget()


@pytest.fixture
def team(new_team: Callable[[], Team], shelf: Shelf) -> Team:
    """A namespace where every image has to be signed with the key."""
    team = new_team()
    team.trust(shelf.key.entry, probe=shelf.unsigned.tagged)
    return team


@pytest.fixture
def machine() -> Machine:
    """The machine of the cluster."""
    return require_machine()
