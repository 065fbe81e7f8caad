"""Storing a simple-signing message: in the registry's extension, in a folder, or on a web server.

Whether a store accepts signatures is checked before anything is signed, as far as that is possible without storing one.
A new signature never replaces another one. OpenShift's extension and folders guarantee that for any number of writers;
a web server does if it honours `If-None-Match` (RFC 9110, 13.1.2). What is stored beside a new signature is never
touched.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from sealgate.errors import (
    ConflictError,
    NotFoundError,
    SigningError,
    UnauthorizedError,
    UnavailableError,
    VerificationError,
)
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.simple_signing.folders import new_file_below
from sealgate.formats.simple_signing.stores import FolderStore, LookasideStore, OpenShiftStore, file_name, folder_name
from sealgate.formats.simple_signing.wire import build_entry
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from sealgate.formats.interface import Image
    from sealgate.formats.signing import SigningContext

    #: Stores a signed message; what it returns does not matter.
    Put: TypeAlias = Callable[[bytes], object]

#: A store that signatures can be written to.
WritableStore = OpenShiftStore | LookasideStore | FolderStore

#: Attempts at a random name of 32 characters; a second one is never needed, unless the server is wrong.
_NAMES = 4
_UNAUTHORIZED = (401, 403)
_STORED = (200, 201, 204)
_CONFLICT, _PRECONDITION_FAILED = 409, 412
_SERVER_ERROR = 500
_NOT_IMPLEMENTED = 501


class StoreWriter(Protocol):
    """Writes to a store of signatures.

    Attributes:
        contested: whether a slower writer may replace a signature that was stored.
    """

    contested: ClassVar[bool]

    def lock_name(self, image: Image) -> str:
        """Return what `Signer.lock_name` returns."""

    def locate(self, image: Image, source: str) -> str:
        """Return where one of the image's signatures is, for a person.

        Args:
            image: what is signed.
            source: as its `Candidate` has it.
        """

    def ready(self, image: Image, context: SigningContext) -> AbstractContextManager[Put]:
        """Return a context manager that makes ready to store one signature, and yields what stores it.

        Raises:
            SigningError: the store does not take signatures, or refuses this one.
            UnavailableError: the store could not be asked (and its subclasses).
        """


def writer_of(store: WritableStore) -> StoreWriter:
    """Return the writer of a store."""
    if isinstance(store, OpenShiftStore):
        return OpenShiftWriter()
    if isinstance(store, FolderStore):
        return FolderWriter(store)
    return LookasideWriter(store)


class OpenShiftWriter:
    """Writes to the signature extension of the image's registry, which keeps each signature under a name of its own."""

    contested: ClassVar[bool] = False

    def lock_name(self, image: Image) -> str:
        """Return an empty name: no writer can replace another's signature."""
        del image
        return ""

    def locate(self, image: Image, source: str) -> str:
        """Return the path of the extension, and which of its signatures it is."""
        repository = image.reference.repository
        return f"{repository.registry}/extensions/v2/{repository.path}/signatures/{image.digest}, {source}"

    @contextmanager
    def ready(self, image: Image, context: SigningContext) -> Iterator[Put]:
        """See `StoreWriter.ready`. Whether the user may store signatures shows only when one is stored."""
        yield lambda message: _put_entry(image, message, context)


def _put_entry(image: Image, message: bytes, context: SigningContext) -> None:
    repository = image.reference.repository
    for attempt in range(1, _NAMES + 1):
        entry = build_entry(image.digest, secrets.token_hex(16), message)
        try:
            context.writer.put_signature(repository, image.digest, entry)
        except ConflictError:
            if attempt == _NAMES:
                raise
        else:
            return


