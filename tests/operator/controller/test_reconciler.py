"""The whole operator, including Kopf, against an API server simulator."""

from __future__ import annotations

import json
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from sealgate.errors import ConfigError
from sealgate.kubernetes.lease import Timing
from sealgate_operator.certificates.rotation import LEAF
from sealgate_operator.status.authenticators import assess
from tests.operator.environment import (
    AUTHENTICATORS,
    ENFORCED,
    LEASE,
    POLICIES,
    SECRETS,
    SELF_TEST,
    TLS_SECRET,
    Running,
    bundles,
    data,
    enforcing,
    eventually,
    holder,
    running,
)
from tests.operator.objects import authenticator, cosign, fingerprint_of, inline, pem, policy, ready, secret, secret_ref
from tests.support.simulators.kubernetes import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.simulators.kubernetes import KubernetesSimulator


def put(cluster: KubernetesSimulator, obj: dict[str, Any]) -> None:
    """Apply an object as kubectl does: a status that is there stays."""
    collection = {"Authenticator": AUTHENTICATORS, "VerificationPolicy": POLICIES, "Secret": SECRETS}[obj["kind"]]
    name = obj["metadata"]["name"]
    try:
        status = cluster.get(f"{collection}/{name}").get("status")
    except KeyError:
        status = None
    metadata = {"name": name}
    cluster.put(collection, {**obj, "metadata": metadata} | ({"status": status} if status else {}))


def says(path: str, status: str, reason: str = "") -> Callable[[KubernetesSimulator], bool]:
    """Return a condition: the Ready of the object at a path."""

    def holds(cluster: KubernetesSimulator) -> bool:
        found = cluster.get(path).get("status")
        if not found:
            return False
        condition = ready(found)
        return condition["status"] == status and reason in ("", condition["reason"])

    return holds


@pytest.mark.usefixtures("enforced")
def test_statuses_are_written_for_existing_and_new_objects(cluster: KubernetesSimulator) -> None:
    put(cluster, authenticator("a", cosign(inline("one"))))
    put(cluster, policy("p", "a"))
    with running(cluster):
        cluster.wait_for(says(f"{POLICIES}/p", "True", "PolicyInForce"))
        put(cluster, authenticator("b", cosign(secret_ref("keys"))))
        cluster.wait_for(says(f"{AUTHENTICATORS}/b", "False", "SecretNotFound"))
        put(cluster, secret("keys", cosign_pub=pem("two")))
        cluster.wait_for(says(f"{AUTHENTICATORS}/b", "True", "KeysResolved"))
    (key,) = cluster.get(f"{AUTHENTICATORS}/b")["status"]["keys"]
    assert (key["pem"], key["fingerprint"]) == (pem("two"), fingerprint_of("two"))


def test_rotated_secret_key_is_written_to_the_status(cluster: KubernetesSimulator) -> None:
    put(cluster, secret("keys", cosign_pub=pem("one")))
    put(cluster, authenticator("a", cosign(secret_ref("keys"))))
    with running(cluster):
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
        put(cluster, secret("keys", cosign_pub=pem("two")))
        cluster.wait_for(
            lambda c: c.get(f"{AUTHENTICATORS}/a")["status"]["keys"][0]["fingerprint"] == fingerprint_of("two")
        )
        cluster.delete(f"{SECRETS}/keys")
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "False", "SecretNotFound"))
        assert "pem" not in cluster.get(f"{AUTHENTICATORS}/a")["status"]["keys"][0]


@pytest.mark.usefixtures("enforced")
def test_policies_follow_their_authenticators(cluster: KubernetesSimulator) -> None:
    put(cluster, policy("p", "a"))
    with running(cluster):
        cluster.wait_for(says(f"{POLICIES}/p", "False", "AuthenticatorNotFound"))
        put(cluster, authenticator("a", cosign(secret_ref("keys"))))
        cluster.wait_for(says(f"{POLICIES}/p", "False", "AuthenticatorNotReady"))
        put(cluster, secret("keys", cosign_pub=pem("one")))
        cluster.wait_for(says(f"{POLICIES}/p", "True"))
        cluster.delete(f"{AUTHENTICATORS}/a")
        cluster.wait_for(says(f"{POLICIES}/p", "False", "AuthenticatorNotFound"))


def test_unsatisfiable_policy_gets_one_event(
    cluster: KubernetesSimulator,
) -> None:
    put(cluster, authenticator("a", cosign(inline("one"))))
    put(cluster, authenticator("b", cosign(inline("one"))))
    put(cluster, policy("p", "a", "b"))
    for _ in range(2):
        with running(cluster, resync_seconds=0.05):
            cluster.wait_for(says(f"{POLICIES}/p", "False", "NeverSatisfiable"))
            cluster.wait_for(lambda c: c.find("events"))
    (event,) = cluster.find("events")
    assert (event["type"], event["reason"], event["metadata"]["namespace"]) == (
        "Warning",
        "NeverSatisfiable",
        "default",
    )
    assert event["involvedObject"]["name"] == "p"
    assert event["involvedObject"]["kind"] == "VerificationPolicy"


