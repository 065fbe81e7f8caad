"""Signing by policy: absent without `signing.enabled`; with it, the exact permissions of its two processes."""

from __future__ import annotations

import pytest
import yaml

from sealgate_operator.worker.config import WorkerConfig
from sealgate_webhook.events.config import EventsConfig
from tests.chart import rendering
from tests.chart.rendering import CHART, NAMESPACE, VALUE_SETS, Manifest, config, find, helm, render
from tests.chart.test_rbac import POLICIES, rights

SIGNING = VALUE_SETS["signing"]
SECRETS_NAMESPACE = f"{NAMESPACE}-signing"
#: Value sets in which signing is enabled.
ENABLED = sorted(name for name, values in VALUE_SETS.items() if "signing" in values)
KINDS = ("signingpolicies", "signingrequests", "signingbaselines")


def _of(manifests: tuple[Manifest, ...], account: str) -> dict[tuple[str, str], set[tuple[str, str, str]]]:
    """Return the rights of one account: (namespace, or nothing for the cluster; name of the role) -> rights."""
    roles = {
        (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj
        for obj in manifests
        if obj["kind"].endswith("Role")
    }
    found = {}
    for binding in (obj for obj in manifests if obj["kind"].endswith("RoleBinding")):
        (subject,) = binding["subjects"]
        if (subject["kind"], subject["name"]) == ("ServiceAccount", account):
            namespace = binding["metadata"].get("namespace", "")
            role = binding["roleRef"]["name"]
            found[namespace, role] = rights(roles[binding["roleRef"]["kind"], namespace, role])
    return found


def _grants(resource: str, verbs: str, *names: str) -> set[tuple[str, str, str]]:
    return {(resource, name, verb) for verb in verbs.split() for name in names or ("",)}


@pytest.mark.parametrize("name", sorted(set(VALUE_SETS) - set(ENABLED)))
def test_nothing_of_signing_is_installed_unasked(name: str) -> None:
    text = yaml.safe_dump_all(render(VALUE_SETS[name]))
    assert "signing" not in text.lower()


def test_values_of_signing_change_nothing_until_it_is_enabled() -> None:
    values = {"signing": {**SIGNING["signing"], "enabled": False}}
    assert render(values) == render()


def test_the_kinds_are_installed_as_generated_and_stay() -> None:
    rendered = {obj["metadata"]["name"]: obj for obj in render(SIGNING) if obj["kind"] == "CustomResourceDefinition"}
    generated = [yaml.safe_load(path.read_text()) for path in (CHART / "signing-crds").glob("*.yaml")]
    assert rendered == {crd["metadata"]["name"]: crd for crd in generated}
    assert sorted(rendered) == sorted(f"{kind}.sealgate.dev" for kind in KINDS)
    assert {crd["metadata"]["annotations"]["helm.sh/resource-policy"] for crd in rendered.values()} == {"keep"}


def test_the_worker_may_read_the_listed_secrets_by_name_and_nothing_else_of_their_namespace() -> None:
    assert _of(render(SIGNING), "sealgate-signing-worker") == {
        ("", "sealgate-signing-worker"): (
            _grants("sealgate.dev/signingpolicies", "get list watch")
            | _grants("sealgate.dev/authenticators", "get list watch")
            | _grants("sealgate.dev/signingpolicies/status", "patch")
        ),
        (NAMESPACE, "sealgate-signing-worker"): (
            _grants("sealgate.dev/signingrequests", "get list watch delete")
            | _grants("sealgate.dev/signingrequests/status", "patch")
            | _grants("sealgate.dev/signingbaselines", "get list create delete")
            | _grants("coordination.k8s.io/leases", "create")
            | _grants("coordination.k8s.io/leases", "get update", "sealgate-signing")
        ),
        (SECRETS_NAMESPACE, "sealgate-signing-worker-secrets"): _grants("/secrets", "get", "push", "release-key"),
        ("default", "sealgate-signing-worker-events"): _grants("/events", "create patch"),
    }


def test_the_endpoint_may_request_signatures_and_read_policies() -> None:
    assert _of(render(SIGNING), "sealgate-signing-events") == {
        ("", "sealgate-signing-events"): _grants("sealgate.dev/signingpolicies", "get list watch"),
        (NAMESPACE, "sealgate-signing-events"): _grants("sealgate.dev/signingrequests", "get list watch create patch"),
    }


@pytest.mark.parametrize("account", ["sealgate-webhook", "sealgate-operator"])
def test_webhook_and_operator_gain_no_right_by_signing(account: str) -> None:
    values = {**SIGNING, "signing": {"enabled": False}}
    assert _of(render(SIGNING), account) == _of(render(values), account)


@pytest.mark.parametrize("name", ENABLED)
def test_only_the_worker_may_read_secrets_where_the_signing_secrets_are(name: str) -> None:
    manifests = render(VALUE_SETS[name])
    namespace = config(manifests, "signing-worker")["secretsNamespace"]
    accounts = {obj["metadata"]["name"] for obj in manifests if obj["kind"] == "ServiceAccount"}
    readers = {
        account
        for account in accounts
        for (where, _), granted in _of(manifests, account).items()
        if where in {"", namespace} and any(resource == "/secrets" for resource, _, _ in granted)
    }
    assert readers <= {"sealgate-signing-worker"}


def test_a_worker_without_listed_secrets_may_read_none() -> None:
    granted = _of(render(VALUE_SETS["signing-without-events"]), "sealgate-signing-worker")
    assert not [right for rights_ in granted.values() for right in rights_ if right[0] == "/secrets"]


def test_the_webhook_uses_pull_secrets_of_listed_namespaces_only() -> None:
    granted = _of(render(SIGNING), "sealgate-webhook")
    reads = {where for (where, _), rights_ in granted.items() if any(right[0] == "/secrets" for right in rights_)}
    assert reads == {"shop", "team-a"}
    assert granted["shop", "sealgate-webhook-pull-secrets"] == _grants("/secrets", "get") | _grants(
        "/serviceaccounts", "get"
    )
    assert config(render(SIGNING), "webhook")["pullSecrets"] == ["shop", "team-a"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (
            {"signing": {"enabled": True}},
            "needs a webhook that cannot read the Secrets of namespace sealgate-system-signing",
        ),
        (
            {"webhook": {"pullSecrets": {"namespaces": [SECRETS_NAMESPACE]}}, "signing": {"enabled": True}},
            "webhook.pullSecrets.namespaces lists sealgate-system-signing",
        ),
        (
            {**SIGNING, "signing": {"enabled": True, "secretsNamespace": NAMESPACE}},
            "signing.secretsNamespace is the release's own namespace",
        ),
        (
            {**SIGNING, "signing": {"enabled": True, "events": {"enabled": True}}},
            "signing.events.enabled needs signing.events.sources",
        ),
        (
            {**SIGNING, "signing": {**SIGNING["signing"], "events": {**SIGNING["signing"]["events"], "tlsSecret": ""}}},
            "signing.events.clientCaSecret needs signing.events.tlsSecret",
        ),
    ],
)
def test_what_would_give_a_right_away_or_cannot_work_is_refused(values: Manifest, why: str) -> None:
    done = helm("template", "sealgate", str(CHART), "--namespace", NAMESPACE, values=values)
    assert done.returncode != 0
    assert why in done.stderr


