from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.client.configuration import Configuration
from kubernetes.config import ConfigException, incluster_config

from sealgate.errors import NotFoundError, UnauthorizedError, UnavailableError
from sealgate.kubernetes.client import ConflictError, GoneError, KubernetesAPI, connect
from sealgate.kubernetes.watch import FIRST_BACKOFF, WATCH_SECONDS, Informer
from sealgate_webhook.transport.tls import load_context
from tests.kubernetes.conftest import running
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator
from tests.webhook.servers import TLSFiles

if TYPE_CHECKING:
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock

NAMESPACES = "/api/v1/namespaces"
PATIENCE = 100


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


class Watched:
    """A listing of namespaces' labels, with a wait for its contents."""

    def __init__(self, api: KubernetesAPI, clock: Clock, log: FilteringBoundLogger, *, optional: bool = False) -> None:
        self._changed = threading.Condition()
        self.changes = 0
        self.listing: Informer[dict[str, str]] = Informer(
            api,
            NAMESPACES,
            lambda item, _: item["metadata"].get("labels") or {},
            self._notify,
            clock,
            log,
            optional=optional,
        )

    def _notify(self) -> None:
        with self._changed:
            self.changes += 1
            self._changed.notify_all()

    def wait_for(self, expected: dict[str, dict[str, str]]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.listing.snapshot() == expected, PATIENCE), (
                self.listing.snapshot()
            )


@pytest.fixture
def watched(api: KubernetesAPI, log: FilteringBoundLogger) -> Watched:
    return Watched(api, FakeClock(), log)


def test_objects_are_listed_and_then_watched(cluster: KubernetesSimulator, watched: Watched) -> None:
    cluster.put(NAMESPACES, namespace("a", env="lab"))
    with running([watched.listing.run], cluster):
        watched.wait_for({"a": {"env": "lab"}})
        cluster.put(NAMESPACES, namespace("b"))
        watched.wait_for({"a": {"env": "lab"}, "b": {}})
        cluster.put(NAMESPACES, namespace("a", env="production"))
        watched.wait_for({"a": {"env": "production"}, "b": {}})
        cluster.delete(f"{NAMESPACES}/b")
        watched.wait_for({"a": {"env": "production"}})
        assert watched.listing.get("a") == {"env": "production"}
        assert watched.listing.get("b") is None


def test_a_kind_that_is_not_installed_is_an_empty_collection_where_it_is_optional(
    cluster: KubernetesSimulator, api: KubernetesAPI, log: FilteringBoundLogger
) -> None:
    watched = Watched(api, FakeClock(), log, optional=True)
    missing = Fault("GET", NAMESPACES, 404)
    cluster.put(NAMESPACES, namespace("a"))
    cluster.faults.append(missing)
    with running([watched.listing.run], cluster):
        watched.wait_for({})
        cluster.faults.remove(missing)
        watched.wait_for({"a": {}})
        cluster.faults.append(missing)
        cluster.end_watches()
        watched.wait_for({})
        assert watched.listing.complete


def test_irrelevant_change_is_not_reported(cluster: KubernetesSimulator, watched: Watched) -> None:
    cluster.put(NAMESPACES, namespace("a", env="lab"))
    with running([watched.listing.run], cluster):
        watched.wait_for({"a": {"env": "lab"}})
        obj = namespace("a", env="lab")
        obj["metadata"]["annotations"] = {"note": "new"}
        cluster.put(NAMESPACES, obj)
        cluster.put(NAMESPACES, namespace("b"))
        watched.wait_for({"a": {"env": "lab"}, "b": {}})
    assert watched.changes == 2  # the list, and the namespace that was added


def test_paged_list_is_reported_only_when_complete(cluster: KubernetesSimulator, watched: Watched) -> None:
    expected: dict[str, dict[str, str]] = {}
    for number in range(25):
        cluster.put(NAMESPACES, namespace(f"n{number}"))
        expected[f"n{number}"] = {}
    cluster.page_limit = 10
    cluster.faults.append(Fault("GET", "continue=20", 503, times=2))
    assert watched.listing.snapshot() is None
    assert watched.listing.get("n1") is None
    with running([watched.listing.run], cluster):
        watched.wait_for(expected)
    assert sum("continue=10" in request.path for request in cluster.requests) == 3


def lists(cluster: KubernetesSimulator) -> int:
    return sum("watch" not in request.path for request in cluster.requests)


def test_expired_watch_resumes_at_its_last_version(
    cluster: KubernetesSimulator, api: KubernetesAPI, log: FilteringBoundLogger
) -> None:
    clock = FakeClock()
    watched = Watched(api, clock, log)
    cluster.put(NAMESPACES, namespace("a"))
    with running([watched.listing.run], cluster):
        watched.wait_for({"a": {}})
        for number in range(3):
            cluster.put(NAMESPACES, namespace("b", number=str(number)))
            watched.wait_for({"a": {}, "b": {"number": str(number)}})
            clock.advance(WATCH_SECONDS)
            begun = cluster.watches_begun
            cluster.end_watches()
            cluster.wait_for(lambda c, begun=begun: c.watches_begun > begun)
    assert lists(cluster) == 1


