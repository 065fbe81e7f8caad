"""Writes that are sent only while this replica leads: a replica that lost the Lease must not write to a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.http.interface import MAX_RESPONSE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.http.interface import Response, Services
    from sealgate.kubernetes.lease import Fence
    from sealgate.references import Digest, Repository
    from sealgate.registry.interface import Manifest, RegistryWriter, StoredManifest

_READS = frozenset({"GET", "HEAD"})


class FencedWriter:
    """Writes to registries; see `RegistryWriter`. Every method raises `NotLeadingError` where it may not write.

    Args:
        writer: writes.
        fence: whether this replica may write.
    """

    def __init__(self, writer: RegistryWriter, fence: Fence) -> None:
        self._writer = writer
        self._fence = fence

    def put_blob(self, repository: Repository, data: bytes) -> Digest:
        """See `RegistryWriter.put_blob`."""
        self._fence.check()
        return self._writer.put_blob(repository, data)

    def put_manifest(
        self, repository: Repository, reference: str, body: bytes, media_type: str, *, replaces: Manifest | None = None
    ) -> StoredManifest:
        """See `RegistryWriter.put_manifest`."""
        self._fence.check()
        return self._writer.put_manifest(repository, reference, body, media_type, replaces=replaces)

    def delete_manifest(self, repository: Repository, reference: str) -> None:
        """See `RegistryWriter.delete_manifest`."""
        self._fence.check()
        self._writer.delete_manifest(repository, reference)

    def put_signature(self, repository: Repository, digest: Digest, body: bytes) -> None:
        """See `RegistryWriter.put_signature`."""
        self._fence.check()
        self._writer.put_signature(repository, digest, body)

    def send_document(  # noqa: PLR0913 - the parts of an HTTP request, and who may answer it
        self,
        method: str,
        url: str,
        repository: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        actions: str = "push,pull",
        limit: int = MAX_RESPONSE_BYTES,
        ca: str | None = None,
        named: bool = False,
    ) -> Response:
        """See `RegistryWriter.send_document`."""
        self._fence.check()
        return self._writer.send_document(
            method, url, repository, body=body, headers=headers, actions=actions, limit=limit, ca=ca, named=named
        )


class FencedServices:
    """Requests to services; see `Services`. Other requests than reads raise `NotLeadingError` as `FencedWriter` does.

    Args:
        services: sends the requests.
        fence: whether this replica may write.
    """

    def __init__(self, services: Services, fence: Fence) -> None:
        self._services = services
        self._fence = fence

    def request(  # noqa: PLR0913 - the parts of an HTTP request are these
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = MAX_RESPONSE_BYTES,
        ca: str | None = None,
        seconds: float | None = None,
    ) -> Response:
        """See `Services.request`."""
        if method not in _READS:
            self._fence.check()
        return self._services.request(method, url, headers=headers, body=body, limit=limit, ca=ca, seconds=seconds)
