"""DaemonSets that nodes need before sealgate can start, in namespaces whose pods are sent to the webhook.

After the loss of every node, the pods of the webhook may be unable to start without the networking, storage or DNS of
their node, and the pods of those DaemonSets cannot be created while the webhook does not answer. Such a cluster does
not come back by itself, so the operator says in time which namespaces have to be excluded. It lists the DaemonSets of
the whole cluster and keeps nothing but names (`docs/decisions/0007-the-operator-lists-daemonsets.md`).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from sealgate.errors import UnavailableError
from sealgate.kubernetes.lists import list_pages
from sealgate.messages import quote
from sealgate_operator.status.conditions import ConditionUpdate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_operator.metrics import Metrics

#: The type of the condition that every VerificationPolicy gets.
RESTART_SAFE = "ClusterRestartSafe"
CLASS = "system-node-critical"
_PATH = "/apis/apps/v1/daemonsets"
_PAGE = 100
_NOT_BLOCKING = ConditionUpdate(
    RESTART_SAFE, True, "FailurePolicyIgnore", "pods are created even while the webhook does not answer"
)
#: The most DaemonSets that a condition names; the rest is counted.
MAX_NAMES = 10


class NodeCritical:
    """Finds such DaemonSets; thread-safe.

    Args:
        api: the API server.
        excluded: names of the namespaces whose pods are not sent to the webhook.
        blocking: whether pods are refused while the webhook does not answer (`failurePolicy: Fail`).
        metrics: shows how many were found.
        log: gets a warning when they change.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        excluded: Collection[str],
        *,
        blocking: bool,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._excluded = frozenset(excluded)
        self._blocking = blocking
        self._metrics = metrics
        self._log = log
        self._lock = threading.Lock()
        self._condition = ConditionUpdate(RESTART_SAFE, None, "Pending", "the DaemonSets have not been listed yet")

    def condition(self) -> ConditionUpdate:
        """Return what the condition should say now."""
        with self._lock:
            return self._condition

    def refresh(self) -> bool:
        """List the DaemonSets; return whether the condition changed.

        If they cannot be listed, the result of the last list stays; if there is none, the condition says so.
        """
        try:
            found = sorted(self._list()) if self._blocking else []
        except UnavailableError as error:
            self._metrics.failed("DaemonSet")
            update = self.condition()
            if update.holds is None:
                message = f"the DaemonSets could not be listed: {error.message}"
                update = ConditionUpdate(RESTART_SAFE, None, "NotListed", message)
        else:
            self._metrics.node_critical(len(found))
            update = _condition_of(found) if self._blocking else _NOT_BLOCKING
        with self._lock:
            changed, self._condition = update != self._condition, update
        if changed and update.holds is not True:
            self._log.warning("cluster may not restart by itself", reason=update.reason, message=update.message)
        return changed

    def _list(self) -> Iterator[str]:
        for page in list_pages(self._api, _PATH, _PAGE):
            for item in page.get("items") or ():
                namespace = item["metadata"]["namespace"]
                if namespace not in self._excluded and _class_of(item) == CLASS:
                    yield f"{namespace}/{item['metadata']['name']}"


def _class_of(daemon_set: Mapping[str, Any]) -> str:
    return str(daemon_set["spec"]["template"]["spec"].get("priorityClassName", ""))


def _condition_of(found: list[str]) -> ConditionUpdate:
    if not found:
        message = f"every DaemonSet of class {CLASS} is in a namespace that is not sent to the webhook"
        return ConditionUpdate(RESTART_SAFE, True, "NodeCriticalNamespacesExcluded", message)
    names = ", ".join(quote(name, 128) for name in found[:MAX_NAMES])
    more = f" and {len(found) - MAX_NAMES} more" if len(found) > MAX_NAMES else ""
    message = (
        f"DaemonSets of class {CLASS} in namespaces that are not excluded: {names}{more}. If every node is lost, "
        "sealgate may be unable to start without them, and their pods cannot be created without sealgate: if nodes "
        "need them for networking, storage or DNS, add the namespaces to webhook.excludedNamespaces"
    )
    return ConditionUpdate(RESTART_SAFE, False, "NodeCriticalNamespacesNotExcluded", message)