@pytest.mark.parametrize("gracefully", [False, True])
def test_watch_that_ends_early_causes_a_relist(
    cluster: KubernetesSimulator, watched: Watched, *, gracefully: bool
) -> None:
    cluster.put(NAMESPACES, namespace("a"))
    with running([watched.listing.run], cluster):
        watched.wait_for({"a": {}})
        # A watch without events would cause a relist by itself.
        cluster.put(NAMESPACES, namespace("b"))
        watched.wait_for({"a": {}, "b": {}})
        if gracefully:
            cluster.end_watches()
        else:
            cluster.pause()
            cluster.resume()
        cluster.wait_for(lambda c: lists(c) > 1)
        cluster.delete(f"{NAMESPACES}/a")
        watched.wait_for({"b": {}})


def test_expired_history_causes_a_relist(cluster: KubernetesSimulator, watched: Watched) -> None:
    cluster.put(NAMESPACES, namespace("a"))
    with running([watched.listing.run], cluster):
        watched.wait_for({"a": {}})
        cluster.pause()
        cluster.delete(f"{NAMESPACES}/a")
        cluster.put(NAMESPACES, namespace("b"))
        cluster.compact()
        cluster.resume()
        watched.wait_for({"b": {}})
        cluster.compact()
        cluster.put(NAMESPACES, namespace("c"))
        watched.wait_for({"b": {}, "c": {}})


def test_rolled_back_history_causes_a_relist(cluster: KubernetesSimulator, watched: Watched) -> None:
    cluster.put(NAMESPACES, namespace("a", env="lab"))
    backup = cluster.backup()
    with running([watched.listing.run], cluster):
        watched.wait_for({"a": {"env": "lab"}})
        for number in range(20):
            cluster.put(NAMESPACES, namespace("b", number=str(number)))
        watched.wait_for({"a": {"env": "lab"}, "b": {"number": "19"}})
        begun = cluster.watches_begun
        cluster.restore(backup)
        cluster.put(NAMESPACES, namespace("a", env="production"))
        cluster.wait_for(lambda c: c.watches_begun > begun)
        cluster.end_watches()
        watched.wait_for({"a": {"env": "production"}})


def test_rolled_back_history_is_noticed_at_higher_versions(cluster: KubernetesSimulator, watched: Watched) -> None:
    cluster.put(NAMESPACES, namespace("a", env="lab"))
    cluster.put(NAMESPACES, namespace("gone"))
    backup = cluster.backup()
    with running([watched.listing.run], cluster):
        watched.wait_for({"a": {"env": "lab"}, "gone": {}})
        cluster.delete(f"{NAMESPACES}/gone")
        cluster.put(NAMESPACES, namespace("later"))
        watched.wait_for({"a": {"env": "lab"}, "later": {}})
        cluster.restore(backup)
        for number in range(20):
            cluster.put(NAMESPACES, namespace("busy", number=str(number)))
        watched.wait_for({"a": {"env": "lab"}, "gone": {}, "busy": {"number": "19"}})