SOURCE = {"name": "a", "kind": "docker", "registry": "registry.test", "auth": "bearer", "secretName": "a"}


@pytest.mark.parametrize(
    "source",
    [
        {**SOURCE, "name": "A/B"},
        {**SOURCE, "kind": "quay"},
        {**SOURCE, "auth": "none"},
        {**SOURCE, "kind": "oci"},
        {**SOURCE, "topic": "ocid1.onstopic.oc1.phx.a"},
        {**SOURCE, "auth": "header"},
        {**SOURCE, "header": "X-Token"},
        {name: value for name, value in SOURCE.items() if name != "registry"},
        {name: value for name, value in SOURCE.items() if name != "secretName"},
    ],
)
def test_a_source_that_cannot_work_is_refused(source: Manifest) -> None:
    values = {**SIGNING, "signing": {"enabled": True, "events": {"enabled": True, "sources": [source]}}}
    done = helm("template", "sealgate", str(CHART), values=values)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr


def test_only_bound_people_write_signing_policies() -> None:
    manifests = render(SIGNING)
    editor = find(manifests, "ClusterRole", "sealgate-signing-editor")
    assert rights(editor) == _grants("sealgate.dev/signingpolicies", "get list watch create update patch delete")
    assert not [label for label in editor["metadata"]["labels"] if "aggregate" in label]
    viewer = find(manifests, "ClusterRole", "sealgate-signing-viewer")
    assert rights(viewer) == _grants("sealgate.dev/signingpolicies", "get list watch")
    assert viewer["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    writers = {
        obj["metadata"]["name"]
        for obj in manifests
        if obj["kind"].endswith("Role")
        for resource, _, verb in rights(obj)
        if resource == "sealgate.dev/signingpolicies" and verb not in {"get", "list", "watch"}
    }
    assert writers == {"sealgate-signing-editor"}
    assert rights(find(manifests, "ClusterRole", "sealgate-policy-viewer")) == POLICIES


