"""Index of globs: find those that match a text among thousands without trying each.

Globs are indexed by their literal prefix and, under it, by their literal suffix. A text has one prefix and one suffix
of each length, so a lookup costs one dictionary access for each length that occurs; only the globs that share both with
the text are tried. That stays cheap if every glob begins with a wildcard (`**/app`), or if all have the same prefix.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealgate.patterns import Glob

T = TypeVar("T")


class GlobLookup(Generic[T]):
    """An immutable index from globs to values.

    Args:
        entries: pairs of a glob and its value; a glob may occur several times.
    """

    __slots__ = ("_by_prefix", "_literals")

    def __init__(self, entries: Iterable[tuple[Glob, T]]) -> None:
        literals: defaultdict[str, list[T]] = defaultdict(list)
        wild: defaultdict[str, list[tuple[str, tuple[str, Glob, T]]]] = defaultdict(list)
        for glob, value in entries:
            if glob.literal:
                literals[glob.prefix].append(value)
            else:
                wild[glob.prefix].append((glob.suffix, (glob.chunk, glob, value)))
        self._literals = dict(literals)
        self._by_prefix = _ByLength({prefix: _by_suffix(found) for prefix, found in wild.items()})

    def find(self, text: str) -> Iterator[T]:
        """Yield the value of every glob that matches the text, once for each matching glob."""
        yield from self._literals.get(text, ())
        for by_suffix in self._by_prefix.starts(text):
            for candidates in by_suffix.ends(text):
                for chunk, glob, value in candidates:
                    # `matches` checks the chunk too; checking it here saves a call for each of thousands of candidates.
                    if chunk in text and glob.matches(text):
                        yield value


class _ByLength(Generic[T]):
    """A dictionary that finds every key that is a prefix, or a suffix, of a text."""

    __slots__ = ("_lengths", "_values")

    def __init__(self, values: dict[str, T]) -> None:
        self._values = values
        self._lengths = sorted({len(key) for key in values})

    def starts(self, text: str) -> Iterator[T]:
        for length in self._lengths:
            if length > len(text):
                return
            value = self._values.get(text[:length])
            if value is not None:
                yield value

    def ends(self, text: str) -> Iterator[T]:
        for length in self._lengths:
            if length > len(text):
                return
            value = self._values.get(text[len(text) - length :])
            if value is not None:
                yield value


def _by_suffix(entries: Iterable[tuple[str, T]]) -> _ByLength[list[T]]:
    grouped: defaultdict[str, list[T]] = defaultdict(list)
    for suffix, entry in entries:
        grouped[suffix].append(entry)
    return _ByLength(dict(grouped))
