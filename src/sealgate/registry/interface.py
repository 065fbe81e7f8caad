"""What formats and the verifier may ask of the network, as protocols.

`sealgate.registry.client` implements them over HTTP. Tests have a simulator of a registry behind the same HTTP,
never behind these protocols alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.references import Digest, Repository
    from sealgate.registry.callers import Access

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as fetched: its bytes hash to its digest.

    Attributes:
        digest: computed from `body`, never taken from a header.
        media_type: the Content-Type it was served with, without parameters.
        body: the exact bytes.
    """

    digest: Digest
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to content, as indexes and the referrers API list them. Nothing in it is trusted.

    Attributes:
        digest: of what it points at.
        media_type: what the pointing side says it is.
        size: in bytes, as said.
        artifact_type: as said; some tools write a wrong one.
        annotations: as said.
    """

    digest: Digest
    media_type: str
    size: int
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


class Registry(Protocol):
    """Reads of one pod's registries: credentials, deadline, budgets of pauses and address rules are inside."""

    @property
    def access(self) -> Access:
        """Whose credentials all answers so far rest on; see `sealgate.registry.callers`."""

    def resolve(self, repository: Repository, tag: str) -> Digest:
        """Return the digest that a tag names now, as the registry says (`Docker-Content-Digest` of a HEAD).

        Where a registry does not say it, the manifest is fetched and hashed. A digest that was said is proven by
        nothing: what is fetched by it must hash to it, and what is verified, pinned and reported must be about it.

        Raises:
            NotFoundError: the registry has no such tag.
            VerificationError: the manifest had to be fetched, and cannot be verified.
            UnavailableError: it could not be asked (and its subclasses).
        """

    def confirm(self, repository: Repository, digest: Digest) -> None:
        """Return if the registry lets this caller read a manifest; its content does not matter.

        Raises:
            NotFoundError: the registry has no such manifest, or none for this caller.
            VerificationError: the manifest had to be fetched, and has other bytes.
            UnavailableError: it could not be asked (and its subclasses).
        """

    def manifest(self, repository: Repository, reference: str) -> Manifest:
        """Fetch a manifest by tag or by digest and hash it.

        Raises:
            NotFoundError: the registry has none of that name.
            VerificationError: asked by digest, it served other bytes; or too many of them.
            UnavailableError: it could not be asked (and its subclasses).
        """

    def blob(self, repository: Repository, digest: Digest, limit: int) -> bytes:
        """Fetch a blob of at most `limit` bytes and compare its hash with `digest`.

        Raises:
            NotFoundError: the registry has none of that name.
            VerificationError: it served other bytes, or too many of them.
            UnavailableError: it could not be asked (and its subclasses).
        """

    def referrers(self, repository: Repository, digest: Digest, limit: int) -> tuple[Descriptor, ...]:
        """List what refers to a subject: the referrers API, or the fallback tag where there is no such API.

        Nothing that refers to it is an empty answer, not an error. Duplicates are listed once.

        Raises:
            VerificationError: more than `limit` of them, or a list that is malformed.
            UnavailableError: it could not be asked (and its subclasses).
        """

    def signatures(self, repository: Repository, digest: Digest, limit: int) -> bytes:
        """Fetch what the registry's own signature extension holds for an image (OpenShift has one).

        It is JSON about the image, whichever repository it was signed in; nothing of it is checked here.

        Raises:
            NotFoundError: the registry has no such extension, or does not know the image.
            VerificationError: more than `limit` bytes came back.
            UnavailableError: it could not be asked (and its subclasses).
        """

    def document(self, url: str, repository: str, *, limit: int, ca: str | None = None, named: bool = False) -> bytes:
        """Fetch a document about a repository from a server that asks for tokens as registries do.

        Notary servers and signature extensions of registries are such servers. A `401` is answered with the token
        flow of the server's own challenge, with this pod's credentials for the server's host (and no other's).
        Redirects are not followed to another host.

        Args:
            url: absolute, `https://` (or `http://` where the host is listed as insecure).
            repository: the name in the token's scope, `repository:<name>:pull`, and in credentials' paths.
            limit: the most bytes of the document.
            ca: a PEM bundle that replaces the system's for this server.
            named: whether the configuration names the server's host literally, so that its addresses may be private.

        Raises:
            NotFoundError: the server has no such document.
            VerificationError: more than `limit` bytes came back.
            UnavailableError: it could not be asked (and its subclasses).
        """