def test_signing_policies_are_validated_when_they_are_applied() -> None:
    (rule,) = rendering.webhooks(render(SIGNING))["policies.sealgate.dev"]["rules"]
    assert rule["operations"] == ["CREATE", "UPDATE"]
    assert rule["resources"] == ["authenticators", "verificationpolicies", "verificationexceptions", "signingpolicies"]


def test_the_worker_is_configured_by_the_values() -> None:
    written = config(render(SIGNING), "signing-worker")
    registries = written.pop("registries")
    assert registries == config(render(SIGNING), "operator")["registries"]
    assert written == {
        "metricsListen": "0.0.0.0:8080",
        "lease": "sealgate-signing",
        "kms": {"googleAudience": "", "vaultAddress": "", "metadataServices": [], "azureClientId": ""},
        "secretsNamespace": SECRETS_NAMESPACE,
        "secrets": [
            {"name": "push", "hosts": ["registry.example.org", "registry.test:5000"]},
            {"name": "release-key", "hosts": []},
        ],
        "resyncSeconds": 600,
        "requestRetentionSeconds": 3600,
        "logLevel": "info",
    }
    assert config(render(VALUE_SETS["signing-without-events"]), "signing-worker")["secrets"] == []


@pytest.mark.parametrize("name", ENABLED)
def test_the_worker_takes_what_the_chart_writes(name: str) -> None:
    written = config(render(VALUE_SETS[name]), "signing-worker")
    taken = WorkerConfig.model_validate(written).model_dump(by_alias=True, mode="json")
    # Credentials and budgets of registries are the webhook's alone.
    assert taken.pop("registries").items() <= written.pop("registries").items()
    assert taken == written