class Pauses(threading.Event):
    """A stop event that never waits and records the requested waits."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked.append(timeout or 0.0)
        return super().wait(0)


@pytest.mark.parametrize("document", [{}, {"type": "ERROR", "object": {"code": 410}}])
def test_watch_that_ends_immediately_backs_off(
    cluster: KubernetesSimulator, watched: Watched, document: dict[str, Any]
) -> None:
    stop = Pauses()
    cluster.faults.append(Fault("GET", "watch=true", 200, times=8, document=document))
    with running([lambda _: watched.listing.run(stop)], cluster):
        cluster.wait_for(lambda c: sum("watch=true" in request.path for request in c.requests) == 9)
        cluster.put(NAMESPACES, namespace("a"))
        watched.wait_for({"a": {}})
        pauses = stop.asked[:]
        stop.set()
    assert len(pauses) == 8
    assert pauses[-1] > 5


def test_long_quiet_watch_resumes_without_back_off(
    cluster: KubernetesSimulator, api: KubernetesAPI, log: FilteringBoundLogger
) -> None:
    class Slow(FakeClock):
        def monotonic(self) -> float:
            self.advance(WATCH_SECONDS)
            return super().monotonic()

    stop, watched = Pauses(), Watched(api, Slow(), log)
    cluster.faults.append(Fault("GET", "watch=true", 200, times=8, document={"type": "ERROR", "object": {"code": 410}}))
    with running([lambda _: watched.listing.run(stop)], cluster):
        cluster.wait_for(lambda c: sum("watch=true" in request.path for request in c.requests) == 9)
        stop.set()
    assert max(stop.asked) <= FIRST_BACKOFF


def test_silent_watch_times_out(api: KubernetesAPI) -> None:
    def end_of_watch(silence: float) -> UnavailableError:
        with pytest.raises(UnavailableError) as raised:
            next(api.watch(NAMESPACES, {"resourceVersion": "100"}, silence))
        return raised.value

    # On a busy machine, the shorter times may end before the response begins.
    ends = (end_of_watch(silence) for silence in (0.2, 1.0, 5.0, 25.0))
    assert "silent" in next(error.message for error in ends if isinstance(error, GoneError))


@pytest.mark.parametrize("document", [{}, {"items": [{}], "metadata": {}}, {"metadata": None, "items": None}])
@pytest.mark.parametrize("watch", [False, True])
def test_invalid_response_does_not_end_the_watch(
    cluster: KubernetesSimulator, watched: Watched, document: dict[str, Any], *, watch: bool
) -> None:
    path = "watch=true" if watch else "limit="
    cluster.faults.append(Fault("GET", path, 200, times=1, document=document))
    cluster.put(NAMESPACES, namespace("a"))
    with running([watched.listing.run], cluster):
        watched.wait_for({"a": {}})
        cluster.put(NAMESPACES, namespace("b"))
        watched.wait_for({"a": {}, "b": {}})


def test_objects_are_kept_during_an_api_server_outage(cluster: KubernetesSimulator, watched: Watched) -> None:
    cluster.put(NAMESPACES, namespace("a"))
    with running([watched.listing.run], cluster):
        watched.wait_for({"a": {}})
        cluster.pause()
        assert watched.listing.snapshot() == {"a": {}}
        cluster.resume()
        cluster.put(NAMESPACES, namespace("b"))
        watched.wait_for({"a": {}, "b": {}})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UnauthorizedError),
        (403, UnauthorizedError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (500, UnavailableError),
    ],
)
def test_every_api_server_refusal_has_its_own_error(
    cluster: KubernetesSimulator, api: KubernetesAPI, status: int, kind: type[UnavailableError]
) -> None:
    cluster.faults.append(Fault("", NAMESPACES, status))
    with pytest.raises(kind, match=str(status)):
        api.get(NAMESPACES)


@pytest.mark.parametrize("document", [{}, {"metadata": None}, {"metadata": {}}, {"metadata": {"resourceVersion": 1}}])
def test_response_that_is_not_an_object_is_unavailable(
    cluster: KubernetesSimulator, api: KubernetesAPI, document: dict[str, Any]
) -> None:
    cluster.faults.append(Fault("", NAMESPACES, 200, document=document))
    with pytest.raises(UnavailableError, match="not one of its objects"):
        api.get(f"{NAMESPACES}/a")
    with pytest.raises(UnavailableError, match="not one of its objects"):
        api.replace(f"{NAMESPACES}/a", namespace("a"))


def test_objects_are_created_and_merged(cluster: KubernetesSimulator, api: KubernetesAPI) -> None:
    api.create(NAMESPACES, namespace("a", env="lab"))
    with pytest.raises(ConflictError):
        api.create(NAMESPACES, namespace("a"))
    api.merge(f"{NAMESPACES}/a", {"metadata": {"labels": {"team": "shop"}}})
    assert cluster.get(f"{NAMESPACES}/a")["metadata"]["labels"] == {"env": "lab", "team": "shop"}


def test_absent_api_server_is_unavailable(cluster: KubernetesSimulator, api: KubernetesAPI) -> None:
    cluster.close()
    with pytest.raises(UnavailableError):
        api.get(NAMESPACES)


@pytest.mark.parametrize("error", [ConfigException("Token file exists but empty."), FileNotFoundError()])
def test_unreadable_token_is_retried(cluster: KubernetesSimulator, error: Exception) -> None:
    errors = [error]

    def read_token(configuration: Configuration) -> None:
        if errors:
            raise errors.pop()
        configuration.api_key["BearerToken"] = "Bearer secret"

    configuration = Configuration(host=cluster.url, api_key={"BearerToken": "Bearer old"})
    configuration.refresh_api_key_hook = read_token  # type: ignore[assignment]  # its declared type is None
    api = KubernetesAPI(configuration)
    with pytest.raises(UnavailableError, match=type(error).__name__):
        api.get(NAMESPACES)
    assert api.get(NAMESPACES)["items"] == []
    assert [request.authorization for request in cluster.requests] == ["Bearer secret"]


class OnlyNew(BaseHTTPRequestHandler):
    """An API server that accepts only one token."""

    def do_GET(self) -> None:
        taken = self.headers["Authorization"].lower() == "bearer new"
        body = json.dumps({"metadata": {"resourceVersion": "1"}}).encode()
        self.send_response(200 if taken else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Write no log."""


def test_refused_service_account_token_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls, token, authority = TLSFiles(tmp_path / "tls"), tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("old")
    authority.write_text(tls.trust)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    server = HTTPServer(("127.0.0.1", 0), OnlyNew)
    server.socket = load_context(tls.certificate, tls.key).wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        api = connect()
        # The library would read it again in a minute, by the wall clock.
        token.unlink()
        with pytest.raises(UnauthorizedError):
            api.get(NAMESPACES)
        token.write_text("new")
        with pytest.raises(UnauthorizedError):
            api.get(NAMESPACES)
        assert api.get(NAMESPACES)["metadata"]["resourceVersion"] == "1"
    finally:
        server.shutdown()
        server.server_close()
        serving.join(10)
