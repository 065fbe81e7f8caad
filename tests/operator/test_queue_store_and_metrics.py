"""Unit tests of the queue, the store and the metrics."""

from __future__ import annotations

import io
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.process.logs import configure_logs
from sealgate.process.metrics_server import MetricsServer
from sealgate.process.probes import probes_app
from sealgate_operator.controller.resources import AUTHENTICATOR, POLICY, SECRET
from sealgate_operator.controller.store import ObjectStore
from sealgate_operator.controller.work_queue import LONGEST_BACKOFF, Key, WorkQueue
from sealgate_operator.metrics import Metrics
from sealgate_operator.worker.metrics import WorkerMetrics
from tests.operator.objects import authenticator, cosign, policy, secret, secret_ref
from tests.operator.scrapes import scrapes_during
from tests.support.clocks import NOW, FakeClock
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

A, B = Key(AUTHENTICATOR, "a"), Key(AUTHENTICATOR, "b")


def at(version: int, obj: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}


# The queue


def test_a_key_that_is_added_twice_is_taken_once() -> None:
    queue = WorkQueue(FakeClock())
    queue.add(A)
    queue.add(A)
    queue.add(B)
    assert len(queue) == 2
    assert {queue.take(), queue.take()} == {A, B}
    assert len(queue) == 0


def test_an_earlier_time_wins_over_a_later_one() -> None:
    clock = FakeClock()
    queue = WorkQueue(clock)
    queue.add(A, 100)
    queue.add(A, 1)
    queue.add(A, 50)
    clock.advance(1)
    assert queue.take() == A
    assert len(queue) == 0


def test_key_in_progress_waits_until_it_is_done() -> None:
    queue = WorkQueue(FakeClock())
    queue.add(A)
    assert queue.take() == A
    queue.add(A)
    queue.add(B)
    assert queue.take() == B
    taken: list[Key | None] = []
    thread = threading.Thread(target=lambda: taken.append(queue.take()), daemon=True)
    thread.start()
    queue.done(B)
    assert taken == []
    queue.done(A)
    thread.join(150)
    assert taken == [A]


def test_failures_back_off_and_success_resets_the_back_off() -> None:
    clock = FakeClock()
    queue = WorkQueue(clock)
    queue.add(A)
    pauses = []
    for _ in range(12):
        assert queue.take() == A
        pauses.append(queue.failed(A))
        clock.advance(pauses[-1])
    assert pauses[:3] == [0.2, 0.4, 0.8]
    assert pauses[-1] == LONGEST_BACKOFF
    assert queue.take() == A
    queue.done(A)
    queue.add(A)
    assert queue.take() == A
    assert queue.failed(A) == 0.2


