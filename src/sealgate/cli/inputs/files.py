"""Files and standard input named on the command line, read up to a limit."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

from sealgate.cli.questions import STDIN
from sealgate.errors import ConfigError
from sealgate.messages import quote


def read_bytes(path: str, limit: int) -> bytes:
    """Return the content of a file, or of standard input for `-`.

    Args:
        path: path as the user wrote it, `-` for standard input.
        limit: the most bytes to accept.

    Raises:
        ConfigError: the file cannot be read, or is larger than `limit`.
    """
    try:
        content = _read_stdin(limit + 1) if path == STDIN else _read_file(Path(path), limit + 1)
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(f"cannot read {name_of(path)}: {quote(why)}") from error
    if len(content) > limit:
        raise ConfigError(f"{name_of(path)} is larger than the limit of {limit} bytes")
    return content


def read_text(path: str, limit: int) -> str:
    """Return the content of a text file, or of standard input for `-`.

    Args:
        path: path as the user wrote it, `-` for standard input.
        limit: the most bytes to accept.

    Raises:
        ConfigError: the file cannot be read, is larger than `limit`, or is neither UTF-8 nor UTF-16 with a byte order
            mark.
    """
    content = read_bytes(path, limit)
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name_of(path)} is not UTF-8 text; check that it is the right file") from error


def list_directory(path: str, suffixes: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the files of a directory, sorted, without those of its subdirectories; None if it is not a directory.

    Args:
        path: path as the user wrote it.
        suffixes: file name suffixes to include (".yaml").

    Raises:
        ConfigError: the directory cannot be read, or has no file with such a suffix.
    """
    try:
        if path == STDIN or not Path(path).is_dir():
            return None
        found = sorted(str(entry) for entry in Path(path).iterdir() if entry.suffix in suffixes and not entry.is_dir())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(f"cannot read {name_of(path)}: {quote(why)}") from error
    if not found:
        raise ConfigError(f"the directory {name_of(path)} has no {', '.join(suffixes)} file")
    return tuple(found)


def name_of(path: str) -> str:
    """Return the name of a file for messages, quoted; `standard input` for `-`."""
    return "standard input" if path == STDIN else quote(path)


def _read_stdin(limit: int) -> bytes:
    if sys.stdin is None:
        raise ConfigError("cannot read standard input: it is closed")
    return sys.stdin.buffer.read(limit)


def _read_file(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)
