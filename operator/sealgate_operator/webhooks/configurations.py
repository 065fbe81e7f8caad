"""How fields are applied to the release's webhook configurations.

The chart owns the configuration objects, and writes neither `rules` nor `caBundle`. The operator applies both by
server-side apply, each under a field manager of its own, only to objects that exist: client-side apply, `kubectl diff`
and server-side apply of the chart's manifest leave alone what they do not mention.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sealgate.release.webhooks import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.release.webhooks import WebhookConfiguration


def apply_fields(
    api: KubernetesAPI,
    configuration: WebhookConfiguration,
    found: Mapping[str, Any],
    fields: Mapping[str, Any],
    manager: str,
) -> None:
    """Apply fields of the webhook to the object that was read, and to no other.

    Args:
        api: the API server.
        configuration: which.
        found: the object as it was read.
        fields: of the webhook.
        manager: the field manager that owns them.

    Raises:
        UnavailableError: it could not be done; ConflictError if the object is not the one that was read.
    """
    document = {
        "apiVersion": API_VERSION,
        "kind": configuration.kind,
        "metadata": {"name": configuration.name, "uid": found["metadata"]["uid"]},
        "webhooks": [{"name": configuration.webhook, **fields}],
    }
    api.apply(configuration.path, document, manager)


def was_taken_away(configuration: WebhookConfiguration, found: Mapping[str, Any], manager: str, field: str) -> bool:
    """Return whether another client has changed or removed a field of the webhook that a manager had applied.

    The API server takes a field out of what a manager owns when another client writes it; the manager's entry stays,
    since it still owns the webhook's name.
    """
    entries = found["metadata"].get("managedFields") or ()
    for entry in entries:
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            owned = (entry.get("fieldsV1") or {}).get("f:webhooks") or {}
            key = json.dumps({"name": configuration.webhook}, separators=(",", ":"))
            return f"f:{field}" not in (owned.get(f"k:{key}") or {})
    return False
