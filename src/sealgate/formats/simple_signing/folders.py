"""Reading, adding and removing files of a folder that others may write to, without ever leaving it.

A name is resolved first, symbolic links included, and must still be inside. The resolved path is
then opened one component after the other and never through a link, so that no component can be replaced in between.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, SigningError, UnavailableError, VerificationError
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without blocking, because opening a pipe that has no writer would never return.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read_below(folder: Path, name: str, limit: int) -> bytes:
    """Return the content of a file below a folder.

    Args:
        folder: may itself be a symbolic link.
        name: of the file, relative to the folder.
        limit: the most bytes.

    Raises:
        NotFoundError: there is no such file in the folder.
        VerificationError: it is outside of the folder, not a plain file, or larger than that.
        UnavailableError: it, or the folder, cannot be read.
    """
    root = Path(os.path.realpath(folder))
    if not root.is_dir():
        raise UnavailableError(f"{quote(folder)} is not a folder that can be read")
    target = Path(os.path.realpath(root / name))
    if not target.is_relative_to(root):
        raise VerificationError(f"{quote(name)} leads out of its folder", reason=Reason.MALFORMED_EVIDENCE)
    try:
        return _read(root, target.relative_to(root), name, limit)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{quote(folder)} does not have {quote(name)}") from error
    except OSError as error:
        why = quote(error.strerror, 80)
        raise UnavailableError(f"{quote(name)} in {quote(folder)} cannot be read: {why}") from error


def _read(root: Path, path: Path, name: str, limit: int) -> bytes:
    file = _open(root, path)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise VerificationError(f"{quote(name)} is not a plain file", reason=Reason.MALFORMED_EVIDENCE)
        with os.fdopen(file, "rb", closefd=False) as stream:
            content = stream.read(limit + 1)
    finally:
        os.close(file)
    if len(content) > limit:
        raise VerificationError(f"{quote(name)} is larger than {limit} bytes", reason=Reason.EVIDENCE_TOO_LARGE)
    return content


def _open(root: Path, path: Path) -> int:
    """Open a resolved path below a resolved folder, and nothing but that very path."""
    folder = _open_folder(root, path.parts[:-1])
    try:
        return os.open(path.name or ".", _FILE, dir_fd=folder)
    finally:
        os.close(folder)


def _open_folder(root: Path, parts: Sequence[str], *, create: bool = False) -> int:
    """Open a folder below a resolved folder, one component after the other; create those that are missing if asked."""
    folder = os.open(root, _FOLDER)
    try:
        for part in parts:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder)
            inside = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inside
    except OSError:
        os.close(folder)
        raise
    return folder


class NewFile:
    """A file that is complete before it gets its name.

    Args:
        file: the open file, by its descriptor.
        temporary: the name that the file has until then.
        folder: the open folder that it is in, by its descriptor.
        where: the folder for a person.
    """

    def __init__(self, file: int, temporary: str, folder: int, where: str) -> None:
        self._file = file
        self._temporary = temporary
        self._folder = folder
        self._where = where

    def publish(self, content: bytes, names: Iterable[str]) -> str:
        """Write the file, give it the first name that no other file has, and return that name.

        Args:
            content: all of it.
            names: in the order that they are tried.

        Raises:
            SigningError: the folder has files of all these names, or the file cannot be written there.
        """
        with _write_errors(self._where, "make room there"):
            with os.fdopen(self._file, "wb", closefd=False) as stream:
                stream.write(content)
            os.fsync(self._file)
        with _write_errors(self._where, "its file system must have hard links"):
            for name in names:
                if self._link(name):
                    os.fsync(self._folder)
                    return name
        raise SigningError(f"{quote(self._where)} has files of all names that a signature may have")

    def _link(self, name: str) -> bool:
        """Give the file a name; unlike a rename, this never replaces another file. Return False if there is one."""
        try:
            os.link(self._temporary, name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
        except FileExistsError:
            return False
        return True


@contextmanager
def new_file_below(folder: Path, name: str) -> Iterator[NewFile]:
    """Create a file in a folder below another one, and yield it; what is not published is removed again.

    Args:
        folder: must be there; may itself be a symbolic link.
        name: of the folder that the file is in, relative to it; what is missing of it is created.

    Raises:
        SigningError: it is outside of the folder, or no file can be created there.
    """
    where = f"{folder}/{name}"
    temporary = f".{secrets.token_hex(16)}.new"
    with ExitStack() as stack:
        opened = stack.enter_context(_opened_below(folder, name, create=True))
        with _write_errors(where, "make the folder writable"):
            file = os.open(temporary, _NEW, 0o666, dir_fd=opened)
        stack.callback(_remove, temporary, opened)
        stack.callback(os.close, file)
        yield NewFile(file, temporary, opened, where)


def remove_below(folder: Path, name: str, file: str) -> None:
    """Remove a file from a folder below another one; one that is not there is left.

    Args:
        folder: must be there; may itself be a symbolic link.
        name: of the folder that the file is in, relative to it.
        file: of the file.

    Raises:
        SigningError: the folder is outside of the other one, or the file cannot be removed.
    """
    with _opened_below(folder, name) as opened, _write_errors(f"{folder}/{name}", "make the folder writable"):
        with suppress(FileNotFoundError):
            os.unlink(file, dir_fd=opened)
        os.fsync(opened)


def rename_below(folder: Path, name: str, file: str, onto: str, *, replace: bool) -> None:
    """Give a file of a folder below another one another name, at once.

    Args:
        folder: must be there; may itself be a symbolic link.
        name: of the folder that the file is in, relative to it.
        file: of the file.
        onto: the new name.
        replace: whether a file that has that name is replaced; otherwise nothing is changed then.

    Raises:
        SigningError: the folder is outside of the other one, or the file cannot be renamed.
    """
    with _opened_below(folder, name) as opened, _write_errors(f"{folder}/{name}", "make the folder writable"):
        if replace:
            os.rename(file, onto, src_dir_fd=opened, dst_dir_fd=opened)
        else:
            with suppress(FileExistsError):
                os.link(file, onto, src_dir_fd=opened, dst_dir_fd=opened, follow_symlinks=False)
                os.unlink(file, dir_fd=opened)
        os.fsync(opened)


@contextmanager
def _opened_below(folder: Path, name: str, *, create: bool = False) -> Iterator[int]:
    """Open a folder below another one, by its descriptor."""
    root = Path(os.path.realpath(folder))
    target = Path(os.path.realpath(root / name))
    if not target.is_relative_to(root):
        raise SigningError(f"{quote(name)} leads out of {quote(folder)}; nothing is written there")
    with _write_errors(f"{folder}/{name}", "make the folder writable"):
        opened = _open_folder(root, target.relative_to(root).parts, create=create)
    try:
        yield opened
    finally:
        os.close(opened)


def _remove(name: str, folder: int) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)


@contextmanager
def _write_errors(where: str, remedy: str) -> Iterator[None]:
    """Turn an error of the system into one that names the folder and what helps."""
    try:
        yield
    except OSError as error:
        why = quote(error.strerror, 80)
        msg = f"{quote(where)} cannot be written to: {why}; {remedy}, or choose another store"
        raise SigningError(msg) from error