def test_repeated_failure_is_the_same_event(cluster: KubernetesSimulator) -> None:
    put(cluster, authenticator("a", cosign(secret_ref("keys"))))
    with running(cluster):
        for _ in range(2):
            cluster.wait_for(says(f"{AUTHENTICATORS}/a", "False"))
            put(cluster, secret("keys", cosign_pub=pem("one")))
            cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
            cluster.delete(f"{SECRETS}/keys")
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "False"))
        cluster.wait_for(lambda c: any(r.method == "PATCH" and "/events/" in r.path for r in c.requests))
    assert len(cluster.find("events")) == 1


def test_failed_events_do_not_block_reconciliation(cluster: KubernetesSimulator) -> None:
    cluster.faults.append(Fault("POST", "/events", 403))
    put(cluster, authenticator("a", cosign(secret_ref("keys"))))
    with running(cluster) as one:
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "False"))
        registry = one.operator.metrics.registry
        eventually(lambda: registry.get_sample_value("sealgate_operator_events_dropped_total") == 1)


def test_expired_event_is_recreated(cluster: KubernetesSimulator) -> None:
    cluster.faults.append(Fault("POST", "/events", 409, times=1))
    put(cluster, authenticator("a", cosign(secret_ref("keys"))))
    with running(cluster):
        cluster.wait_for(lambda c: c.find("events"))


def test_certificates_are_created_and_kept(cluster: KubernetesSimulator) -> None:
    with running(cluster):
        cluster.wait_for(lambda c: LEAF in data(c, TLS_SECRET))
    assert len(bundles(cluster)) == 1


def test_with_cert_manager_no_certificate_is_touched(cluster: KubernetesSimulator) -> None:
    put(cluster, authenticator("a", cosign(inline("one"))))
    certificates = {"managed": False, "caLifetimeHours": 1, "leafLifetimeHours": 1}
    with running(cluster, certificates=certificates):
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
    assert bundles(cluster) == {b""}
    assert not any("webhookconfigurations/" in r.path for r in cluster.requests if r.method != "GET")


@pytest.mark.long
@pytest.mark.usefixtures("enforced")
def test_resync_does_not_rewrite_a_status(cluster: KubernetesSimulator) -> None:
    put(cluster, secret("keys", cosign_pub=pem("one")))
    put(cluster, authenticator("a", cosign(secret_ref("keys"))))
    put(cluster, policy("p", "a"))
    ready: list[str] = []
    for identity in ("one", "two"):
        with running(cluster, identity, resync_seconds=0.05, keyRefreshSeconds=1) as one:
            # Each object has a worker of its own: the policy's status may be written first.
            cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
            cluster.wait_for(says(f"{POLICIES}/p", "True"))
            _wait_for_reconciliations(one)
            ready = ready or _written_statuses(cluster)
            _wait_for_reconciliations(one)
    assert set(ready) == {f"{AUTHENTICATORS}/a/status", f"{POLICIES}/p/status"}
    assert _written_statuses(cluster) == ready


def _wait_for_reconciliations(operator: Running) -> None:
    """Wait until policies have been reconciled three times more."""
    reconciled = partial(
        operator.operator.metrics.registry.get_sample_value,
        "sealgate_operator_reconcile_successes_total",
        {"kind": "VerificationPolicy"},
    )
    begin = reconciled() or 0
    eventually(lambda: (reconciled() or 0) >= begin + 3)


def _written_statuses(cluster: KubernetesSimulator) -> list[str]:
    return [request.path for request in cluster.requests if request.path.endswith("/status")]


def test_kopf_adds_neither_finalizers_nor_annotations(cluster: KubernetesSimulator) -> None:
    put(cluster, secret("keys", cosign_pub=pem("one")))
    put(cluster, authenticator("a", cosign(secret_ref("keys"))))
    with running(cluster):
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
        put(cluster, authenticator("a", cosign(inline("one"))))
        cluster.wait_for(lambda c: c.get(f"{AUTHENTICATORS}/a")["status"]["observedGeneration"] == 2)
    for plural in ("authenticators", "secrets"):
        for obj in cluster.find(plural):
            assert not {"finalizers", "annotations"} & set(obj["metadata"])


