"""Nothing is refused before the API server has reached the webhook; from then on nothing opens a gap."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import CHART, NAMESPACE, ROOT
from tests.e2e import release
from tests.e2e.admission_load import Witness
from tests.e2e.kube import eventually, get, helm, kubectl, run
from tests.e2e.objects import pod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
def _clean_up() -> Iterator[None]:
    yield
    _remove_everything()


@pytest.fixture
def _absent() -> None:
    """No release is installed, whatever the tests before have left."""
    _remove_everything()


@pytest.fixture
def _present() -> None:
    """sealgate is installed; a test before mostly has done that."""
    if not release.installed():
        _remove_everything()
        release.install()


def _remove_everything() -> None:
    for name in helm("list", "--namespace", NAMESPACE, "--short").checked().out.split():
        helm("uninstall", name, "--namespace", NAMESPACE, "--wait", "--timeout", "2m").checked()
    release.delete_lease()
    # What kubectl has replaced lacks Helm's annotations, and Helm 4 does not delete it.
    kubectl("delete", CONFIGURATIONS, "-l", "app.kubernetes.io/part-of=sealgate").checked()


@pytest.fixture
def team(new_team: Callable[[], Team], shelf: Shelf) -> Team:
    """A namespace where every image has to be signed.

    Replicas that start after this have read the policy before they are ready. Those that run already hear of it from
    their watches: a test with such replicas has to `settle` first.
    """
    team = new_team()
    team.demand({"cosign": {"keys": [shelf.key.entry]}})
    return team


@pytest.mark.usefixtures("_absent")
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


@pytest.mark.usefixtures("_absent")
def test_an_install_that_is_rolled_back_leaves_nothing(team: Team, shelf: Shelf) -> None:
    values = json.dumps(_merged(BROKEN["webhook-image"]))
    options = ("--rollback-on-failure", "--timeout", HOPELESS, "--values", "-")
    assert not helm("install", release.NAME, str(CHART), "-n", NAMESPACE, *options, text=values).ok
    assert get(CONFIGURATIONS)["items"] == []
    assert _admitted(team, shelf)


@pytest.mark.usefixtures("_absent")
def test_with_helm_3_images_are_verified_when_it_is_satisfied_and_nothing_takes_that_away(
    team: Team, shelf: Shelf
) -> None:
    release.install(tool="helm3")
    assert not _admitted(team, shelf)
    manifest = _configurations("helm3")
    before = _hooks()
    assert all(hook["rules"] for hook in before.values())

    for way in ((), ("--server-side", "--force-conflicts")):
        assert kubectl("diff", *way, "-f", "-", text=manifest).out == ""
        kubectl("apply", *way, "-f", "-", text=manifest).checked()
    with Witness(team.name, shelf.unsigned.tagged) as witness:
        kinds = [{**KIND, "versions": ["v1alpha1"]}]
        release.upgrade({"customKinds": kinds}, tool="helm3")
    assert witness.calls == len(witness.failures) > 0
    after = _hooks()
    assert after["workloads.sealgate.dev"]["rules"][-1]["apiGroups"] == [KIND["group"]]
    assert after["pods.sealgate.dev"] == before["pods.sealgate.dev"]


@pytest.mark.usefixtures("_present")
def test_uninstalling_without_an_operator_leaves_no_configuration(team: Team, shelf: Shelf) -> None:
    team.settle(shelf.unsigned.tagged, admitted=False)
    kubectl("-n", NAMESPACE, "scale", "deployment/sealgate-operator", "--replicas=0").checked()
    eventually(lambda: not release.pods("operator"), "no operator")
    assert not _admitted(team, shelf)
    release.uninstall()
    assert get(CONFIGURATIONS)["items"] == []
    _expect_admitted(team, shelf)


@pytest.mark.usefixtures("_absent")
def test_a_rendered_chart_that_kubectl_applies_works_without_helm(team: Team, shelf: Shelf) -> None:
    options = ("-n", NAMESPACE, "--no-hooks", "--values", "-")
    rendered = helm("template", release.NAME, str(CHART), *options, text=json.dumps(release.values())).checked().out
    kubectl("apply", "-n", NAMESPACE, "-f", "-", text=rendered).checked()
    try:
        kubectl("-n", NAMESPACE, "rollout", "status", "deployment/sealgate-operator", "--timeout=120s").checked()
        assert not _admitted(team, shelf)
    finally:
        kubectl("delete", "-n", NAMESPACE, "-f", "-", "--ignore-not-found", text=rendered).checked()
    _expect_admitted(team, shelf)


@pytest.mark.usefixtures("_absent")
def test_the_upgrade_from_a_chart_that_owned_the_rules(team: Team, shelf: Shelf, tmp_path: Path) -> None:
    release.install(chart=_chart_with_rules(tmp_path))
    assert not _admitted(team, shelf)
    copy, remove = _commands()
    with Witness(team.name, shelf.unsigned.tagged) as witness, Witness(team.name, shelf.signed.tagged) as other:
        run("bash", "-euc", copy).checked()
        release.upgrade({})
        run("bash", "-euc", remove).checked()
    # Nothing that is unsigned got in, and nothing that is signed was refused.
    assert witness.calls == len(witness.failures) > 0
    assert other.failures == []
    names = {item["metadata"]["name"] for item in get(CONFIGURATIONS)["items"]}
    assert names == {f"sealgate-{name}" for name in ("workloads", "policies", "pods", "self-test")}


@pytest.mark.usefixtures("_absent")
def test_the_upgrade_without_copies_has_a_gap_that_is_over_when_helm_is_satisfied(
    team: Team, shelf: Shelf, tmp_path: Path
) -> None:
    release.install(chart=_chart_with_rules(tmp_path))
    with Witness(team.name, shelf.unsigned.tagged) as witness:
        release.upgrade({})
        assert not _admitted(team, shelf)
    admitted = witness.calls - len(witness.failures)
    print(f"\n{admitted} of {witness.calls} unsigned pods were admitted meanwhile")  # noqa: T201 - a figure for the log


@pytest.mark.usefixtures("_present")
def test_what_kubectl_replace_removes_is_back_in_seconds_and_reported(team: Team, shelf: Shelf) -> None:
    kubectl("replace", "-f", "-", text=_configurations("helm")).checked()
    eventually(lambda: all(hook.get("rules") for hook in release.webhooks()), "the rules are back", 20)
    team.settle(shelf.unsigned.tagged, admitted=False)
    events = get("events", "-n", "default", "--field-selector=reason=RulesChanged")["items"]
    assert "sealgate-workloads" in {event["involvedObject"]["name"] for event in events}


KIND: Object = {"group": "argoproj.io", "resource": "rollouts", "kind": "Rollout", "podSpec": "spec.template.spec"}


def _admitted(team: Team, shelf: Shelf) -> bool:
    """Whether a pod with an unsigned image is admitted."""
    return team.create(pod("probe", shelf.unsigned.tagged), dry_run=True).ok


def _expect_admitted(team: Team, shelf: Shelf) -> None:
    """Expect that nothing keeps an unsigned image out, as soon as the API server has noticed what it has deleted."""
    eventually(lambda: _admitted(team, shelf), "nothing is enforced any more", 10)


def _configurations(tool: str) -> str:
    """Return the webhook configurations as the chart has them."""
    manifest = helm("get", "manifest", release.NAME, "-n", NAMESPACE, tool=tool).checked().out
    documents = [
        text for text in manifest.split("---\n") if re.search("^kind: .*WebhookConfiguration$", text, re.MULTILINE)
    ]
    assert len(documents) == 4
    return "---\n".join(documents)


def _hooks() -> dict[str, Object]:
    return {hook["name"]: hook for hook in release.webhooks()}


def _merged(changes: dict[str, Object]) -> Object:
    merged = release.values()
    for component, values in changes.items():
        merged[component] = {**merged[component], **values}
    return merged


def _chart_with_rules(folder: Path) -> Path:
    """Return a chart that owns the rules of two configurations of other names, as charts did before."""
    chart = shutil.copytree(CHART, folder / "sealgate")
    templates = chart / "templates"
    for file, pattern, text in (
        ("_helpers.tpl", "-leader", "-operator"),
        (
            "webhook/_webhooks.tpl",
            "-{{ .webhook }}",
            '{{ if has .webhook (list "self-test" "policies") }}-{{ .webhook }}{{ end }}',
        ),
        ("webhook/validating.yaml", '"path" "/validate") | nindent 6 }}', _with_rules("/validate", "workloadRules")),
        ("webhook/mutating.yaml", '"path" "/mutate") | nindent 6 }}', _with_rules("/mutate", "podRules")),
    ):
        before = (templates / file).read_text(encoding="utf-8")
        assert before.count(pattern) == 1
        (templates / file).write_text(before.replace(pattern, text), encoding="utf-8")
    return chart


def _with_rules(path: str, rules: str) -> str:
    return f'"path" "{path}") | nindent 6 }}}}\n    rules:\n      {{{{- include "sealgate.{rules}" . | nindent 6 }}}}'


def _commands() -> tuple[str, str]:
    """Return what docs/upgrade.md says: how the configurations are copied, and how the copies are deleted."""
    text = (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8")
    (block,) = (found for found in re.findall(r"```console\n(.*?)```", text, re.DOTALL) if "before-upgrade" in found)
    copy, _, rest = block.partition("helm upgrade")
    return copy, rest.partition("\n")[2]
