"""Reads of and writes to registries, as protocols, and what they return.

`sealgate.registry.session` implements the reads over HTTP, `sealgate.registry.writer` the writes. Tests simulate a
registry behind the same HTTP client, not behind the protocols.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sealgate.http.interface import MAX_RESPONSE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.http.interface import Response
    from sealgate.references import Digest, Repository
    from sealgate.registry.callers import Access

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as fetched. Its digest is the hash of its bytes.

    Attributes:
        digest: computed from `body`, never taken from a header.
        media_type: the Content-Type it was served with, without parameters.
        body: the exact bytes.
        etag: the ETag it was served with, for conditional writes; empty if there is none, or only a weak one.
    """

    digest: Digest
    media_type: str
    body: bytes
    etag: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to content, as indexes and the referrers API list them. Nothing in it is trusted.

    Attributes:
        digest: digest of the content.
        media_type: media type as stated.
        size: size in bytes as stated.
        artifact_type: artifact type as stated; some tools write a wrong one; None if there is none.
        annotations: annotations as stated.
    """

    digest: Digest
    media_type: str
    size: int
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


class Registry(Protocol):
    """Reads of registries for one request: it holds credentials, deadline and address rules."""

    @property
    def access(self) -> Access:
        """The credentials that all answers so far were obtained with; see `sealgate.registry.callers`."""

    @property
    def unanswered_seconds(self) -> float:
        """The longest time that a request had, of those that were not answered before the deadline; 0 if all were."""

    def resolve(self, repository: Repository, tag: str) -> Digest:
        """Return the digest that a tag names now, as the registry states (`Docker-Content-Digest` of a HEAD).

        If a registry does not state it, the manifest is fetched and hashed. A stated digest is not proven: what is
        fetched by it must hash to it, and what is verified, pinned and reported must be about it.

        Raises:
            NotFoundError: the registry has no such tag.
            VerificationError: the manifest had to be fetched, and cannot be verified.
            UnavailableError: the registry could not be asked (and its subclasses).
        """

    def confirm(self, repository: Repository, digest: Digest) -> None:
        """Return if the registry lets this caller read a manifest; raise otherwise. Its content does not matter.

        Raises:
            NotFoundError: the registry has no such manifest, or none for this caller.
            VerificationError: the manifest had to be fetched, and has other bytes.
            UnavailableError: the registry could not be asked (and its subclasses).
        """

    def manifest(self, repository: Repository, reference: str) -> Manifest:
        """Fetch a manifest by tag or by digest and hash it.

        Raises:
            NotFoundError: the registry does not have the manifest.
            VerificationError: the bytes do not hash to the digest it was asked by, or are too many.
            UnavailableError: the registry could not be asked (and its subclasses).
        """

    def blob(self, repository: Repository, digest: Digest, limit: int) -> bytes:
        """Fetch a blob of at most `limit` bytes and compare its hash with `digest`.

        Raises:
            NotFoundError: the registry does not have the blob.
            VerificationError: the bytes do not hash to the digest, or are more than `limit`.
            UnavailableError: the registry could not be asked (and its subclasses).
        """

    def referrers(self, repository: Repository, digest: Digest, limit: int) -> tuple[Descriptor, ...]:
        """List what refers to a subject: by the referrers API, or by the fallback tag if the registry lacks the API.

        An empty list is not an error. Duplicates are listed once.

        Raises:
            VerificationError: more than `limit` of them, or a list that is malformed.
            UnavailableError: the registry could not be asked (and its subclasses).
        """

    def signatures(self, repository: Repository, digest: Digest, limit: int) -> bytes:
        """Fetch the signatures that the registry's signature extension holds for an image (OpenShift has one).

        They are JSON about the image, in whichever repository it was signed; none of it is checked here.

        Raises:
            NotFoundError: the registry has no such extension, or does not know the image.
            VerificationError: the response is larger than `limit`.
            UnavailableError: the registry could not be asked (and its subclasses).
        """

    def document(self, url: str, repository: str, *, limit: int, ca: str | None = None, named: bool = False) -> bytes:
        """Fetch a document about a repository from a server that authenticates callers as registries do.

        Notary servers and signature extensions of registries are such servers. A `401` is answered with the token
        flow of the server's own challenge, with the caller's credentials for the server's host and for no other.
        Redirects to another host are not followed.

        Args:
            url: absolute, `https://` (or `http://` where the host is listed as insecure).
            repository: the name in the token's scope, `repository:<name>:pull`, and in credentials' paths.
            limit: maximum bytes of the document.
            ca: PEM bundle of CA certificates to trust for this server instead of the system's.
            named: whether the configuration names the server's host literally, so that its addresses may be private.

        Raises:
            NotFoundError: the server has no such document.
            VerificationError: the response is larger than `limit`.
            UnavailableError: the registry could not be asked (and its subclasses).
        """


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """What a registry answered when it stored a manifest.

    Attributes:
        digest: digest of the bytes that were sent.
        lists_subject: whether the registry itself lists the manifest as a referrer of its subject (`OCI-Subject`);
            False if the fallback tag has to be written.
    """

    digest: Digest
    lists_subject: bool


class RegistryWriter(Protocol):
    """Writes to registries for one piece of work: with its credentials, under its deadline.

    Nothing is written to a mirror. A `401` is answered with a token for `pull,push`, or for `delete`. Redirects to
    another host get no credentials. Every method raises `UnauthorizedError` with the missing right, and `SigningError`
    where the registry refuses the write for good (a tag that is immutable, a repository that is read-only).
    """

    def put_blob(self, repository: Repository, data: bytes) -> Digest:
        """Upload a blob, unless the repository has it, and return its digest.

        Raises:
            SigningError: the registry refuses it.
            UnavailableError: the registry could not be asked (and its subclasses).
        """

    def put_manifest(
        self, repository: Repository, reference: str, body: bytes, media_type: str, *, replaces: Manifest | None = None
    ) -> StoredManifest:
        """Store a manifest under a tag or its digest.

        Args:
            repository: where.
            reference: a tag, or the digest of `body`.
            body: the exact bytes.
            media_type: of the manifest.
            replaces: the manifest that the tag had when it was read; with it, the write is conditional (`If-Match`)
                where the registry gave an ETag. None if there was none.

        Raises:
            ConflictError: another writer changed the tag in between; read again and repeat.
            ImmutableTagError: the registry does not let the tag be changed.
            SigningError: the registry refuses it (the repository is read-only).
            VerificationError: the registry says that it stored other bytes.
            UnavailableError: the registry could not be asked (and its subclasses).
        """

    def delete_manifest(self, repository: Repository, reference: str) -> None:
        """Delete a manifest by digest, or a tag where the registry can delete one without its manifest.

        Raises:
            NotFoundError: it is not there.
            SigningError: the registry does not allow deletion.
            UnavailableError: the registry could not be asked (and its subclasses).
        """

    def put_signature(self, repository: Repository, digest: Digest, body: bytes) -> None:
        """Store a signature through the registry's signature extension (OpenShift has one).

        Args:
            repository: of the image.
            digest: of the image.
            body: the JSON document of one signature.

        Raises:
            ConflictError: a signature of that name is there.
            SigningError: the registry has no such extension, or refuses the signature.
            UnavailableError: the registry could not be asked (and its subclasses).
        """

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
        """Send a request about a repository to a server that authenticates callers as registries do (Notary).

        Args:
            method: POST, PUT or DELETE.
            url: absolute, `https://` (or `http://` where the host is listed as insecure).
            repository: the name in the token's scope, `repository:<name>:<actions>`.
            body: the exact bytes.
            headers: headers besides those of every request.
            actions: the rights that a token is asked for: "push,pull" or "*".
            limit: maximum bytes of the response.
            ca: PEM bundle of CA certificates to trust for this server instead of the system's.
            named: whether the configuration names the server's host literally, so that its addresses may be private.

        Returns:
            The complete response, of any status but 401.

        Raises:
            UnauthorizedError: the server accepts none of the credentials for these rights.
            UnavailableError: the server could not be asked (and its subclasses).
        """
