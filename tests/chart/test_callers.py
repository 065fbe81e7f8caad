"""Who may send reviews: client certificates, addresses, and the certificate of `helm test`."""

from __future__ import annotations

from typing import Any

import pytest

from sealgate_webhook.backends.cluster.config import WebhookConfig
from tests.chart.rendering import CHART, NAMESPACE, VALUE_SETS, Manifest, config, find, helm, render

CLIENTS = VALUE_SETS["client-certificates"]


def _with(**webhook: Any) -> Manifest:
    return {**CLIENTS, "webhook": {**CLIENTS["webhook"], **webhook}}


def _spec(manifests: tuple[Manifest, ...]) -> Manifest:
    spec: Manifest = find(manifests, "Deployment", "sealgate-webhook")["spec"]["template"]
    return spec


def test_webhook_config_has_the_ca_and_the_names() -> None:
    manifests = render(CLIENTS)
    settings = WebhookConfig.model_validate(config(manifests, "webhook"))
    assert settings.client_names == ("kube-apiserver",)
    mounts = {mount["mountPath"]: mount["name"] for mount in _spec(manifests)["spec"]["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in _spec(manifests)["spec"]["volumes"]}
    folder, _, key = settings.client_ca.rpartition("/")
    config_map = find(manifests, "ConfigMap", volumes[mounts[folder]]["configMap"]["name"])
    assert config_map["data"][key] == CLIENTS["webhook"]["clientCA"]
    folder, _, key = settings.self_test_certificate.rpartition("/")
    secret = volumes[mounts[folder]]["secret"]
    assert secret["optional"] is True
    assert [item["key"] for item in secret["items"]] == [key] == ["trusted.crt"]


def test_a_changed_ca_restarts_nothing_and_changed_names_do() -> None:
    template = _spec(render(CLIENTS))
    assert template == _spec(render(_with(clientCA="other")))
    assert template != _spec(render(_with(clientNames=["other"])))


@pytest.mark.parametrize(
    ("webhook", "why"),
    [
        ({"clientCA": "x"}, "webhook.clientCA needs webhook.clientNames"),
        ({"clientNames": ["x"]}, "webhook.clientNames needs webhook.clientCA"),
        (
            {"clientCA": "x", "clientNames": ["x"], "url": "https://192.0.2.1"},
            "applies to the webhook that the chart installs",
        ),
    ],
)
def test_half_a_setting_is_refused(webhook: Manifest, why: str) -> None:
    done = helm("template", "sealgate", str(CHART), values={"webhook": webhook})
    assert done.returncode != 0
    assert why in done.stderr


def test_the_operator_makes_the_self_test_s_certificate_also_beside_cert_manager() -> None:
    manifests = render(CLIENTS)
    name = config(manifests, "operator")["selfTestSecret"]
    assert "data" not in find(manifests, "Secret", name)
    rules = find(manifests, "Role", "sealgate-operator")["rules"]
    writes = [rule for rule in rules if "secrets" in rule["resources"] and "patch" in rule["verbs"]]
    assert [rule["resourceNames"] for rule in writes] == [[name]]
    assert config(render(), "operator")["selfTestSecret"] == ""
    assert name not in {obj["metadata"]["name"] for obj in render() if obj["kind"] == "Secret"}


def test_the_self_test_s_key_is_seen_by_the_test_only() -> None:
    manifests = render(CLIENTS)
    test = find(manifests, "Pod")["spec"]
    (secret,) = (v["secret"] for v in test["volumes"] if v["name"] == "self-test")
    assert [item["key"] for item in secret["items"]] == ["tls.crt", "tls.key"]
    assert "load_cert_chain" in test["containers"][0]["args"][0]
    assert "load_cert_chain" not in find(render(), "Pod")["spec"]["containers"][0]["args"][0]


@pytest.mark.parametrize("name", ["default", "client-certificates"])
def test_the_script_of_helm_test_is_python(name: str) -> None:
    compile(find(render(VALUE_SETS[name]), "Pod")["spec"]["containers"][0]["args"][0], "test", "exec")


def test_addresses_narrow_the_port_and_leave_the_test_in() -> None:
    assert "from" not in find(render(), "NetworkPolicy", "sealgate-webhook")["spec"]["ingress"][0]
    manifests = render(CLIENTS)
    peers = find(manifests, "NetworkPolicy", "sealgate-webhook")["spec"]["ingress"][0]["from"]
    assert peers[0] == {"ipBlock": {"cidr": "192.0.2.0/28"}}
    labels = find(manifests, "Pod")["metadata"]["labels"]
    assert peers[1]["podSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize(
    ("values", "open_to_all"),
    [
        ({}, True),
        (CLIENTS, False),
        ({"networkPolicy": CLIENTS["networkPolicy"]}, False),
        ({"networkPolicy": {**CLIENTS["networkPolicy"], "enabled": False}}, True),
        (VALUE_SETS["outside"], False),
    ],
)
def test_the_notes_say_that_the_port_is_open(values: Manifest, open_to_all: bool) -> None:  # noqa: FBT001 - a table
    done = helm("install", "sealgate", str(CHART), "-n", NAMESPACE, "--dry-run=client", values=values)
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert ("the port of the webhook is open" in notes) is open_to_all