def test_closed_queue_stops_every_worker() -> None:
    queue = WorkQueue(FakeClock())
    taken: list[Key | None] = []
    threads = [threading.Thread(target=lambda: taken.append(queue.take()), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    queue.close()
    for thread in threads:
        thread.join(150)
    assert taken == [None, None, None]


# The store


def test_an_older_version_never_replaces_a_newer_one() -> None:
    store = ObjectStore()
    new, old = at(7, secret("keys", a="new")), at(5, secret("keys", a="old"))
    assert store.put(SECRET, new)
    assert not store.put(SECRET, old)
    assert store.secret("keys") == {"a": b"new"}


def test_deleted_object_is_not_restored_by_an_older_list() -> None:
    store = ObjectStore()
    store.put(SECRET, at(5, secret("keys", a="1")))
    assert store.remove(SECRET, at(9, secret("keys")))
    assert store.replace(SECRET, [at(5, secret("keys", a="1"))], "8") == set()
    assert store.secret("keys") is None
    assert store.put(SECRET, at(12, secret("keys", a="2")))


def test_list_removes_objects_whose_deletion_was_missed() -> None:
    store = ObjectStore()
    store.put(AUTHENTICATOR, at(5, authenticator("a", cosign(secret_ref("keys")))))
    store.put(AUTHENTICATOR, at(6, authenticator("b", cosign(secret_ref("keys")))))
    store.put(AUTHENTICATOR, at(9, authenticator("c", cosign(secret_ref("keys")))))
    assert store.replace(AUTHENTICATOR, [at(6, authenticator("b", {}))], "8") == {"a"}
    assert {obj["metadata"]["name"] for obj in store.all(AUTHENTICATOR)} == {"b", "c"}
    assert sorted(store.authenticators_with("keys")) == ["b", "c"]


def test_late_deletion_does_not_remove_a_newer_object() -> None:
    store = ObjectStore()
    store.put(POLICY, at(9, policy("p", "a")))
    assert not store.remove(POLICY, at(8, policy("p", "a")))
    assert store.policies_with("a") == ["p"]


@pytest.mark.parametrize("deleted", [False, True])
def test_restored_object_reveals_another_history(*, deleted: bool) -> None:
    store = ObjectStore()
    store.put(AUTHENTICATOR, at(5, authenticator("a", cosign(secret_ref("old")))))
    store.put(AUTHENTICATOR, at(6, authenticator("b", {})))
    if deleted:
        store.remove(AUTHENTICATOR, at(9, authenticator("a", {})))
    else:
        store.put(AUTHENTICATOR, at(9, authenticator("a", cosign(secret_ref("new")))))
    since = store.newest(AUTHENTICATOR)
    restored = [at(5, authenticator("a", cosign(secret_ref("old")))), at(6, authenticator("b", {}))]
    assert "a" in store.replace(AUTHENTICATOR, restored, "20", since)
    assert {obj["metadata"]["name"] for obj in store.all(AUTHENTICATOR)} == {"a", "b"}
    assert (store.authenticators_with("old"), store.authenticators_with("new")) == (["a"], [])


def test_events_during_a_list_are_kept() -> None:
    store = ObjectStore()
    store.put(AUTHENTICATOR, at(5, authenticator("a", cosign(secret_ref("old")))))
    since = store.newest(AUTHENTICATOR)
    store.put(AUTHENTICATOR, at(9, authenticator("a", cosign(secret_ref("new")))))
    assert store.replace(AUTHENTICATOR, [at(5, authenticator("a", {}))], "7", since) == set()
    assert store.authenticators_with("new") == ["a"]


def test_older_list_is_another_history_and_replaces_the_store() -> None:
    store = ObjectStore()
    store.put(AUTHENTICATOR, at(5, authenticator("a", cosign(secret_ref("new")))))
    store.put(AUTHENTICATOR, at(6, authenticator("b", {})))
    store.put(AUTHENTICATOR, at(7, authenticator("c", {})))
    store.remove(AUTHENTICATOR, at(9, authenticator("c", {})))
    since = store.newest(AUTHENTICATOR)
    assert since == 9
    restored = [at(2, authenticator("a", cosign(secret_ref("old")))), at(3, authenticator("c", {}))]
    assert store.replace(AUTHENTICATOR, restored, "4", since) == {"a", "b", "c"}
    assert {obj["metadata"]["name"] for obj in store.all(AUTHENTICATOR)} == {"a", "c"}
    assert (store.authenticators_with("old"), store.authenticators_with("new")) == (["a"], [])
    assert store.put(AUTHENTICATOR, at(5, authenticator("a", {})))
    assert store.newest(AUTHENTICATOR) == 5


def test_own_secrets_are_not_stored() -> None:
    store = ObjectStore({"own"})
    assert not store.put(SECRET, at(1, secret("own", ca_key="x")))
    assert store.secret("own") is None


def test_data_that_is_not_base64_is_empty() -> None:
    store = ObjectStore()
    store.put(SECRET, at(1, {"metadata": {"name": "keys"}, "data": {"a": "!"}}))
    assert store.secret("keys") == {"a": b""}


@settings(max_examples=examples(100), deadline=None)
@given(st.permutations(range(1, 7)), st.data())
def test_newest_version_wins_in_any_order_of_events(order: list[int], data: st.DataObject) -> None:
    store = ObjectStore()
    gone = {version for version in order if data.draw(st.booleans())}
    for version in order:
        obj = at(version, secret("keys", a=str(version)))
        if version in gone:
            store.remove(SECRET, obj)
        else:
            store.put(SECRET, obj)
    assert store.secret("keys") == (None if 6 in gone else {"a": b"6"})


# Metrics and /healthz


@contextmanager
def served(well: Callable[[], bool], problem: Callable[[], str] = str) -> Iterator[tuple[Metrics, str]]:
    """Serve metrics and probes; yield the metrics and the URL."""
    metrics = Metrics(lambda: True)
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    server = MetricsServer(listener, probes_app(metrics.registry, well, problem), configure_logs("json", io.StringIO()))
    try:
        yield metrics, f"http://{host}:{port}"
    finally:
        server.close()


def test_healthz_reports_whether_every_task_runs() -> None:
    well = True
    with served(lambda: well) as (_, url):
        answer = urllib3.request("GET", f"{url}/healthz")
        assert (answer.status, answer.data) == (200, b"ok\n")
        well = False
        assert urllib3.request("GET", f"{url}/healthz").status == 503


def test_readyz_reports_why_a_replica_is_not_ready() -> None:
    well, problem = True, "no rules yet"
    with served(lambda: well, lambda: problem) as (_, url):
        answer = urllib3.request("GET", f"{url}/readyz")
        assert (answer.status, answer.data) == (503, b"no rules yet\n")
        assert urllib3.request("GET", f"{url}/healthz").status == 200
        problem = ""
        assert urllib3.request("GET", f"{url}/readyz").status == 200
        well = False
        assert urllib3.request("GET", f"{url}/readyz").status == 503


def test_metrics_cover_keys_objects_certificates_and_leader() -> None:
    with served(lambda: True) as (metrics, url):
        metrics.counted(["Accepted", "Refused", "Accepted"], {(AUTHENTICATOR, "True"): 2})
        metrics.certificates(NOW, None)
        metrics.event_dropped()
        metrics.worked(AUTHENTICATOR)
        metrics.watch_queue(lambda: 3)
        text = urllib3.request("GET", f"{url}/metrics").data.decode()
    for line in (
        'sealgate_operator_resolved_keys{state="Accepted"} 2.0',
        'sealgate_operator_resolved_keys{state="Refused"} 1.0',
        'sealgate_operator_objects{kind="Authenticator",ready="True"} 2.0',
        'sealgate_operator_certificate_expiry_timestamp_seconds{certificate="ca"} ',
        "sealgate_operator_events_dropped_total 1.0",
        'sealgate_operator_reconcile_successes_total{kind="Authenticator"} 1.0',
        "sealgate_operator_workqueue_depth 3.0",
        "sealgate_operator_leader 1.0",
    ):
        assert line in text
    assert 'certificate="webhook"' not in text


def series(name: str, *values: tuple[str, ...]) -> set[tuple[str, tuple[str, ...]]]:
    return {(name, labels) for labels in values}


def test_scrapes_during_an_update_find_every_series_that_stays() -> None:
    metrics = Metrics(lambda: True)
    problems, objects = "sealgate_enforcement_problems", "sealgate_operator_objects"
    ready, waiting, gone = ((AUTHENTICATOR, status) for status in ("True", "Unknown", "False"))

    def update(kinds: Iterable[str], counts: dict[tuple[str, str], int]) -> None:
        metrics.enforcement(kinds)
        metrics.counted([], counts)

    update(["Rules", "Missing"], {ready: 1, gone: 1})
    scrapes = scrapes_during(lambda: update(["Rules", "Scope"], {ready: 2, waiting: 1}), metrics.registry)
    assert len(scrapes) > 6
    assert all(found >= series(problems, ("Rules",)) | series(objects, ready) for found in scrapes)
    last = scrapes_during(metrics.event_dropped, metrics.registry)[-1]
    assert last & series(problems, ("Rules",), ("Missing",), ("Scope",)) == series(problems, ("Rules",), ("Scope",))
    assert last & series(objects, ready, waiting, gone) == series(objects, ready, waiting)
    assert metrics.registry.get_sample_value(objects, {"kind": AUTHENTICATOR, "ready": "True"}) == 2.0


def test_scrapes_during_an_update_of_a_worker_find_every_series_that_stays() -> None:
    metrics = WorkerMetrics(lambda: True)
    ready, entries, lost = (f"sealgate_signing_{name}" for name in ("policies", "baseline_entries", "baseline_lost"))
    metrics.policies({"True": 2}, {"kept": (5, False), "gone": (7, False)})
    scrapes = scrapes_during(
        lambda: metrics.policies({"True": 2}, {"kept": (6, True), "new": (1, False)}), metrics.registry
    )
    kept = series(entries, ("kept",)) | series(lost, ("kept",))
    statuses = series(ready, ("True",), ("False",), ("Unknown",))
    assert len(scrapes) > 6
    assert all(found >= kept | statuses for found in scrapes)
    last = scrapes_during(metrics.event_dropped, metrics.registry)[-1]
    policies = [("kept",), ("new",), ("gone",)]
    assert last & (series(entries, *policies) | series(lost, *policies)) == kept | series(entries, ("new",)) | series(
        lost, ("new",)
    )
    assert metrics.registry.get_sample_value(lost, {"policy": "kept"}) == 1.0
