"""Policy files in a directory, a Git checkout or a mounted ConfigMap: found and read, within limits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sealgate.errors import Problem
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Suffixes of the files that are read in a directory.
SUFFIXES = frozenset({".yaml", ".yml", ".json"})
#: The most bytes of one file, and the most files.
MAX_BYTES = 32 << 20
MAX_FILES = 10_000


def read_policy_files(paths: Sequence[Path | str], problems: list[Problem]) -> Iterator[tuple[str, str]]:
    """Yield name and text of every policy file, each file once.

    Args:
        paths: files of any name, and directories, which are searched recursively for files with `SUFFIXES`.
            Hidden files and directories in them are skipped, and so are the copies (`..data`) that Kubernetes
            creates beside the files of a mounted ConfigMap.
        problems: list to which problems are appended.
    """
    seen: set[str] = set()
    for path in map(Path, paths):
        for file in _find(path, problems):
            real = os.path.realpath(file)
            if real in seen:
                continue
            seen.add(real)
            if len(seen) > MAX_FILES:
                problems.append(Problem(str(path), 0, "", f"more than {MAX_FILES} files", "name a smaller directory"))
                return
            text = _read(file, problems)
            if text is not None:
                yield str(file), text


def _find(path: Path, problems: list[Problem]) -> Iterator[Path]:
    if "\0" in str(path):
        problems.append(Problem(quote(path), 0, "", "a path must not contain a NUL", "check the path"))
        return
    try:
        if path.is_dir():
            yield from _search(path, frozenset())
        else:
            yield path
    except OSError as error:
        problems.append(Problem(str(path), 0, "", _unreadable(error)))


def _search(directory: Path, above: frozenset[str]) -> Iterator[Path]:
    """Yield the policy files of a directory, sorted; `above` are its parents, so that symbolic links cannot loop."""
    inside = above | {os.path.realpath(directory)}
    for entry in sorted(directory.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if os.path.realpath(entry) not in inside:
                yield from _search(entry, inside)
        elif entry.suffix.lower() in SUFFIXES:
            yield entry


def _read(file: Path, problems: list[Problem]) -> str | None:
    def wrong(message: str, suggestion: str = "") -> None:
        problems.append(Problem(str(file), 0, "", message, suggestion))

    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        wrong(_unreadable(error), "check the path" if isinstance(error, FileNotFoundError) else "")
        return None
    if len(raw) > MAX_BYTES:
        wrong(f"larger than {MAX_BYTES >> 20} MiB", "check that it is a policy file")
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong(f"not UTF-8: byte {error.start}", "save it as UTF-8 text")
        return None
    # JSON may be indented with tabs, YAML may not; JSON strings cannot contain a literal tab.
    return text.replace("\t", " ") if file.suffix.lower() == ".json" else text


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {quote(error.strerror or error)}"