ALLOWED = (
    ("PATCH", "/apis/sealgate.dev/v1alpha1/", "/status"),
    ("PATCH", "/api/v1/namespaces/sealgate/secrets/sealgate-webhook-", ""),
    *(("PATCH", f"{path}?fieldManager=sealgate-operator-", "&force=true") for path in (SELF_TEST, *ENFORCED)),
    ("POST", "/api/v1/namespaces/default/events", ""),
    ("PATCH", "/api/v1/namespaces/default/events/", ""),
    ("POST", LEASE.rpartition("/")[0], "leases"),
    ("POST", LEASE.rpartition("/")[0], "?dryRun=All"),
    ("PUT", LEASE, ""),
)


def test_every_write_is_permitted_by_the_chart(cluster: KubernetesSimulator) -> None:
    put(cluster, authenticator("a", cosign(secret_ref("keys"))))
    put(cluster, policy("p", "a"))
    with running(cluster):
        cluster.wait_for(says(f"{POLICIES}/p", "False"))
        cluster.wait_for(lambda c: LEAF in data(c, TLS_SECRET))
        cluster.wait_for(lambda c: len(c.find("events")) == 2)
        cluster.wait_for(enforcing)
    for request in cluster.requests:
        if request.method != "GET":
            assert any(
                request.method == method and request.path.startswith(start) and request.path.endswith(end)
                for method, start, end in ALLOWED
            ), (request.method, request.path)
        elif "/secrets" in request.path:
            assert request.path.startswith("/api/v1/namespaces/sealgate/secrets")


def test_failed_writes_are_retried_until_they_succeed(cluster: KubernetesSimulator) -> None:
    cluster.faults.append(Fault("PATCH", "authenticators/a/status", 500, times=3))
    put(cluster, authenticator("a", cosign(inline("one"))))
    with running(cluster):
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))


def test_concurrently_changed_object_is_reconciled_again(cluster: KubernetesSimulator) -> None:
    cluster.faults.append(Fault("PATCH", "authenticators/a/status", 409, times=1))
    put(cluster, authenticator("a", cosign(inline("one"))))
    with running(cluster):
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))


def test_concurrently_deleted_object_is_dropped(cluster: KubernetesSimulator) -> None:
    cluster.faults.append(Fault("PATCH", "authenticators/a/status", 404, times=1))
    put(cluster, authenticator("a", cosign(inline("one"))))
    with running(cluster, keyRefreshSeconds=1):
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))


def test_missed_deletion_is_found_by_the_resync(cluster: KubernetesSimulator) -> None:
    put(cluster, secret("keys", cosign_pub=pem("one")))
    put(cluster, authenticator("a", cosign(secret_ref("keys"))))
    cluster.faults.append(Fault("GET", "secrets.*watch=true", 403))
    with running(cluster, resync_seconds=0.1):
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
        cluster.delete(f"{SECRETS}/keys")
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "False", "SecretNotFound"))


def test_failed_resync_is_retried(cluster: KubernetesSimulator) -> None:
    put(cluster, authenticator("a", cosign(inline("one"))))
    with running(cluster, resync_seconds=0.02) as one:
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
        cluster.faults.append(Fault("GET", r"authenticators\?limit", 500))
        registry = one.operator.metrics.registry
        eventually(
            lambda: (
                (registry.get_sample_value("sealgate_operator_reconcile_errors_total", {"kind": "resync"}) or 0) >= 2
            )
        )
        cluster.faults.clear()
        put(cluster, authenticator("b", cosign(inline("two"))))
        cluster.wait_for(says(f"{AUTHENTICATORS}/b", "True"))


def test_watches_resume_after_an_api_server_outage(cluster: KubernetesSimulator) -> None:
    put(cluster, authenticator("a", cosign(secret_ref("keys"))))
    with running(cluster, resync_seconds=0.5):
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "False"))
        cluster.pause()
        put(cluster, secret("keys", cosign_pub=pem("one")))
        cluster.resume()
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
        cluster.compact()
        put(cluster, secret("keys", cosign_pub=pem("two")))
        cluster.wait_for(
            lambda c: c.get(f"{AUTHENTICATORS}/a")["status"]["keys"][0]["fingerprint"] == fingerprint_of("two")
        )


def test_restored_api_server_is_relisted_and_watched(cluster: KubernetesSimulator) -> None:
    put(cluster, secret("keys", cosign_pub=pem("one")))
    put(cluster, authenticator("a", cosign(secret_ref("keys"))))

    def shows(name: str) -> Callable[[KubernetesSimulator], bool]:
        def holds(cluster: KubernetesSimulator) -> bool:
            keys = (cluster.get(f"{AUTHENTICATORS}/a").get("status") or {}).get("keys") or [{}]
            return bool(keys[0].get("fingerprint") == fingerprint_of(name))

        return holds

    with running(cluster, resync_seconds=0.3):
        cluster.wait_for(shows("one"))
        backup = cluster.backup()
        for number in range(3000):
            cluster.put("/api/v1/namespaces", {"metadata": {"name": "busy", "labels": {"number": str(number)}}})
        put(cluster, secret("keys", cosign_pub=pem("two")))
        cluster.wait_for(shows("two"))
        cluster.restore(backup)
        cluster.wait_for(shows("one"))
        put(cluster, secret("keys", cosign_pub=pem("three")))
        cluster.wait_for(shows("three"))

        def watched_anew() -> bool:
            put(cluster, secret("keys", cosign_pub=pem("three"), other=str(len(cluster.requests))))
            watches = [one.path for one in cluster.requests if "secrets" in one.path and "watch=true" in one.path]
            version = int(watches[-1].partition("resourceVersion=")[2].partition("&")[0])
            return version <= int(cluster.get(f"{SECRETS}/keys")["metadata"]["resourceVersion"])

        eventually(watched_anew)


