"""Prometheus metrics, on a port of their own.

Labels never contain image names or any other text that a client can choose: verdicts and reasons are enumerations, and
a host is named only if a policy or authenticator names it literally, otherwise it is "other". Policies and
authenticators, which only administrators create, are named if they are invalid. Only the results of policies have
namespaces, and policies that are valid, as labels (`sealgate_webhook.policy_metrics`): bounded in number, and a
namespace only if it is in the list of namespaces.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sealgate.findings import Outcome
from sealgate.reasons import Reason
from sealgate_webhook.exception_metrics import ExceptionMetrics
from sealgate_webhook.policy_metrics import OTHER, PolicyResultMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import Metric
    from structlog.typing import FilteringBoundLogger

    from sealgate.findings import Finding
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.process.serving.limits import Crowding
    from sealgate.shared_cache.observers import Operation, Result
    from sealgate.verification.byte_cache import Usage
    from sealgate.verification.observers import BackgroundResult, CacheKind, CacheName, RefusalCause, StaleKind

#: Seconds; from cached verdicts to the longest timeout of a webhook.
LATENCY_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0)
#: What others had taken when a review is refused: room for large bodies and the time to decode them, or threads.
ReviewLimit = Literal["bodies", "threads"]
#: The most invalid objects that are named.
MAX_UNREADABLE: Final = 100

#: HTTP status codes of registries, and the reasons that replace them when there was no response.
_OUTCOMES: Final = frozenset(
    {"200", "206", "301", "302", "303", "307", "308", "400", "401", "403", "404", "405", "408", "429"}
    | {"500", "502", "503", "504"}
    | {reason.value for reason in Reason}
)


def _no_namespace(_: str) -> bool:
    return False


def _no_caches() -> Mapping[CacheName, Usage]:
    return {}


class CacheMetrics(Collector):
    """Reads the size of the caches whenever the metrics are read.

    Attributes:
        usage: returns what each cache holds now.
    """

    def __init__(self) -> None:
        self.usage = _no_caches

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of the caches."""
        size = GaugeMetricFamily("sealgate_cache_bytes", "Estimated memory of a cache, in bytes.", labels=("cache",))
        entries = GaugeMetricFamily("sealgate_cache_entries", "Entries of a cache.", labels=("cache",))
        evicted = CounterMetricFamily(
            "sealgate_cache_evictions", "Entries evicted before they expired: the cache was full.", labels=("cache",)
        )
        for cache, usage in self.usage().items():
            size.add_metric((cache,), usage.size)
            entries.add_metric((cache,), usage.entries)
            evicted.add_metric((cache,), usage.evicted)
        return size, entries, evicted


