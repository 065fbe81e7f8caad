"""Nothing is refused before the API server has reached the webhook; from then on nothing opens a gap."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import CHART, NAMESPACE
from tests.e2e import release
from tests.e2e.kube import get, helm
from tests.e2e.objects import pod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Shelf
    from tests.e2e.kube import Done, Object
    from tests.e2e.teams import Team

CONFIGURATIONS = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
#: Seconds that helm waits for an install that cannot succeed.
HOPELESS = "15s"
MISSING: Object = {"name": "MISSING", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "nothing"}}}
#: Releases that can never verify anything: by name, values that are merged over those of the tests.
BROKEN: dict[str, dict[str, Object]] = {
    "webhook-image": {"webhook": {"image": {"repository": "localhost/nowhere", "pullPolicy": "Never"}}},
    "operator-image": {"operator": {"image": {"repository": "localhost/nowhere", "pullPolicy": "Never"}}},
    "crashing": {"webhook": {"env": [{"name": "PYTHONHOME", "value": "/nowhere"}]}},
    "secret": {"webhook": {"env": [MISSING]}},
    "no-operator": {"operator": {"replicas": 0}},
}


@pytest.fixture(scope="module", autouse=True)
def _not_installed() -> Iterator[None]:
    if release.installed():
        release.uninstall()
    yield
    for path in ("sealgate", *BROKEN):
        helm("uninstall", path, "--namespace", NAMESPACE, "--ignore-not-found")


@pytest.fixture
def team(new_team: Callable[[], Team], shelf: Shelf) -> Team:
    """A namespace where every image has to be signed; nothing enforces it yet."""
    team = new_team()
    team.demand({"cosign": {"keys": [shelf.key.entry]}})
    return team


def test_installs_that_cannot_succeed_fail_and_block_nothing(team: Team, shelf: Shelf) -> None:
    def install(name: str) -> Done:
        options = ("--wait", "--timeout", HOPELESS, "--values", "-")
        return helm("install", name, str(CHART), "-n", NAMESPACE, *options, text=json.dumps(_merged(BROKEN[name])))

    with ThreadPoolExecutor(len(BROKEN)) as pool:
        done = dict(zip(BROKEN, pool.map(install, BROKEN), strict=True))
    for name, one in done.items():
        assert not one.ok, name
    hooks = [hook for configuration in get(CONFIGURATIONS)["items"] for hook in configuration["webhooks"]]
    assert len(hooks) == 4 * len(BROKEN)
    assert {hook["name"] for hook in hooks if hook.get("rules")} == {"self-test.sealgate.dev"}
    assert _admitted(team, shelf)
    for name in BROKEN:
        helm("uninstall", name, "-n", NAMESPACE).checked()
    assert get(CONFIGURATIONS)["items"] == []


def test_an_install_that_is_rolled_back_leaves_nothing(team: Team, shelf: Shelf) -> None:
    values = json.dumps(_merged(BROKEN["webhook-image"]))
    options = ("--rollback-on-failure", "--timeout", HOPELESS, "--values", "-")
    assert not helm("install", release.NAME, str(CHART), "-n", NAMESPACE, *options, text=values).ok
    assert get(CONFIGURATIONS)["items"] == []
    assert _admitted(team, shelf)


def _admitted(team: Team, shelf: Shelf) -> bool:
    """Whether a pod with an unsigned image is admitted."""
    return team.create(pod("probe", shelf.unsigned.tagged), dry_run=True).ok


def _merged(changes: dict[str, Object]) -> Object:
    merged = release.values()
    for component, values in changes.items():
        merged[component] = {**merged[component], **values}
    return merged
