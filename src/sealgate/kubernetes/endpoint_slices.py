"""EndpointSlices of a Service: where its replicas are, and which of them are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sealgate.kubernetes.client import KubernetesAPI

_LABEL: Final = "kubernetes.io/service-name"


def slices_of(api: KubernetesAPI, namespace: str, service: str) -> list[dict[str, Any]]:
    """Return the EndpointSlices of a Service.

    Args:
        api: the API server.
        namespace: namespace of the Service.
        service: its name.

    Raises:
        UnavailableError: the API server could not be asked.
    """
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    found = api.get(path, {"labelSelector": f"{_LABEL}={service}"}).get("items") or ()
    return [item for item in found if (item["metadata"].get("labels") or {}).get(_LABEL) == service]
