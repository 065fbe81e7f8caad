"""Registries for which the platform's identity is used: settings and tokens of the two processes that verify."""

from __future__ import annotations

from sealgate_webhook.backends.cluster.config import WebhookConfig
from sealgate_webhook.reports.config import ReportsConfig
from tests.chart.rendering import Manifest, config, find, pods, render

HOSTS = ["europe-docker.pkg.dev"]
ENTRY: Manifest = {"provider": "google", "hosts": HOSTS, "parameters": {"audience": "//iam/p"}, "tokenAudience": "a"}
ECR: Manifest = {"provider": "aws", "hosts": ["111122223333.dkr.ecr.eu-central-1.amazonaws.com"]}
MOUNT = {"name": "pull-tokens", "mountPath": "/var/run/secrets/sealgate.dev/pull", "readOnly": True}


def with_entries(*entries: Manifest, **more: Manifest) -> tuple[Manifest, ...]:
    return render({"registries": {"platformCredentials": list(entries)}, "reports": {"enabled": True}, **more})


def test_processes_that_verify_take_what_the_chart_writes() -> None:
    manifests = with_entries(ECR, ENTRY)
    written = WebhookConfig.model_validate(config(manifests, "webhook")).registries.platform_credentials
    assert [(each.provider, each.hosts, each.parameters, each.token_file) for each in written] == [
        ("aws", tuple(ECR["hosts"]), {}, ""),
        ("google", tuple(HOSTS), {"audience": "//iam/p"}, "/var/run/secrets/sealgate.dev/pull/1"),
    ]
    # They are named literally, so that a private endpoint of the cloud may serve them.
    settings = WebhookConfig.model_validate(config(manifests, "webhook")).registries.settings()
    assert settings.private == {*ECR["hosts"], *HOSTS}
    reports = ReportsConfig.model_validate(config(manifests, "reports")).registries.platform_credentials
    assert reports == written


def test_only_they_get_tokens_and_only_for_the_audience_that_is_set() -> None:
    signing: Manifest = {"enabled": True, "secretsNamespace": "keys"}
    manifests = with_entries(ECR, ENTRY, signing=signing, webhook={"pullSecrets": {"enabled": False}})
    with_token = []
    for spec in pods(manifests):
        volumes = [volume for volume in spec["volumes"] if "projected" in volume]
        mounts = [mount for each in spec["containers"] for mount in each["volumeMounts"] if mount == MOUNT]
        assert len(volumes) == len(mounts)
        if volumes:
            with_token.append(spec["containers"][0]["name"])
            assert volumes[0]["projected"]["sources"] == [
                {"serviceAccountToken": {"path": "1", "audience": "a", "expirationSeconds": 3600}}
            ]
    assert sorted(with_token) == ["reports", "webhook"]


def test_token_for_google_has_the_audience_of_the_pools_provider_by_default() -> None:
    entry: Manifest = {"provider": "google", "hosts": HOSTS, "parameters": {"audience": "//iam/p"}}
    volumes = [spec["volumes"] for spec in pods(with_entries(entry))]
    assert "'audience': 'https://iam/p'" in str(volumes)


def test_entries_without_an_audience_mount_nothing() -> None:
    assert "pull-tokens" not in str([spec["volumes"] for spec in pods(with_entries(ECR))])
    assert config(with_entries(), "webhook")["registries"]["platformCredentials"] == []


def test_no_right_is_added() -> None:
    kinds = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "NetworkPolicy")
    before, after = with_entries(), with_entries(ECR, ENTRY)
    assert [each for each in before if each["kind"] in kinds] == [each for each in after if each["kind"] in kinds]
    assert find(after, "ServiceAccount", "sealgate-webhook") == find(before, "ServiceAccount", "sealgate-webhook")