@dataclass(frozen=True, slots=True)
class FolderWriter:
    """Writes numbered files to a folder. A file appears complete, under the first number that is free."""

    contested: ClassVar[bool] = False
    store: FolderStore

    def lock_name(self, image: Image) -> str:
        """Return the path of the image's signatures: writers replace no file, but a deletion renames files."""
        return f"{self.store.folder}/{folder_name(image)}"

    def locate(self, image: Image, source: str) -> str:
        """Return the path of the file."""
        return f"{self.store.folder}/{folder_name(image)}/{source}"

    @contextmanager
    def ready(self, image: Image, context: SigningContext) -> Iterator[Put]:
        """See `StoreWriter.ready`. The file is there, without its name, before anything is signed."""
        del context
        with new_file_below(self.store.folder, folder_name(image)) as file:
            yield lambda message: file.publish(message, map(file_name, range(1, MAX_SIGNATURES + 1)))


@dataclass(frozen=True, slots=True)
class LookasideWriter:
    """Writes numbered files to a web server with PUT, with the user's credentials for its host."""

    contested: ClassVar[bool] = True
    store: LookasideStore

    def lock_name(self, image: Image) -> str:
        """Return the address of the image's signatures: a server may let a second writer replace a file."""
        return f"{self.store.url}/{folder_name(image)}"

    def locate(self, image: Image, source: str) -> str:
        """Return the URL of the file."""
        return f"{self.store.url}/{folder_name(image)}/{source}"

    @contextmanager
    def ready(self, image: Image, context: SigningContext) -> Iterator[Put]:
        """See `StoreWriter.ready`. Whether the server takes files shows only when one is stored."""
        yield lambda message: self._put(image, message, context)

    def _put(self, image: Image, message: bytes, context: SigningContext) -> None:
        for number in range(1, MAX_SIGNATURES + 1):
            name = f"{folder_name(image)}/{file_name(number)}"
            if self._is_free(name, context) and self._stores(name, image, message, context):
                return
        raise no_room(image)

    def _is_free(self, name: str, context: SigningContext) -> bool:
        try:
            with suppress(VerificationError):  # something that is larger than a signature may be
                self.store.fetch(name, context.sources)
        except NotFoundError:
            return True
        return False

    def _stores(self, name: str, image: Image, message: bytes, context: SigningContext) -> bool:
        """Store a message under a name that was free; return False if another writer took it in between."""
        headers = {"Content-Type": "application/octet-stream", "If-None-Match": "*"}
        url, path = f"{self.store.url}/{name}", image.reference.repository.path
        response = context.writer.send_document(
            "PUT", url, path, body=message, headers=headers, ca=self.store.ca, named=True
        )
        if response.status not in (*_STORED, _PRECONDITION_FAILED):
            raise web_refusal(url, "stored", response.status)
        # Of two writers that a server lets replace each other's files, one finds the other's here, and goes on. After a
        # connection that broke, the server may report our own file as being there.
        with suppress(NotFoundError):  # reading back says so
            return self.store.fetch(name, context.sources) == message
        return True


def no_room(image: Image) -> SigningError:
    """Return the error for an image that has as many signatures as verification reads."""
    msg = (
        f"there are {MAX_SIGNATURES} signatures for {image.digest} of {quote(image.reference.name)}, and verification "
        "refuses an image with more; remove the useless ones"
    )
    return SigningError(msg)


def web_refusal(url: str, done: str, status: int) -> SigningError | UnavailableError:
    """Return the error for a file that a web server did not store or delete.

    Args:
        url: of the file.
        done: "stored" or "deleted".
        status: of the response.
    """
    problem = f"{quote(url)} was not {done} (status {status})"
    if status in _UNAUTHORIZED:
        return UnauthorizedError(f"{problem}: log in to the server with credentials that may write there")
    if status == _CONFLICT:
        return SigningError(f"{problem}: the server does not create folders; create the one of this file there")
    if status >= _SERVER_ERROR and status != _NOT_IMPLEMENTED:
        return UnavailableError(f"{problem}; try again later")
    if done == "deleted":
        return SigningError(
            f"{problem}: the server does not take DELETE there; enable that, or delete it on the server"
        )
    return SigningError(f"{problem}: the server does not take files with PUT there; enable that, or sign into a folder")
