"""What each part, and each person, may do: all of it, spelt out."""

from __future__ import annotations

import pytest

from sealgate_webhook.backends.cluster.trusted_state import SHARDS
from tests.chart.rendering import VALUE_SETS, Manifest, find, render

Right = tuple[str, str, str]


def rights(role: Manifest) -> set[Right]:
    """Return every single right of a role: group/resource, name (or nothing), verb."""
    return {
        (f"{group}/{resource}", name, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def _secrets(granted: set[Right]) -> set[Right]:
    return {right for right in granted if right[0] == "/secrets"}


def _all(resource: str, verbs: str, *names: str) -> set[Right]:
    return {(resource, name, verb) for verb in verbs.split() for name in names or ("",)}


EVENTS = _all("/events", "create patch") | _all("events.k8s.io/events", "create patch")
EXCEPTIONS = "sealgate.dev/verificationexceptions"
POLICIES = _all("sealgate.dev/authenticators", "get list watch") | _all(
    "sealgate.dev/verificationpolicies", "get list watch"
)


VALIDATING = "admissionregistration.k8s.io/validatingwebhookconfigurations"
MUTATING = "admissionregistration.k8s.io/mutatingwebhookconfigurations"


def test_the_webhook_reads_what_it_decides_by_and_writes_events() -> None:
    assert rights(find(render(), "ClusterRole", "sealgate-webhook")) == (
        POLICIES
        | _all(EXCEPTIONS, "get list watch")
        | _all("/namespaces", "get list watch")
        | _all("/secrets", "get")
        | _all("/serviceaccounts", "get")
        | EVENTS
    )


def test_the_webhook_reads_no_secrets_where_that_is_switched_off() -> None:
    role = find(render({"webhook": {"pullSecrets": {"enabled": False}}}), "ClusterRole", "sealgate-webhook")
    assert rights(role) == (
        POLICIES | _all(EXCEPTIONS, "get list watch") | _all("/namespaces", "get list watch") | EVENTS
    )


def test_the_webhook_writes_the_versions_it_has_seen_and_nothing_else_of_its_own_namespace() -> None:
    manifests = render()
    maps = [f"sealgate-trusted-state-{number}" for number in range(SHARDS)]
    assert rights(find(manifests, "Role", "sealgate-webhook")) == _all("/configmaps", "get update", *maps)
    assert all("data" not in find(manifests, "ConfigMap", name) for name in maps)


def test_the_webhook_reads_one_secret_of_its_own_namespace_where_it_is_named() -> None:
    role = find(render({"registries": {"dockerConfigSecret": "pull"}}), "Role", "sealgate-webhook")
    assert _secrets(rights(role)) == _all("/secrets", "get", "pull")


def test_the_webhook_reads_the_credentials_of_signature_stores_that_are_named() -> None:
    values = {"webhook": {"serviceSecrets": ["oci", "grafeas"]}, "registries": {"dockerConfigSecret": "pull"}}
    granted = rights(find(render(values), "Role", "sealgate-webhook"))
    assert _secrets(granted) == _all("/secrets", "get", "oci", "grafeas", "pull")


def test_the_operator_writes_status_authority_and_events() -> None:
    assert rights(find(render(), "ClusterRole", "sealgate-operator")) == (
        POLICIES
        | _all("sealgate.dev/authenticators/status", "get patch update")
        | _all("sealgate.dev/verificationpolicies/status", "get patch update")
        | _all(EXCEPTIONS, "list")
        | _all(f"{EXCEPTIONS}/status", "patch")
        | _all(VALIDATING, "get patch", "sealgate-workloads", "sealgate-policies", "sealgate-self-test")
        | _all(MUTATING, "get patch", "sealgate-exceptions", "sealgate-pods")
        | _all("apps/daemonsets", "list")
        | EVENTS
    )


def test_the_operator_reads_the_secrets_of_its_own_namespace_and_writes_two() -> None:
    assert rights(find(render(), "Role", "sealgate-operator")) == (
        _all("/secrets", "get list watch")
        | _all("/secrets", "patch update", "sealgate-webhook-tls", "sealgate-ca")
        | _all("/configmaps", "get", "sealgate-operator")
        | _all("discovery.k8s.io/endpointslices", "list")
        | _all("coordination.k8s.io/leases", "create")
        | _all("coordination.k8s.io/leases", "get list watch patch update", "sealgate-leader")
    )


def test_the_operator_reads_the_config_maps_with_trusted_roots_that_are_listed() -> None:
    values = {"trustedRoots": {"configMaps": ["sigstore", "staging"]}}
    granted = rights(find(render(values), "Role", "sealgate-operator"))
    added = granted - rights(find(render(), "Role", "sealgate-operator"))
    assert added == _all("/configmaps", "get", "sigstore", "staging")


def test_the_operator_writes_the_trusted_root_that_it_fetches() -> None:
    manifests = render({"trustedRoots": {"tuf": {"enabled": True}}})
    added = rights(find(manifests, "Role", "sealgate-operator")) - rights(find(render(), "Role", "sealgate-operator"))
    assert added == _all("/configmaps", "get update", "sealgate-trusted-root")
    assert "data" not in find(manifests, "ConfigMap", "sealgate-trusted-root")
    unchanged = rights(find(render(), "Role", "sealgate-webhook"))
    assert rights(find(manifests, "Role", "sealgate-webhook")) == unchanged


def test_the_operator_reads_the_lease_of_the_reports_where_they_are_written() -> None:
    lease = ("coordination.k8s.io/leases", "sealgate-reports", "get")
    granted = rights(find(render({"reports": {"enabled": True}}), "Role", "sealgate-operator"))
    assert granted - rights(find(render(), "Role", "sealgate-operator")) == {lease}


def test_the_operator_lists_no_replicas_of_a_webhook_that_the_chart_does_not_run() -> None:
    granted = rights(find(render(VALUE_SETS["outside"]), "Role", "sealgate-operator"))
    assert not [right for right in granted if right[0].startswith("discovery.k8s.io")]


@pytest.mark.parametrize("name", ["cert-manager", "outside"])
def test_the_operator_may_not_touch_what_others_look_after(name: str) -> None:
    manifests = render(VALUE_SETS[name])
    cluster = rights(find(manifests, "ClusterRole", "sealgate-operator"))
    # Rules are applied in any case; the self-test's configuration has its own.
    assert {right for right in cluster if right[0].startswith("admissionregistration.k8s.io")} == (
        _all(VALIDATING, "get patch", "sealgate-workloads", "sealgate-policies")
        | _all(VALIDATING, "get", "sealgate-self-test")
        | _all(MUTATING, "get patch", "sealgate-exceptions", "sealgate-pods")
    )
    own = rights(find(manifests, "Role", "sealgate-operator"))
    assert {verb for resource, _, verb in own if resource == "/secrets"} == {"get", "list", "watch"}


@pytest.mark.parametrize("name", VALUE_SETS)
def test_the_operator_may_patch_exactly_the_configurations_that_it_is_told_to(name: str) -> None:
    manifests = render(VALUE_SETS[name])
    role = next(o for o in manifests if o["kind"] == "ClusterRole" and o["metadata"]["name"].endswith("-operator"))
    granted = {(kind, right) for kind, right, verb in rights(role) if kind in {VALIDATING, MUTATING} and verb == "get"}
    plurals = {"ValidatingWebhookConfiguration": VALIDATING, "MutatingWebhookConfiguration": MUTATING}
    rendered = {(plurals[o["kind"]], o["metadata"]["name"]) for o in manifests if o["kind"] in plurals}
    assert granted == rendered


def test_people_who_see_the_cluster_see_policies() -> None:
    viewer = find(render(), "ClusterRole", "sealgate-policy-viewer")
    assert rights(viewer) == POLICIES
    assert viewer["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    quiet = find(render(VALUE_SETS["bare"]), "ClusterRole", "sealgate-policy-viewer")
    assert not [label for label in quiet["metadata"]["labels"] if "aggregate" in label]


@pytest.mark.parametrize("name", VALUE_SETS)
def test_only_their_own_editor_may_write_exceptions(name: str) -> None:
    writers = {
        f"{role['kind']} {role['metadata']['name']}": {
            verb for resource, _, verb in rights(role) if resource == EXCEPTIONS
        }
        for role in render(VALUE_SETS[name])
        if role["kind"] in {"Role", "ClusterRole"}
    }
    reading = {"get", "list", "watch"}
    (editor,) = (role for role, verbs in writers.items() if verbs - reading)
    assert editor.endswith("-exception-editor")
    assert writers[editor] == reading | {"create", "update", "patch", "delete"}
    # Of the others only the chart's own components read them.
    readers = {role.rpartition("-")[2] for role, verbs in writers.items() if verbs and role != editor}
    assert readers <= {"operator", "webhook", "reports"}


@pytest.mark.parametrize("name", VALUE_SETS)
def test_the_editors_of_policies_and_exceptions_share_no_right(name: str) -> None:
    roles = [role for role in render(VALUE_SETS[name]) if role["kind"] == "ClusterRole"]
    policies, exceptions = (
        next(rights(role) for role in roles if role["metadata"]["name"].endswith(f"-{kind}-editor"))
        for kind in ("policy", "exception")
    )
    assert not policies & exceptions
    (labels,) = (r["metadata"]["labels"] for r in roles if r["metadata"]["name"].endswith("-exception-editor"))
    assert not [label for label in labels if "aggregate" in label]


@pytest.mark.parametrize("name", VALUE_SETS)
def test_roles_are_bound_to_the_chart_s_own_accounts_only(name: str) -> None:
    manifests = render(VALUE_SETS[name])
    accounts = {obj["metadata"]["name"] for obj in manifests if obj["kind"] == "ServiceAccount"}
    bindings = [obj for obj in manifests if obj["kind"].endswith("RoleBinding")]
    assert bindings
    for binding in bindings:
        (subject,) = binding["subjects"]
        assert subject["kind"] == "ServiceAccount"
        assert subject["name"] in accounts
        # Where one account has several Roles, their names begin with its own.
        assert binding["roleRef"]["name"] == binding["metadata"]["name"]
        assert binding["roleRef"]["name"].startswith(subject["name"])
