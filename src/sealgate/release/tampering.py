"""Compares a webhook configuration with what the chart wants. Pure.

The chart writes into its ConfigMap what it writes into each configuration, so that all that another client changes,
adds or removes is found, and named: an administrator who reads *altered* still has to look for what. Only what decides
whether, where and when the API server asks the webhook is compared.

The operator repairs what it owns, `rules` and `caBundle`. The rest is the chart's, and only reported: an operator that
wrote it would need the right to choose where reviews go and which namespaces are left out, and would undo in silence
what an administrator may have done in an emergency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sealgate.messages import quote
from sealgate.release.webhooks import webhook_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sealgate.release.webhooks import WebhookConfiguration

#: How to bring back what the chart writes. Helm 4 applies server-side, where the other client's fields conflict.
RESTORE: Final = "restore it with helm upgrade (Helm 4: --force-conflicts), and see who changed it in the audit log"
#: The most names that a message has; the rest is counted.
_MAX_NAMES: Final = 10
_NAMESPACE: Final = "kubernetes.io/metadata.name"


class Problem(NamedTuple):
    """Something that keeps the API server from asking the webhook as the chart wants.

    Attributes:
        kind: one CamelCase word: label of the metric, reason of the condition and of the Event.
        configuration: name of the webhook configuration; empty if it is about none.
        message: what is wrong and what to do, for a person.
        repaired: whether the operator is to repair it, or it may end by itself.
    """

    kind: str
    configuration: str
    message: str
    repaired: bool = False


def find_problems(
    configuration: WebhookConfiguration, found: Mapping[str, Any] | None, bundle: str
) -> Iterator[Problem]:
    """Find what is wrong with one configuration.

    Args:
        configuration: what the chart wants.
        found: the object; None if it, or its webhook, is not there.
        bundle: the `caBundle` of the self-test's configuration, which that of all others must equal.
    """
    name = configuration.name
    if found is None:
        message = f"{configuration.kind} {name} is missing, so nothing is sent to the webhook: {RESTORE}"
        yield Problem("WebhookConfigurationMissing", name, message)
        return
    webhook = webhook_of(configuration, found)
    if configuration.rules and comparable_rules(webhook.get("rules")) != comparable_rules(configuration.rules):
        message = f"{name} has other rules than wanted; the operator applies them once the webhook answers"
        yield Problem("RulesNotInPlace", name, message, repaired=True)
    current = webhook["clientConfig"].get("caBundle") or ""
    if current != bundle or (not current and "service" in webhook["clientConfig"]):
        message = f"caBundle of {name} is not that of the webhook's certificate; what issues that one restores it"
        yield Problem("CABundleWrong", name, message, repaired=True)
    if configuration.expected is not None:
        for field, compare in _COMPARISONS.items():
            message = compare(configuration.expected.get(field), webhook.get(field))
            if message:
                yield Problem(_KINDS.get(field, "WebhookConfigurationAltered"), name, f"{name}: {message}")


def comparable_rules(rules: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Return rules with what the API server assumes for a rule without a scope."""
    return [{"scope": "*", **rule} for rule in rules or ()]


# Each comparison returns what is wrong and what to do; empty if nothing is. ---------------------------------------


def _compare_connection(wanted: Any, current: Any) -> str:  # noqa: ANN401 - members of a Kubernetes object
    if _connection(wanted) == _connection(current):
        return ""
    return f"the reviews go to {_described(current)} instead of {_described(wanted)}: {RESTORE}"


def _compare_namespaces(wanted: Any, current: Any) -> str:  # noqa: ANN401 - members of a Kubernetes object
    if _selector(wanted) == _selector(current):
        return ""
    more = sorted(_left_out(current) - _left_out(wanted))
    names = ", ".join(quote(name, 64) for name in more[:_MAX_NAMES])
    rest = f" and {len(more) - _MAX_NAMES} more" if len(more) > _MAX_NAMES else ""
    what = f"leaves out the namespaces {names}{rest}" if more else "selects other namespaces than wanted"
    return f"namespaceSelector {what}: {RESTORE}; to exclude a namespace, use webhook.excludedNamespaces"


