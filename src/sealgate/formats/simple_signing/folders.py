"""Reading files of a folder that others may write to, without ever leaving it.

A name is resolved first, symbolic links included, and must still be inside. The resolved path is
then opened one component after the other and never through a link, so that no component can be replaced in between.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sealgate.errors import NotFoundError, UnavailableError, VerificationError
from sealgate.messages import quote
from sealgate.reasons import Reason

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without blocking, because opening a pipe that has no writer would never return.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
        raise UnavailableError(f"{quote(folder)} is no folder that can be read")
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
    folder_fd = os.open(root, _FOLDER)
    try:
        for folder in path.parts[:-1]:
            inside = os.open(folder, _FOLDER, dir_fd=folder_fd)
            os.close(folder_fd)
            folder_fd = inside
        return os.open(path.name or ".", _FILE, dir_fd=folder_fd)
    finally:
        os.close(folder_fd)
