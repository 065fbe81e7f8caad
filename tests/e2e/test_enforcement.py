"""Enforcement starts once the API server has reached the webhook; from then on no operation opens a gap."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import CHART, NAMESPACE, ROOT
from tests.e2e import release
from tests.e2e.admission_load import AdmissionLoad
from tests.e2e.kube import eventually, get, helm, kubectl, run
from tests.e2e.objects import pod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import SampleImages
    from tests.e2e.kube import Done, Object
    from tests.e2e.teams import Team

CONFIGURATIONS = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
#: Timeout of an install that cannot succeed.
FAILING_TIMEOUT = "15s"
MISSING: Object = {"name": "MISSING", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "nothing"}}}
#: Releases that can never verify an image: by name, values that are merged into those of the tests.
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
    """Uninstall all releases that are left from other tests."""
    _remove_everything()


@pytest.fixture
def _present() -> None:
    """Install sealgate, unless a previous test has."""
    if not release.installed():
        _remove_everything()
        release.install()


def _remove_everything() -> None:
    for name in helm("list", "--namespace", NAMESPACE, "--short").checked().out.split():
        helm("uninstall", name, "--namespace", NAMESPACE, "--wait", "--timeout", "5m").checked()
    release.delete_lease()
    # Helm 4 does not delete configurations that kubectl has replaced, because they lack its annotations.
    kubectl("delete", CONFIGURATIONS, "-l", "app.kubernetes.io/part-of=sealgate").checked()


@pytest.fixture
def team(new_team: Callable[[], Team], samples: SampleImages) -> Team:
    """A namespace that requires a signature of every image.

    Replicas that start after this have read the policy before they are ready. Those that run already hear of it from
    their watches: a test with such replicas has to `wait_for_decision` first.
    """
    team = new_team()
    team.require({"cosign": {"keys": [samples.key.entry]}})
    return team


@pytest.mark.usefixtures("_absent")
def test_failed_installs_block_nothing(team: Team, samples: SampleImages) -> None:
    def install(name: str) -> Done:
        options = ("--wait", "--timeout", FAILING_TIMEOUT, "--values", "-")
        return helm("install", name, str(CHART), "-n", NAMESPACE, *options, text=json.dumps(_merged(BROKEN[name])))

    with ThreadPoolExecutor(len(BROKEN)) as pool:
        done = dict(zip(BROKEN, pool.map(install, BROKEN), strict=True))
    for name, one in done.items():
        assert not one.ok, name
    hooks = [hook for configuration in get(CONFIGURATIONS)["items"] for hook in configuration["webhooks"]]
    assert len(hooks) == 5 * len(BROKEN)
    assert {hook["name"] for hook in hooks if hook.get("rules")} == {"self-test.sealgate.dev"}
    assert _admitted(team, samples)
    for name in BROKEN:
        helm("uninstall", name, "-n", NAMESPACE).checked()
    assert get(CONFIGURATIONS)["items"] == []


@pytest.mark.usefixtures("_absent")
def test_rolled_back_install_leaves_no_configurations(team: Team, samples: SampleImages) -> None:
    values = json.dumps(_merged(BROKEN["webhook-image"]))
    options = ("--rollback-on-failure", "--timeout", FAILING_TIMEOUT, "--values", "-")
    assert not helm("install", release.NAME, str(CHART), "-n", NAMESPACE, *options, text=values).ok
    assert get(CONFIGURATIONS)["items"] == []
    assert _admitted(team, samples)


@pytest.mark.usefixtures("_absent")
def test_helm_3_install_enforces_and_upgrade_opens_no_gap(team: Team, samples: SampleImages) -> None:
    release.install(tool="helm3")
    assert not _admitted(team, samples)
    manifest = _configurations("helm3")
    before = _hooks()
    assert all(hook["rules"] for hook in before.values())

    for way in ((), ("--server-side", "--force-conflicts")):
        assert kubectl("diff", *way, "-f", "-", text=manifest).out == ""
        kubectl("apply", *way, "-f", "-", text=manifest).checked()
    with AdmissionLoad(team.name, samples.unsigned.tagged) as load:
        kinds = [{**KIND, "versions": ["v1alpha1"]}]
        release.upgrade({"customKinds": kinds}, tool="helm3")
    assert load.calls == len(load.failures) > 0
    after = _hooks()
    assert after["workloads.sealgate.dev"]["rules"][-1]["apiGroups"] == [KIND["group"]]
    assert after["pods.sealgate.dev"] == before["pods.sealgate.dev"]


@pytest.mark.usefixtures("_present")
def test_uninstall_without_operator_removes_configurations(team: Team, samples: SampleImages) -> None:
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    release.stop("operator")
    assert not _admitted(team, samples)
    release.uninstall()
    assert get(CONFIGURATIONS)["items"] == []
    _expect_admitted(team, samples)


@pytest.mark.usefixtures("_absent")
def test_rendered_chart_works_with_kubectl_apply(team: Team, samples: SampleImages) -> None:
    options = ("-n", NAMESPACE, "--no-hooks", "--values", "-")
    rendered = helm("template", release.NAME, str(CHART), *options, text=json.dumps(release.values())).checked().out
    kubectl("apply", "-n", NAMESPACE, "-f", "-", text=rendered).checked()
    try:
        kubectl("-n", NAMESPACE, "rollout", "status", "deployment/sealgate-operator", "--timeout=150s").checked()
        assert not _admitted(team, samples)
    finally:
        kubectl("delete", "-n", NAMESPACE, "-f", "-", "--ignore-not-found", text=rendered).checked()
    _expect_admitted(team, samples)


@pytest.mark.usefixtures("_absent")
def test_documented_upgrade_from_chart_with_rules_opens_no_gap(
    team: Team, samples: SampleImages, tmp_path: Path
) -> None:
    release.install(chart=_chart_with_rules(tmp_path))
    assert not _admitted(team, samples)
    copy, remove = _commands()
    with (
        AdmissionLoad(team.name, samples.unsigned.tagged) as load,
        AdmissionLoad(team.name, samples.signed.tagged) as other,
    ):
        run("bash", "-euc", copy).checked()
        release.upgrade({})
        run("bash", "-euc", remove).checked()
    # No unsigned image was admitted, and no signed image was denied.
    assert load.calls == len(load.failures) > 0
    assert other.failures == []
    names = {item["metadata"]["name"] for item in get(CONFIGURATIONS)["items"]}
    assert names == {f"sealgate-{name}" for name in ("workloads", "policies", "exceptions", "pods", "self-test")}


@pytest.mark.usefixtures("_absent")
def test_upgrade_without_copies_enforces_when_helm_returns(team: Team, samples: SampleImages, tmp_path: Path) -> None:
    release.install(chart=_chart_with_rules(tmp_path))
    with AdmissionLoad(team.name, samples.unsigned.tagged) as load:
        release.upgrade({})
        assert not _admitted(team, samples)
    admitted = load.calls - len(load.failures)
    print(f"\n{admitted} of {load.calls} unsigned pods were admitted meanwhile")  # noqa: T201 - a figure for the log


@pytest.mark.usefixtures("_present")
def test_rules_removed_by_kubectl_replace_are_restored(team: Team, samples: SampleImages) -> None:
    kubectl("replace", "-f", "-", text=_configurations("helm")).checked()
    eventually(lambda: all(hook.get("rules") for hook in release.webhooks()), "the rules are back")
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    # The operator applies the rules of one configuration after the other, and writes the Event of each afterwards.
    eventually(lambda: "sealgate-workloads" in _rules_changed(), "the Event of the rules")


def _rules_changed() -> set[str]:
    """Return the configurations about which an Event says that another client changed their rules."""
    events = get("events", "-n", "default", "--field-selector=reason=RulesChanged")["items"]
    return {event["involvedObject"]["name"] for event in events}


KIND: Object = {"group": "argoproj.io", "resource": "rollouts", "kind": "Rollout", "podSpec": "spec.template.spec"}


def _admitted(team: Team, samples: SampleImages) -> bool:
    """Return whether a pod with an unsigned image is admitted."""
    return team.create(pod("probe", samples.unsigned.tagged), dry_run=True).ok


def _expect_admitted(team: Team, samples: SampleImages) -> None:
    """Expect that an unsigned image is admitted once the API server has noticed that no configuration is left."""
    eventually(lambda: _admitted(team, samples), "enforcement has ended")


def _configurations(tool: str) -> str:
    """Return the webhook configurations of the release's manifest."""
    manifest = helm("get", "manifest", release.NAME, "-n", NAMESPACE, tool=tool).checked().out
    documents = [
        text for text in manifest.split("---\n") if re.search("^kind: .*WebhookConfiguration$", text, re.MULTILINE)
    ]
    assert len(documents) == 5
    return "---\n".join(documents)