def _compare_objects(wanted: Any, current: Any) -> str:  # noqa: ANN401 - members of a Kubernetes object
    same = _selector(wanted) == _selector(current)
    return "" if same else f"objectSelector leaves out objects, by labels that tenants set: {_remove('objectSelector')}"


def _compare_conditions(wanted: Any, current: Any) -> str:  # noqa: ANN401 - members of a Kubernetes object
    if (wanted or []) == (current or []):
        return ""
    return f"matchConditions leave out requests: {_remove('matchConditions')}"


def _compare_failure_policy(wanted: Any, current: Any) -> str:  # noqa: ANN401 - members of a Kubernetes object
    if wanted == current:
        return ""
    what = "admits any image while the webhook does not answer" if current == "Ignore" else "is not what was chosen"
    return f"failurePolicy {quote(current, 32)} {what}: {RESTORE}; to change it, use webhook.failurePolicy"


def _compare_value(field: str) -> Callable[[Any, Any], str]:
    def compare(wanted: Any, current: Any) -> str:  # noqa: ANN401 - members of a Kubernetes object
        return "" if wanted == current else f"{field} is {quote(current, 64)} instead of {quote(wanted, 64)}: {RESTORE}"

    return compare


def _compare_rules(wanted: Any, current: Any) -> str:  # noqa: ANN401 - members of a Kubernetes object
    # Only of the self-test, whose rules the chart writes.
    same = wanted is None or comparable_rules(wanted) == comparable_rules(current)
    return "" if same else f"rules are not those of the self-test: {RESTORE}"


_COMPARISONS: Final[dict[str, Callable[[Any, Any], str]]] = {
    "clientConfig": _compare_connection,
    "namespaceSelector": _compare_namespaces,
    "objectSelector": _compare_objects,
    "matchConditions": _compare_conditions,
    "failurePolicy": _compare_failure_policy,
    "rules": _compare_rules,
    **{
        field: _compare_value(field)
        for field in ("matchPolicy", "timeoutSeconds", "sideEffects", "admissionReviewVersions", "reinvocationPolicy")
    },
}
_KINDS: Final = {
    "clientConfig": "PointsElsewhere",
    "namespaceSelector": "NamespacesExcluded",
    "objectSelector": "ObjectsExcluded",
    "matchConditions": "MatchConditionsAdded",
    "failurePolicy": "FailurePolicyChanged",
}


def _remove(field: str) -> str:
    # Helm does not remove a field that it has not written.
    return f"kubectl edit the configuration and remove {field}, and see who added it in the audit log"


def _connection(client: Mapping[str, Any]) -> tuple[object, ...]:
    service = client.get("service") or {}
    port = service.get("port") or 443
    return client.get("url"), service.get("namespace"), service.get("name"), service.get("path"), port


def _described(client: Mapping[str, Any]) -> str:
    service = client.get("service")
    if not service:
        return quote(client.get("url") or "", 256)
    path, port = service.get("path") or "", service.get("port") or 443
    return quote(f"{service.get('namespace')}/{service.get('name')}:{port}{path}", 256)


def _selector(selector: Mapping[str, Any] | None) -> tuple[object, ...]:
    """Return what a label selector says, without the order of its parts."""
    selector = selector or {}
    expressions = selector.get("matchExpressions") or ()
    return (
        frozenset((selector.get("matchLabels") or {}).items()),
        frozenset((one["key"], one["operator"], frozenset(one.get("values") or ())) for one in expressions),
    )


def _left_out(selector: Mapping[str, Any] | None) -> set[str]:
    """Return the names of the namespaces that a selector leaves out."""
    expressions = (selector or {}).get("matchExpressions") or ()
    return {
        name
        for one in expressions
        if (one["key"], one["operator"]) == (_NAMESPACE, "NotIn")
        for name in one.get("values") or ()
    }
