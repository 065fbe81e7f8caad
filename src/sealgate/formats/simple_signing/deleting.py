"""Deleting simple signatures: numbered files, and what OpenShift's extension does not delete.

Readers of numbered files stop at the first number that is missing. So a file is deleted by giving its number to the
last file, in one step, and the numbers have no gap at any time. Signatures have no order that means anything.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Protocol

from sealgate.errors import NotFoundError, SealgateError, SigningError, VerificationError
from sealgate.formats.interface import MAX_SIGNATURE_BYTES
from sealgate.formats.simple_signing.folders import read_below, remove_below, rename_below
from sealgate.formats.simple_signing.stores import FolderStore, LookasideStore, file_name, folder_name
from sealgate.formats.simple_signing.storing import web_refusal, writer_of
from sealgate.messages import quote

if TYPE_CHECKING:
    from sealgate.formats.interface import Image
    from sealgate.formats.signing import SigningContext
    from sealgate.formats.simple_signing.stores import Candidate, Store

_STORED, _DELETED = frozenset({200, 201, 204}), frozenset({200, 202, 204, 404})
_PRECONDITION_FAILED = 412
#: Files of one image; more than verification reads, so that useless ones can be deleted.
_MAX_FILES = 1024


def removal_of(store: Store, candidate: Candidate, message: bytes, image: Image) -> FileRemoval | EntryRemoval:
    """Return the removal of a signature that was listed.

    Args:
        store: where it is.
        candidate: the signature.
        message: its bytes.
        image: what it was listed for.
    """
    if isinstance(store, FolderStore | LookasideStore):
        return FileRemoval(store, writer_of(store).lock_name(image), hashlib.sha256(message).hexdigest())
    return EntryRemoval(image.reference.repository.registry, candidate.name)


@dataclass(frozen=True, slots=True)
class EntryRemoval:
    """An object of OpenShift; see `sealgate.formats.deleting.Removal`. The extension has no request that deletes it.

    Attributes:
        registry: whose extension listed it.
        entry: name of the object.
    """

    registry: str
    entry: str

    @property
    def name(self) -> str:
        """See `Removal.name`."""
        return f"{self.registry} {self.entry}"

    @property
    def lock_name(self) -> str:
        """Return an empty name: nothing is written."""
        return ""

    def check(self) -> None:
        """Refuse, with the command that deletes the object; see `Removal.check`."""
        msg = (
            "the registry's signature extension has no request that deletes a signature; delete the object in "
            f"OpenShift, with the role system:image-signer: oc delete imagesignature {shlex.quote(quote(self.entry))}"
        )
        raise SigningError(msg)

    def remove(self, image: Image, context: SigningContext) -> bool:
        """Refuse, as `check` does."""
        del image, context
        self.check()
        return False


@dataclass(frozen=True, slots=True)
class FileRemoval:
    """A numbered file; see `sealgate.formats.deleting.Removal`. Its number may change, so its content names it.

    Attributes:
        store: where it is.
        place: path or address of the image's files, as the signer locks it.
        content: SHA-256 of the file (hex).
    """

    store: FolderStore | LookasideStore
    place: str
    content: str

    @property
    def name(self) -> str:
        """See `Removal.name`."""
        return f"{self.place} {self.content}"

    @property
    def lock_name(self) -> str:
        """Return the path or address of the image's files, as the signer does."""
        return self.place

    def check(self) -> None:
        """See `Removal.check`. Whether files can be deleted shows only when one is."""

    def remove(self, image: Image, context: SigningContext) -> bool:
        """Delete every file with this content; see `Removal.remove`."""
        folder = folder_name(image)
        if isinstance(self.store, FolderStore):
            _delete(_FolderFiles(self.store, folder), self.content)
            return False
        _delete(_WebFiles(self.store, folder, image.reference.repository.path, context), self.content)
        return True


