"""Metrics of verification policies: what each of them said, in which namespace.

These are the only metrics with namespaces and names of policies as labels. Dashboards need them to answer what a policy
would deny, and where, before it enforces. Both are bounded:

- a namespace is named only if it is in the list of namespaces, so that forged reviews name none, and only as one of the
  first `MAX_NAMESPACES` that have results; all others share the label "other". One that was deleted makes room;
- policies are named by administrators. Once there are `MAX_SERIES` series, further ones count as policy "other" too, of
  which there are at most as many as actions, verdicts and reasons.

So a tenant who makes namespaces can at most move the results of later ones to "other", never hide or multiply them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import Metric

    from sealgate.policies.decisions import ImageVerdict

#: Label of namespaces and policies that are not named.
OTHER: Final = "other"
#: The most namespaces that are named: more than a dashboard shows, and few enough for a hundred policies.
MAX_NAMESPACES: Final = 100
#: The most series of policies and namespaces that are named.
MAX_SERIES: Final = 5000

#: Policy, action, verdict, reason, namespace.
_Series: TypeAlias = tuple[str, str, str, str, str]
_LABELS: Final = ("policy", "action", "verdict", "reason", "namespace")


class PolicyResultMetrics(Collector):
    """Counts the results of policies for images. Thread-safe.

    A dictionary instead of a `prometheus_client.Counter`, because series are bounded and removed, and because it takes
    a quarter of the time on the path of every review.

    Args:
        is_namespace: whether there is a namespace of a name.
    """

    def __init__(self, is_namespace: Callable[[str], bool]) -> None:
        self.is_namespace = is_namespace
        self._counts: dict[_Series, int] = {}
        self._namespaces: set[str] = set()
        self._lock = threading.Lock()

    def decided(self, namespace: str, verdicts: Iterable[ImageVerdict]) -> None:
        """Count the results of a review.

        Args:
            namespace: the review's namespace, as the review says.
            verdicts: one for each image.
        """
        for verdict in verdicts:
            for policy in verdict.policies:
                series: _Series = (policy.name, policy.action, policy.if_enforced, policy.reason, namespace)
                with self._lock:
                    if series not in self._counts:
                        series = self._bounded(series)
                    self._counts[series] = self._counts.get(series, 0) + 1

    def collect(self) -> Iterable[Metric]:
        """Return the counters; forget those of namespaces that are gone."""
        with self._lock:
            gone = {name for name in self._namespaces if not self.is_namespace(name)}
            if gone:
                self._namespaces -= gone
                self._counts = {series: count for series, count in self._counts.items() if series[-1] not in gone}
            counts = list(self._counts.items())
        found = CounterMetricFamily(
            "sealgate_policy_results",
            "Results of verification policies for images. The verdict is what Enforce would make of it: with another "
            'action, "deny" and "unavailable" are would-be denials.',
            labels=_LABELS,
        )
        for series, count in counts:
            found.add_metric(series, count)
        return (found,)

    def _bounded(self, series: _Series) -> _Series:
        policy, *what, namespace = series
        full = len(self._counts) >= MAX_SERIES
        if namespace not in self._namespaces:
            if full or len(self._namespaces) >= MAX_NAMESPACES or not self.is_namespace(namespace):
                namespace = OTHER
            else:
                self._namespaces.add(namespace)
        elif full:
            namespace = OTHER
        action, verdict, reason = what
        bounded = (policy, action, verdict, reason, namespace)
        if full and bounded not in self._counts:
            return (OTHER, action, verdict, reason, OTHER)
        return bounded
