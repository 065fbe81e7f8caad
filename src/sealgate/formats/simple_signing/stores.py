"""Where simple signing keeps signatures: beside the registry, or in its own extension.

A store yields candidates in its own order, one after the other, so that only candidates that are verified are fetched.
What it says about a signature is only a hint; what counts is signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from sealgate.errors import InvalidReferenceError, NotFoundError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.formats.interface import MAX_SIGNATURE_BYTES, MAX_SIGNATURES
from sealgate.formats.simple_signing.folders import read_below
from sealgate.formats.simple_signing.wire import _Entry
from sealgate.messages import quote
from sealgate.parsing.evidence import list_member, parse_object
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.formats.interface import Image, Sources

#: The most bytes of one list of signatures; real ones have about 1 KiB a signature.
MAX_LIST_BYTES = 4 << 20

_OK, _NOT_FOUND = 200, 404
_UNAUTHORIZED = (401, 403)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be a signature.

    Attributes:
        source: where it is, for people.
        message: returns its bytes, or raises `VerificationError` saying why it cannot be a signature.
        location: its full name: an address, a path, or the registry with the number in its list.
        name: its own name in a store that gives names, as the store has it; empty elsewhere.
    """

    source: str
    message: Callable[[], bytes]
    location: str
    name: str = ""


class Store(Protocol):
    """A store of signatures."""

    def budget_host(self, image: Image) -> str:
        """Return the host that is asked for the image's signatures."""

    def candidates(self, image: Image, sources: Sources) -> Iterator[Candidate]:
        """Yield the image's candidate signatures.

        Raises:
            VerificationError: there are too many of them, or the store's own answer is malformed.
            UnavailableError: the store could not be asked, or not to the end.
        """


@dataclass(frozen=True, slots=True)
class OpenShiftStore:
    """The signature extension of the image's registry. One request gives the whole list."""

    def budget_host(self, image: Image) -> str:
        """Return the image's registry."""
        return image.reference.repository.registry

    def candidates(self, image: Image, sources: Sources) -> Iterator[Candidate]:
        """Yield what the list has; see `Store.candidates`."""
        try:
            body = sources.registry.signatures(image.reference.repository, image.digest, MAX_LIST_BYTES)
        except NotFoundError:
            return
        what = "the registry's list of signatures"
        listing = parse_object(body, what, limit=MAX_LIST_BYTES)
        entries = list_member(listing, "signatures", what)
        if len(entries) > MAX_SIGNATURES:
            raise too_many()
        for number, entry in enumerate(entries, 1):
            source = f"signature {number} in {what}"
            name = entry.get("name") if isinstance(entry, dict) else None
            yield Candidate(
                source,
                _Entry(entry, image.digest),
                f"{image.reference.repository.registry}: {source}",
                name if isinstance(name, str) else "",
            )


@dataclass(frozen=True, slots=True)
class LookasideStore:
    """Numbered files under a web address.

    Attributes:
        url: without a slash at its end.
        ca: PEM bundle of CA certificates for the server; None for the system's.
    """

    url: str
    ca: str | None

    def budget_host(self, image: Image) -> str:
        """Return the server's host."""
        del image
        return urlsplit(self.url).netloc

    def candidates(self, image: Image, sources: Sources) -> Iterator[Candidate]:
        """Yield files until the first that is not there; see `Store.candidates`."""
        return _numbered(image, self.url, lambda name: self.fetch(name, sources))

    def fetch(self, name: str, sources: Sources) -> bytes:
        """Return a file below the address.

        Raises:
            NotFoundError: the server does not have it.
            VerificationError: it is larger than a signature may be.
            UnavailableError: the server could not be asked (and its subclasses).
        """
        url = f"{self.url}/{name}"
        response = sources.services.request("GET", url, limit=MAX_SIGNATURE_BYTES, ca=self.ca)
        if response.status == _OK:
            return response.body
        if response.status == _NOT_FOUND:
            raise NotFoundError(f"there is no {quote(url)}")
        if response.status in _UNAUTHORIZED:
            raise UnauthorizedError(f"{quote(url)} may not be read without credentials (status {response.status})")
        raise UnavailableError(f"{quote(url)} is answered with status {response.status}")


@dataclass(frozen=True, slots=True)
class FolderStore:
    """Numbered files in a folder of this machine.

    Attributes:
        folder: absolute.
    """

    folder: Path

    def budget_host(self, image: Image) -> str:
        """Return a name for this machine's own files."""
        del image
        return "file://"

    def candidates(self, image: Image, sources: Sources) -> Iterator[Candidate]:
        """Yield files until the first that is not there; see `Store.candidates`."""
        del sources
        return _numbered(image, str(self.folder), lambda name: read_below(self.folder, name, MAX_SIGNATURE_BYTES))


def read_location(url: str, ca: str | None) -> LookasideStore | FolderStore:
    """Return the store at an address.

    Args:
        url: `https://...`, `http://...` or `file:///...`.
        ca: PEM bundle of CA certificates for the server; None for the system's.

    Raises:
        InvalidReferenceError: its path leads elsewhere than it says.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    if any(component in {".", ".."} for component in path.split("/")) or "\0" in path or "\\" in path:
        raise InvalidReferenceError(f"{quote(url)} has a path that leads elsewhere than it says; write it plainly")
    if parts.scheme == "file":
        return FolderStore(Path(path))
    return LookasideStore(f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}", ca)


def too_many() -> VerificationError:
    """Return the refusal of an image with too many candidates."""
    msg = f"there are more than {MAX_SIGNATURES} candidate signatures for this image; remove the useless ones"
    return VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)


def folder_name(image: Image) -> str:
    """Return the name of the folder of an image's numbered files ("team/api@sha256=4a4a...")."""
    algorithm, _, value = image.digest.partition(":")
    return f"{image.reference.repository.path}@{algorithm}={value}"


def file_name(number: int) -> str:
    """Return the name of one of an image's numbered files; the first is 1."""
    return f"signature-{number}"


def _numbered(image: Image, store: str, fetch: Callable[[str], bytes]) -> Iterator[Candidate]:
    folder = folder_name(image)
    for number in count(1):
        try:
            message = _fetched(fetch(f"{folder}/{file_name(number)}"))
        except NotFoundError:
            return
        except VerificationError as error:
            message = _failed(error)
        if number > MAX_SIGNATURES:
            raise too_many()
        yield Candidate(file_name(number), message, f"{store}/{folder}/{file_name(number)}")


def _fetched(content: bytes) -> Callable[[], bytes]:
    return lambda: content


def _failed(error: VerificationError) -> Callable[[], bytes]:
    def fail() -> bytes:
        raise error

    return fail
