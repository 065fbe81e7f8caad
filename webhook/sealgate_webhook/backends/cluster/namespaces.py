"""Namespaces and their labels, as the API server has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote as quote_path

from sealgate.errors import NotFoundError, UnavailableError
from sealgate.messages import quote
from sealgate.policies.matching import Namespace
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.kubernetes.watch import Informer

PATH = "/api/v1/namespaces"


def read_namespace(item: dict[str, Any], _: Namespace | None = None) -> Namespace:
    """Return what policies can see of a namespace."""
    metadata = item["metadata"]
    return Namespace(metadata["name"], metadata.get("labels") or {})


class ClusterNamespaces:
    """Namespaces from memory; one that is not there yet is asked for.

    Args:
        listing: all namespaces.
        api: for those that were made a moment ago.
    """

    def __init__(self, listing: Informer[Namespace], api: KubernetesAPI) -> None:
        self._listing = listing
        self._api = api

    def get(self, name: str) -> Namespace:
        """Return a namespace with its labels.

        Raises:
            UnavailableError: there is none of that name, or the API server could not be asked. Without its labels
                it is unknown which policies select it.
        """
        known = self.cached(name)
        if known is not None:
            return known
        try:
            return read_namespace(self._api.get(f"{PATH}/{quote_path(name, safe='')}"))
        except NotFoundError as error:
            raise UnavailableError(f"there is no namespace {quote(name)}", reason=Reason.NOT_FOUND) from error

    def cached(self, name: str) -> Namespace | None:
        """Return a namespace from the listing; None if it is not there yet."""
        return self._listing.get(name)