def test_the_endpoint_finds_the_secrets_of_its_sources() -> None:
    manifests = render(SIGNING)
    written = config(manifests, "signing-events")
    spec = find(manifests, "Deployment", "sealgate-signing-events")["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume.get("secret", {}).get("secretName") for volume in spec["volumes"]}
    folders = [source["secretDirectory"] for source in written["sources"]]
    assert [volumes[mounts[folder]] for folder in folders] == ["events-harbor", "events-ocir"]
    assert volumes[mounts[written["tls"]["directory"]]] == "events-tls"
    assert volumes[mounts[written["clientCa"].rpartition("/")[0]]] == "events-clients"
    assert "secretName" not in str(written)


def test_the_endpoint_takes_what_the_chart_writes() -> None:
    written = config(render(SIGNING), "signing-events")
    taken = EventsConfig.model_validate(written).model_dump(by_alias=True, mode="json")
    assert [source.pop("header") for source in taken["sources"]] == ["X-Token", ""]
    assert [source.pop("topic") for source in taken["sources"]] == ["", "ocid1.onstopic.oc1.phx.a"]
    for source in written["sources"]:
        source.pop("header", "")
        source.pop("topic", "")
    assert taken == written


PLAIN = {**SIGNING, "signing": {"enabled": True, "events": {"enabled": True, "sources": [SOURCE]}}}


@pytest.mark.parametrize(("values", "plain"), [(PLAIN, True), (SIGNING, False), ({}, False)])
def test_the_notes_say_that_tokens_need_tls(values: Manifest, plain: bool) -> None:  # noqa: FBT001 - a table
    assert ("the endpoint for push events serves plain HTTP" in _notes(values)) is plain


@pytest.mark.parametrize(
    ("values", "enabled", "empty"), [(PLAIN, True, True), (SIGNING, True, False), ({}, False, False)]
)
def test_the_notes_say_what_signing_needs(values: Manifest, enabled: bool, empty: bool) -> None:  # noqa: FBT001 - a table
    notes = _notes(values)
    assert ("bind the ClusterRole sealgate-signing-editor" in notes) is enabled
    assert ("signing.secrets is empty" in notes) is empty


def _notes(values: Manifest) -> str:
    done = helm("install", "sealgate", str(CHART), "-n", NAMESPACE, "--dry-run=client", values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def test_the_endpoint_serves_plain_http_without_a_certificate() -> None:
    manifests = render(PLAIN)
    assert "tls" not in config(manifests, "signing-events")
    (port,) = find(manifests, "Service", "sealgate-signing-events")["spec"]["ports"]
    assert port == {"name": "events", "port": 80, "targetPort": "events"}


@pytest.mark.parametrize(("values", "scheme"), [(SIGNING, "HTTPS"), (PLAIN, "HTTP")])
def test_the_endpoint_is_probed_where_it_serves(values: Manifest, scheme: str) -> None:
    spec = find(render(values), "Deployment", "sealgate-signing-events")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "events", "scheme": scheme}
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "events", "scheme": scheme}


def test_metrics_of_the_endpoint_are_not_behind_its_open_service() -> None:
    manifests = render(SIGNING)
    service = find(manifests, "Service", "sealgate-signing-events")["spec"]
    assert service["type"] == "LoadBalancer"
    assert [port["name"] for port in service["ports"]] == ["events"]
    metrics = find(manifests, "Service", "sealgate-signing-events-metrics")["spec"]
    assert "type" not in metrics
    assert [port["name"] for port in metrics["ports"]] == ["metrics"]


def test_no_secret_that_signs_is_mounted() -> None:
    spec = find(render(SIGNING), "Deployment", "sealgate-signing-worker")["spec"]["template"]["spec"]
    assert "secret" not in str(spec["volumes"])


def test_both_run_the_images_of_the_others() -> None:
    manifests = render(SIGNING)
    for component, image, module in (
        ("signing-worker", "operator", "sealgate_operator.worker"),
        ("signing-events", "webhook", "sealgate_webhook.events"),
    ):
        (container,) = find(manifests, "Deployment", f"sealgate-{component}")["spec"]["template"]["spec"]["containers"]
        (other,) = find(manifests, "Deployment", f"sealgate-{image}")["spec"]["template"]["spec"]["containers"]
        assert container["image"] == other["image"]
        assert container["command"] == ["python", "-m", module]


def test_only_their_ports_are_open() -> None:
    for component, ports in (("worker", ["metrics"]), ("events", ["events", "metrics"])):
        policy = find(render(SIGNING), "NetworkPolicy", f"sealgate-signing-{component}")["spec"]
        assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == ports