def _hooks() -> dict[str, Object]:
    return {hook["name"]: hook for hook in release.webhooks()}


def _merged(changes: dict[str, Object]) -> Object:
    merged = release.values()
    for component, values in changes.items():
        merged[component] = {**merged[component], **values}
    return merged


def _chart_with_rules(folder: Path) -> Path:
    """Return a chart like those of older releases: it owns the rules, and two configurations have other names."""
    chart = shutil.copytree(CHART, folder / "sealgate")
    templates = chart / "templates"
    for file, pattern, text in (
        ("_helpers.tpl", "-leader", "-operator"),
        (
            "webhook/_webhooks.tpl",
            "-{{ .webhook }}",
            '{{ if has .webhook (list "self-test" "policies" "exceptions") }}-{{ .webhook }}{{ end }}',
        ),
        ("webhook/validating.yaml", _fields("workloads"), _with_rules("workloads", "workloadRules")),
        ("webhook/mutating.yaml", _fields("pods"), _with_rules("pods", "podRules")),
    ):
        before = (templates / file).read_text(encoding="utf-8")
        assert before.count(pattern) == 1
        (templates / file).write_text(before.replace(pattern, text), encoding="utf-8")
    return chart


def _fields(webhook: str) -> str:
    return f'{{{{- include "sealgate.webhook.{webhook}" . | nindent 4 }}}}'


def _with_rules(webhook: str, rules: str) -> str:
    return f'{_fields(webhook)}\n    rules:\n      {{{{- include "sealgate.{rules}" . | nindent 6 }}}}'


def _commands() -> tuple[str, str]:
    """Return the commands of docs/upgrade.md that copy the configurations and delete the copies."""
    text = (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8")
    (block,) = (found for found in re.findall(r"```console\n(.*?)```", text, re.DOTALL) if "before-upgrade" in found)
    copy, _, rest = block.partition("helm upgrade")
    return copy, rest.partition("\n")[2]
