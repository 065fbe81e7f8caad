"""Reading what the user names: files and standard input, bounded, with errors that say what to do."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

from sealgate.errors import ConfigError
from sealgate.messages import quote

#: How standard input is named on the command line.
STDIN = "-"


def read_bytes(path: str, limit: int) -> bytes:
    """Return the content of a file, or of standard input for `-`.

    Args:
        path: as the user wrote it.
        limit: the most bytes that make sense here.

    Raises:
        ConfigError: it cannot be read, or holds more than that.
    """
    try:
        content = _read_stdin(limit + 1) if path == STDIN else _read_file(Path(path), limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(f"cannot read {name_of(path)}: {quote(why)}") from error
    if len(content) > limit:
        raise ConfigError(f"{name_of(path)} has more than {limit} bytes; nothing that belongs here is so large")
    return content


def read_text(path: str, limit: int) -> str:
    """Return the content of a text file, or of standard input for `-`.

    Args:
        path: as the user wrote it.
        limit: the most bytes that make sense here.

    Raises:
        ConfigError: it cannot be read, is larger, or is not text in UTF-8, nor in UTF-16 with a byte order mark.
    """
    content = read_bytes(path, limit)
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name_of(path)} is not text in UTF-8; is it the right file?") from error


def list_directory(path: str, suffixes: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the files of a directory, sorted, without those of its subdirectories; None if it is not a directory.

    Args:
        path: as the user wrote it.
        suffixes: of the files that count (".yaml").

    Raises:
        ConfigError: it is a directory and cannot be read, or has no such file.
    """
    try:
        if path == STDIN or not Path(path).is_dir():
            return None
        found = sorted(str(entry) for entry in Path(path).iterdir() if entry.suffix in suffixes and not entry.is_dir())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(f"cannot read {name_of(path)}: {quote(why)}") from error
    if not found:
        raise ConfigError(f"{name_of(path)} has no file that ends in {', '.join(suffixes)}")
    return tuple(found)


def name_of(path: str) -> str:
    """Return how messages name a file."""
    return "standard input" if path == STDIN else quote(path)


def _read_stdin(limit: int) -> bytes:
    if sys.stdin is None:
        raise ConfigError("cannot read standard input: it is closed")
    return sys.stdin.buffer.read(limit)


def _read_file(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)
