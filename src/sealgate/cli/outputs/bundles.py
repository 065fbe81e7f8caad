"""Writes a support bundle: a compressed tar archive of regular files below one folder.

Names in a cluster are foreign text, also where the API server checks them: nothing in a name of the archive leads out
of its folder, and no two members have one name.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tarfile
from typing import TYPE_CHECKING, Final

from sealgate.errors import ConfigError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from typing import BinaryIO

#: The folder that every member is in.
ROOT: Final = "sealgate-bundle"
#: The most characters of a part of a name.
_MAX_NAME: Final = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@contextlib.contextmanager
def new_file(path: str) -> Iterator[BinaryIO]:
    """Create a file that only its owner may read, and remove it again if the block fails.

    Args:
        path: as the user wrote it.

    Raises:
        ConfigError: there is something at the path already, or it cannot be created.
    """
    try:
        # With O_EXCL, a symbolic link is not followed.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{quote(path)} exists and is not overwritten; name another file") from error
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(f"cannot write {quote(path)}: {quote(why)}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - as it was created above
        raise


def write_bundle(file: BinaryIO, parts: Iterable[tuple[tuple[str, ...], bytes]], now: datetime) -> int:
    """Write an archive and return the number of its members.

    Args:
        file: opened for writing.
        parts: the names of folders and file, foreign text, and the content.
        now: time of the members.
    """
    used: set[str] = set()
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for names, content in parts:
            member = tarfile.TarInfo(_unused("/".join((ROOT, *map(safe_name, names))), used))
            member.size, member.mode, member.mtime = len(content), 0o600, int(now.timestamp())
            archive.addfile(member, io.BytesIO(content))
    return len(used)


def safe_name(name: str) -> str:
    """Return a name as one part of a path: letters, digits, `.`, `_` and `-`, not beginning with `.`, bounded."""
    safe = _UNSAFE.sub("_", name)
    if len(safe) > _MAX_NAME:
        # The end has the suffix.
        safe = f"{safe[: _MAX_NAME - 20]}_{safe[-19:]}"
    return f"_{safe[1:]}" if safe.startswith(".") else safe or "_"


def _unused(path: str, used: set[str]) -> str:
    number, found = 1, path
    # Some file systems do not distinguish cases.
    while found.lower() in used:
        number += 1
        found = f"{path}.{number}"
    used.add(found.lower())
    return found