class Metrics:
    """All metrics of one webhook process; also the verifier's observer, and the registry client's.

    Args:
        log: gets a line for every unexpected exception.
        literal_hosts: returns the hosts that the policies in force name literally; only they become labels.

    Attributes:
        caches: the metrics of the caches.
        policy_results: the metrics of policies.
        exceptions: the metrics of exceptions.
    """

    def __init__(self, log: FilteringBoundLogger, literal_hosts: Callable[[], frozenset[str]] = frozenset) -> None:
        self.registry = CollectorRegistry()
        self._log = log
        self.literal_hosts = literal_hosts
        self.caches = CacheMetrics()
        self.registry.register(self.caches)
        self.policy_results = PolicyResultMetrics(_no_namespace)
        self.registry.register(self.policy_results)
        self.exceptions = ExceptionMetrics()
        self.registry.register(self.exceptions)
        self._unreadable_named: set[tuple[str, str]] = set()
        self._define_review_metrics()
        self._define_verifier_metrics()
        self._define_policy_metrics()
        self._of_reviews = lru_cache(maxsize=256)(self._count_of_reviews)
        self._of_decisions = lru_cache(maxsize=256)(self._count_of_decisions)
        self._of_requests = lru_cache(maxsize=256)(self._count_of_requests)
        self._of_verifications = lru_cache(maxsize=256)(self._count_of_verifications)
        self._of_budget_waits = lru_cache(maxsize=256)(self._histogram_of_budget_waits)
        self._of_registries = lru_cache(maxsize=256)(self._count_of_registries)

    def reviewed(self, endpoint: str, result: str, seconds: float) -> None:
        """Count an admission review.

        Args:
            endpoint: "validate" or "mutate".
            result: "allowed", "denied", "patched", "malformed", "forbidden" (the caller is not permitted) or "busy"
                (its body could not be received and decoded in time).
            seconds: time until the response, in seconds.
        """
        count, latency = self._of_reviews(endpoint, result)
        count.inc()
        latency.observe(seconds)

    def review_refused(self, limit: ReviewLimit) -> None:
        """Count a review refused because of what others had taken."""
        self._refused_reviews.labels(limit).inc()

    def connection_closed(self, of: Crowding) -> None:
        """Count a connection that was closed to make room for others, by what had run out."""
        self._closed_connections.labels(of).inc()

    def decided(self, namespace: str, verdicts: tuple[ImageVerdict, ...]) -> None:
        """Count the verdicts of a review.

        Args:
            namespace: the review's namespace, as the review says.
            verdicts: one for each image.
        """
        self.policy_results.decided(namespace, verdicts)
        for verdict in verdicts:
            self._of_decisions(verdict.verdict, verdict.reason).inc()
            host = OTHER if verdict.reference is None else self._host(verdict.reference.repository.registry)
            self._of_registries(host, verdict.verdict).inc()

    def policies_loaded(self, policies: int, authenticators: int, unusable: int, now: float) -> None:
        """Record that a set of policies is in force.

        Args:
            policies: how many.
            authenticators: how many.
            unusable: how many of the authenticators cannot be used.
            now: seconds since 1970.
        """
        self._policies.set(policies)
        self._authenticators.labels("ready").set(authenticators - unusable)
        self._authenticators.labels("unusable").set(unusable)
        self._reload_success.set(1)
        self._reload_time.set(now)

    def objects_unreadable(self, objects: Iterable[tuple[str, str]]) -> None:
        """Record which objects in force are invalid.

        Args:
            objects: kind and name of each; beyond `MAX_UNREADABLE` they are not named.
        """
        named = set(islice(objects, MAX_UNREADABLE))
        for gone in self._unreadable_named - named:
            self._unreadable.remove(*gone)
        for kind, name in named:
            self._unreadable.labels(kind, name).set(1)
        self._unreadable_named = named

    def policies_refused(self) -> None:
        """Count a reload rejected because the policies were invalid."""
        self._reload_errors.inc()
        self._reload_success.set(0)

    def certificate_refused(self) -> None:
        """Count a reload rejected because a certificate or CA file was invalid."""
        self._certificate_errors.inc()

    def port_open(self, open_to_all: bool) -> None:  # noqa: FBT001 - the value of the metric
        """Set whether reviews are answered for every caller that reaches the port."""
        self._port_open.set(open_to_all)

    def event_dropped(self) -> None:
        """Count a Kubernetes Event that was not written."""
        self._events_dropped.inc()

    def cache_hit(self, kind: CacheKind) -> None:
        """Count a cache hit."""
        self._hits[kind].inc()

    def cache_miss(self, kind: CacheKind) -> None:
        """Count a cache miss."""
        self._misses[kind].inc()

    def joined(self, kind: CacheKind) -> None:
        """Count a request that joins work in progress."""
        self._joins.labels(kind).inc()

    def stale(self, kind: StaleKind, host: str) -> None:
        """Count an answer that was used because its registry is unreachable."""
        self._stale[kind].labels(self._host(host)).inc()

    def budget_wait(self, host: str, seconds: float) -> None:
        """Record how long a verification waits for the budget of its host."""
        self._of_budget_waits(self._host(host)).observe(seconds)

    def rate_limited(self, host: str) -> None:
        """Count a verification refused because it would have to wait for its budget beyond its deadline."""
        self._rate_limited.labels(self._host(host)).inc()

    def refused(self, cause: RefusalCause) -> None:
        """Count work refused because too much other work was ahead."""
        self._refusals.labels(cause).inc()

    def work_queued(self, change: int) -> None:
        """Change the number of tasks that wait."""
        self._queued.inc(change)

    def work_running(self, change: int) -> None:
        """Change the number of tasks that run."""
        self._running.inc(change)

    def background_waiting(self, change: int) -> None:
        """Change the number of verifications that wait to be made in the background."""
        self._background_waiting.inc(change)

    def background_ended(self, result: BackgroundResult) -> None:
        """Count a verification that no longer waits to be made in the background, by result."""
        self._background_results[result].inc()

    def verification(self, finding: Finding, seconds: float) -> None:
        """Record a verification of an image by an authenticator."""
        count, latency = self._of_verifications(finding.format, finding.outcome, finding.reason)
        count.inc()
        latency.observe(seconds)
        if finding.outcome is Outcome.UNAVAILABLE:
            self._registry_errors.labels(finding.reason).inc()

    def pull_credentials(self, provider: str, result: str) -> None:
        """Count a request for pull credentials by the platform's identity; the result is "issued" or "failed"."""
        self._pull_credentials.labels(provider, result).inc()

    def shared_cache_used(self, operation: Operation, result: Result) -> None:
        """Count a use of the shared cache; see `sealgate.shared_cache.observers`."""
        self._shared_cache_uses.labels(operation, result).inc()

    def watch_shared_cache(self, connected: Callable[[], bool]) -> None:
        """Report from now on whether the shared cache is connected."""
        self._shared_cache_connected.set_function(connected)

    def request(self, host: str, outcome: str) -> None:
        """Count a request to a registry or service; see `sealgate.http.client.RequestObserver`."""
        self._of_requests(self._host(host), outcome if outcome in _OUTCOMES else OTHER).inc()

    def internal_error(self, error: BaseException) -> None:
        """Count and log an unexpected exception."""
        self.internal_errors.inc()
        self._log.error("internal error during a verification", exc_info=error)

    # Finding a metric by its labels costs more than incrementing it. There are few label sets of each.

    def _count_of_reviews(self, endpoint: str, result: str) -> tuple[Counter, Histogram]:
        return self._reviews.labels(endpoint, result), self._latency.labels(endpoint)

    def _count_of_decisions(self, verdict: str, reason: str) -> Counter:
        return self._decisions.labels(verdict, reason)

    def _count_of_requests(self, host: str, code: str) -> Counter:
        return self._requests.labels(host, code)

    def _count_of_verifications(self, form: str, outcome: str, reason: str) -> tuple[Counter, Histogram]:
        return self._verifications.labels(form, outcome, reason), self._verification_latency.labels(form)

    def _histogram_of_budget_waits(self, host: str) -> Histogram:
        return self._budget_waits.labels(host)

    def _count_of_registries(self, host: str, verdict: str) -> Counter:
        return self._registries.labels(host, verdict)

    def _host(self, host: str) -> str:
        return host if host in self.literal_hosts() else OTHER

    def _define_review_metrics(self) -> None:
        self._reviews = Counter(
            "sealgate_admission_reviews",
            "Admission reviews, by result.",
            ("endpoint", "result"),
            registry=self.registry,
        )
        self._latency = Histogram(
            "sealgate_admission_review_duration_seconds",
            "Time from the arrival of an admission review to its response, in seconds.",
            ("endpoint",),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._refused_reviews = Counter(
            "sealgate_refused_reviews",
            "Admission reviews refused because others had taken what they need, by the limit reached.",
            ("limit",),
            registry=self.registry,
        )
        self._closed_connections = Counter(
            "sealgate_closed_connections",
            "Connections closed to make room for others, by what had run out.",
            ("limit",),
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "sealgate_admission_reviews_in_flight", "Admission reviews in progress.", registry=self.registry
        )
        self._decisions = Counter(
            "sealgate_image_verdicts",
            "Verdicts on images, by verdict and reason.",
            ("verdict", "reason"),
            registry=self.registry,
        )
        self._registries = Counter(
            "sealgate_registry_verdicts",
            "Verdicts on images, by registry.",
            ("host", "verdict"),
            registry=self.registry,
        )
        self._events_dropped = Counter(
            "sealgate_events_dropped", "Kubernetes Events that were not written.", registry=self.registry
        )
        self.internal_errors = Counter("sealgate_internal_errors", "Unexpected exceptions.", registry=self.registry)

    def _define_verifier_metrics(self) -> None:
        hits = Counter("sealgate_cache_hits", "Cache hits.", ("cache",), registry=self.registry)
        misses = Counter("sealgate_cache_misses", "Cache misses.", ("cache",), registry=self.registry)
        kinds: tuple[CacheKind, ...] = ("finding", "tag", "verdict")
        self._hits = {kind: hits.labels(kind) for kind in kinds}
        self._misses = {kind: misses.labels(kind) for kind in kinds}
        self._joins = Counter(
            "sealgate_single_flight_joins",
            "Requests that joined work already in progress for another request.",
            ("work",),
            registry=self.registry,
        )
        self._stale = {
            "tag": Counter(
                "sealgate_stale_tags",
                "Tags that counted as the digest that they named before their registry became unreachable.",
                ("host",),
                registry=self.registry,
            ),
            "finding": Counter(
                "sealgate_stale_findings",
                "Verified findings that counted beyond their TTL because the registry of the image is unreachable.",
                ("host",),
                registry=self.registry,
            ),
        }
        self._budget_waits = Histogram(
            "sealgate_budget_wait_seconds",
            "Time that verifications wait for the budget of a host, in seconds.",
            ("host",),
            buckets=(0.0, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
            registry=self.registry,
        )
        self._rate_limited = Counter(
            "sealgate_rate_limited_verifications",
            "Verifications refused because the budget of a host was exhausted.",
            ("host",),
            registry=self.registry,
        )
        self._refusals = Counter(
            "sealgate_refused_work",
            "Verifications and resolutions refused because too much other work was ahead, by the limit reached.",
            ("limit",),
            registry=self.registry,
        )
        self._queued = Gauge(
            "sealgate_queued_work",
            "Verifications and resolutions that wait for a worker or a budget.",
            registry=self.registry,
        )
        self._running = Gauge(
            "sealgate_running_work", "Verifications and resolutions that run.", registry=self.registry
        )
        self._background_waiting = Gauge(
            "sealgate_background_verifications_waiting",
            "Verifications that reviews could not wait for, and that wait to be made in the background.",
            registry=self.registry,
        )
        background = Counter(
            "sealgate_background_verifications",
            "Verifications that reviews could not wait for and that no longer wait, by result.",
            ("result",),
            registry=self.registry,
        )
        results: tuple[BackgroundResult, ...] = (
            "done",
            "known",
            "obsolete",
            "unavailable",
            "expired",
            "full",
            "closed",
        )
        self._background_results = {result: background.labels(result) for result in results}
        self._verifications = Counter(
            "sealgate_verifications",
            "Verifications of an image by an authenticator, by outcome.",
            ("format", "outcome", "reason"),
            registry=self.registry,
        )
        self._verification_latency = Histogram(
            "sealgate_verification_duration_seconds",
            "Time of a verification of an image by an authenticator, requests included, in seconds.",
            ("format",),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._requests = Counter(
            "sealgate_registry_requests",
            "Requests to registries and services, by HTTP status code or error.",
            ("host", "code"),
            registry=self.registry,
        )
        self._pull_credentials = Counter(
            "sealgate_pull_credential_requests",
            "Requests for pull credentials by the platform's identity, by cloud and result.",
            ("provider", "result"),
            registry=self.registry,
        )
        self._shared_cache_uses = Counter(
            "sealgate_shared_cache_uses",
            "Uses of the shared cache, by operation and result.",
            ("operation", "result"),
            registry=self.registry,
        )
        self._shared_cache_connected = Gauge(
            "sealgate_shared_cache_connected",
            "1 if the server of the shared cache answers in time, 0 if this replica works alone.",
            registry=self.registry,
        )
        self._registry_errors = Counter(
            "sealgate_unavailable_verifications",
            "Verifications without a result, by reason.",
            ("reason",),
            registry=self.registry,
        )

    def _define_policy_metrics(self) -> None:
        self._policies = Gauge(
            "sealgate_verification_policies", "Verification policies in force.", registry=self.registry
        )
        self._authenticators = Gauge(
            "sealgate_authenticators", "Authenticators in force.", ("state",), registry=self.registry
        )
        self._unreadable = Gauge(
            "sealgate_unreadable_objects",
            "1 for each authenticator and verification policy that is invalid, so that no image meets it.",
            ("kind", "name"),
            registry=self.registry,
        )
        self._reload_errors = Counter(
            "sealgate_policy_reload_failures",
            "Policy reloads rejected because the policies were invalid.",
            registry=self.registry,
        )
        self._reload_success = Gauge(
            "sealgate_policy_last_reload_successful",
            "1 if the newest policies are in force, 0 if they were rejected.",
            registry=self.registry,
        )
        self._reload_time = Gauge(
            "sealgate_policy_last_reload_success_timestamp_seconds",
            "Time of the last successful policy reload, in seconds since the Unix epoch.",
            registry=self.registry,
        )
        self._certificate_errors = Counter(
            "sealgate_certificate_reload_failures",
            "Reloads of the serving certificate or the client CA rejected because the files were invalid.",
            registry=self.registry,
        )
        self._port_open = Gauge(
            "sealgate_unauthenticated_callers_allowed",
            "1 if admission reviews of every caller are answered, 0 if a client certificate is required.",
            registry=self.registry,
        )
