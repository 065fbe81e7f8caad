"""The shared cache: what the webhook mounts and reads, and who may write its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sealgate_operator.config import OperatorConfig
from sealgate_webhook.backends.cluster.config import WebhookConfig
from tests.chart.rendering import CHART, VALUE_SETS, Manifest, config, find, helm, render

EVERYTHING = VALUE_SETS["everything"]
SECRET = "sealgate-shared-cache"


def _webhook_pod(manifests: tuple[Manifest, ...]) -> Manifest:
    spec: Manifest = find(manifests, "Deployment", "sealgate-webhook")["spec"]["template"]["spec"]
    return spec


def test_webhook_reads_what_it_mounts() -> None:
    manifests = render(EVERYTHING)
    settings = WebhookConfig.model_validate(config(manifests, "webhook")).shared_cache_settings()
    assert settings is not None
    server = settings.server
    assert (server.host, server.port, server.tls) == ("valkey.test", 6380, True)
    pod = _webhook_pod(manifests)
    mounts = {Path(mount["mountPath"]): mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    keys = volumes[mounts[settings.keys]]["secret"]
    assert (keys["secretName"], keys["optional"]) == (SECRET, True)
    assert [item["path"] for item in keys["items"]] == ["current", "previous"]
    assert server.folder is not None
    assert volumes[mounts[server.folder]]["secret"] == {"secretName": "valkey", "optional": True, "defaultMode": 0o440}


def test_replicas_of_other_settings_share_nothing() -> None:
    def binding(**changed: Any) -> str:
        settings = WebhookConfig.model_validate(config(render({**EVERYTHING, **changed}), "webhook"))
        shared = settings.shared_cache_settings()
        assert shared is not None
        return shared.binding

    assert binding() == binding()
    assert binding() != binding(registries={"mirrors": {"docker.io": "other.test"}})


def test_operator_may_write_the_one_secret_and_only_where_it_is_used() -> None:
    manifests = render(EVERYTHING)
    settings = OperatorConfig.model_validate(config(manifests, "operator"))
    assert settings.shared_cache_secret == SECRET
    assert "data" not in find(manifests, "Secret", SECRET)
    role = find(manifests, "Role", "sealgate-operator")
    assert {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [SECRET], "verbs": ["patch", "update"]} in (
        role["rules"]
    )
    without = str(render({}))
    assert SECRET not in without
    assert "/etc/sealgate/shared-cache" not in without


def test_network_policy_permits_the_server() -> None:
    policy = find(render(EVERYTHING), "NetworkPolicy", "sealgate-webhook")
    to = [{"podSelector": {"matchLabels": {"app": "valkey"}}}]
    assert {"ports": [{"port": 6380, "protocol": "TCP"}], "to": to} in policy["spec"]["egress"]


def test_host_is_needed() -> None:
    done = helm("template", "sealgate", str(CHART), values={"sharedCache": {"enabled": True}})
    assert done.returncode != 0
    assert "sharedCache.enabled needs sharedCache.host" in done.stderr
