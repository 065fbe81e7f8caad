"""Lists of collections, read page by page, so that a large one is never in memory as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealgate.kubernetes.client import TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealgate.kubernetes.client import KubernetesAPI

#: Objects of one page, where they are not unusually large.
PAGE: Final = 500
#: A page that is too large is asked for again with a part of its objects.
_FEWER: Final = 8


def list_pages(
    api: KubernetesAPI, path: str, limit: int = PAGE, selectors: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the pages of a collection; the last one has the `resourceVersion` of the whole list.

    Where objects are unusually large, the pages have fewer of them.

    Args:
        api: the API server.
        path: of the collection ("/api/v1/pods").
        limit: the most objects of a page, at least 1.
        selectors: `labelSelector` and `fieldSelector`; None for all objects.

    Raises:
        UnavailableError: a page could not be read (and its subclasses); what was yielded before is valid.
    """
    query: dict[str, str | int] = {"limit": limit, **(selectors or {})}
    while True:
        try:
            page = api.get(path, query)
        except TooLargeError:
            if limit == 1:
                raise
            query["limit"] = limit = max(limit // _FEWER, 1)
            continue
        yield page
        if not page["metadata"].get("continue"):
            return
        query["continue"] = page["metadata"]["continue"]


def items_of(page: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a page with `apiVersion` and `kind`, which the items of a list do not have.

    Args:
        page: the page.
        kind: kind of its objects.
    """
    version = page.get("apiVersion") or ""
    for item in page.get("items") or ():
        yield {**item, "apiVersion": version, "kind": kind}


def list_objects(api: KubernetesAPI, path: str, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a collection with `apiVersion` and `kind`; see `list_pages` and `items_of`."""
    for page in list_pages(api, path):
        yield from items_of(page, kind)