def test_start_waits_for_the_api_server(cluster: KubernetesSimulator) -> None:
    cluster.faults.append(Fault("GET", "authenticators", 404, times=2))
    put(cluster, authenticator("a", cosign(inline("one"))))
    with running(cluster):
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))


@pytest.mark.usefixtures("enforced")
def test_five_hundred_objects_in_pages_are_reconciled(cluster: KubernetesSimulator) -> None:
    cluster.page_limit = 100
    for number in range(250):
        put(cluster, authenticator(f"a-{number}", cosign(secret_ref("keys"), inline("two"))))
        put(cluster, policy(f"p-{number}", f"a-{number}"))
    put(cluster, secret("keys", cosign_pub=pem("one")))

    def all_ready(simulator: KubernetesSimulator) -> bool:
        return all(
            "status" in obj and ready(obj["status"])["status"] == "True"
            for obj in simulator.find("verificationpolicies")
        )

    with running(cluster):
        cluster.wait_for(lambda c: sum(r.path.endswith("/status") for r in c.requests) >= 500)
        cluster.wait_for(all_ready)


def test_only_the_leader_reconciles_and_the_other_takes_over(cluster: KubernetesSimulator) -> None:
    put(cluster, authenticator("a", cosign(inline("one"))))
    with running(cluster, "one") as one:
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
        with running(cluster, "two") as two:
            host, port = two.operator.address
            assert urllib3.request("GET", f"http://{host}:{port}/healthz").status == 200
            assert holder(cluster) == "one"
            one.stop.set()
            assert one.join() == 0
            cluster.wait_for(lambda c: holder(c) == "two")
            put(cluster, authenticator("b", cosign(inline("two"))))
            cluster.wait_for(says(f"{AUTHENTICATORS}/b", "True"))


def test_leader_without_the_lease_fails_and_is_replaced(
    cluster: KubernetesSimulator,
) -> None:
    one = Running(cluster, "one", timing=Timing(duration=1.5, deadline=1.0, period=0.1))

    def has_led() -> bool:
        # Only the leader lists all objects. On a busy machine it may have lost the Lease before the test takes it away.
        paths = [request.path for request in cluster.requests]
        return one.status is not None or any(
            "/authenticators" in path and not path.endswith("limit=1") for path in paths
        )

    try:
        eventually(has_led)
        with running(cluster, "two", timing=Timing(duration=1.5, deadline=60, period=0.1)):
            cluster.faults.append(Fault("GET", "leases", 500, times=None))
            assert one.join() == 1
            cluster.faults.clear()
            cluster.wait_for(lambda c: holder(c) == "two")
            put(cluster, authenticator("a", cosign(inline("one"))))
            cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
    finally:
        one.stop.set()
        one.join()


def test_stopped_follower_exits_cleanly(cluster: KubernetesSimulator) -> None:
    with running(cluster, "one"):
        cluster.wait_for(lambda c: holder(c) == "one")
        with running(cluster, "two") as two:
            two.stop.set()
            assert two.join() == 0


def test_unexpected_reconcile_error_is_logged_and_retried(
    cluster: KubernetesSimulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    once = threading.Event()

    def broken(*arguments: Any) -> Any:
        if not once.is_set():
            once.set()
            raise RuntimeError("a defect")
        return assess(*arguments)

    monkeypatch.setattr("sealgate_operator.controller.reconciler.assess", broken)
    put(cluster, authenticator("a", cosign(inline("one"))))
    with running(cluster):
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert any(line["msg"] == "reconcile failed; will retry" and "a defect" in line["exception"] for line in lines)


def test_replica_with_a_stopped_task_fails(cluster: KubernetesSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("sealgate_operator.controller.reconciler.Reconciler.work", broken)
    assert Running(cluster, "one").join() == 1


def test_occupied_address_is_a_configuration_error(cluster: KubernetesSimulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="for metrics"):
        Running(cluster, "one", metricsListen=f"127.0.0.1:{taken.getsockname()[1]}")