class _Files(Protocol):
    """The numbered files of one image."""

    def read(self, number: int) -> bytes:
        """Return a file; raise `NotFoundError` if there is none, `VerificationError` if it is not a signature."""

    def replace(self, number: int, onto: int) -> None:
        """Give a file another number, in place of the file that has it."""

    def close_gap(self, number: int, gap: int) -> None:
        """Give a file another number, unless another writer has taken that."""

    def remove(self, number: int) -> None:
        """Remove a file."""


def _delete(files: _Files, content: str) -> None:
    there = _contents(files)
    last = len(there)
    for number in range(last, 0, -1):
        if there[number - 1] != content:
            continue
        if number == last:
            files.remove(last)
        else:
            files.replace(last, number)
        last -= 1
    if last < len(there):
        _close_gaps(files, last + 1, len(there) + 1)


def _close_gaps(files: _Files, gap: int, number: int) -> None:
    """Move the files behind the gap that writers elsewhere have added in the meantime."""
    while _exists(files, number):
        files.close_gap(number, gap)
        gap, number = gap + 1, number + 1


def _contents(files: _Files) -> list[str]:
    """Return the hash of each file, empty for what cannot be a signature."""
    found: list[str] = []
    for number in count(1):
        try:
            found.append(hashlib.sha256(files.read(number)).hexdigest())
        except NotFoundError:
            return found
        except VerificationError:
            found.append("")
        if number > _MAX_FILES:
            raise SigningError(
                f"there are more than {_MAX_FILES} files for this image; remove useless ones in the store"
            )
    return found


def _exists(files: _Files, number: int) -> bool:
    try:
        files.read(number)
    except NotFoundError:
        return False
    except VerificationError:
        return True
    return True


@dataclass(frozen=True, slots=True)
class _FolderFiles:
    """Files of a folder."""

    store: FolderStore
    folder: str

    def read(self, number: int) -> bytes:
        return read_below(self.store.folder, f"{self.folder}/{file_name(number)}", MAX_SIGNATURE_BYTES)

    def replace(self, number: int, onto: int) -> None:
        rename_below(self.store.folder, self.folder, file_name(number), file_name(onto), replace=True)

    def close_gap(self, number: int, gap: int) -> None:
        rename_below(self.store.folder, self.folder, file_name(number), file_name(gap), replace=False)

    def remove(self, number: int) -> None:
        remove_below(self.store.folder, self.folder, file_name(number))


@dataclass(frozen=True, slots=True)
class _WebFiles:
    """Files of a web server, which takes PUT and DELETE."""

    store: LookasideStore
    folder: str
    path: str
    context: SigningContext

    def read(self, number: int) -> bytes:
        return self.store.fetch(f"{self.folder}/{file_name(number)}", self.context.sources)

    def replace(self, number: int, onto: int) -> None:
        replaced = self.read(onto)
        self._put(onto, self.read(number), {})
        try:
            self.remove(number)
        except SealgateError:
            self._put(onto, replaced, {})
            raise

    def close_gap(self, number: int, gap: int) -> None:
        if self._put(gap, self.read(number), {"If-None-Match": "*"}):
            self.remove(number)

    def remove(self, number: int) -> None:
        url, response = self._url(number), self._send("DELETE", number)
        if response not in _DELETED:
            raise web_refusal(url, "deleted", response)

    def _put(self, number: int, message: bytes, headers: dict[str, str]) -> bool:
        """Store a file; return False if the headers forbid it."""
        status = self._send("PUT", number, message, {"Content-Type": "application/octet-stream", **headers})
        if status == _PRECONDITION_FAILED:
            return False
        if status not in _STORED:
            raise web_refusal(self._url(number), "stored", status)
        return True

    def _send(self, method: str, number: int, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        return self.context.writer.send_document(
            method, self._url(number), self.path, body=body, headers=headers, ca=self.store.ca, named=True
        ).status

    def _url(self, number: int) -> str:
        return f"{self.store.url}/{self.folder}/{file_name(number)}"
