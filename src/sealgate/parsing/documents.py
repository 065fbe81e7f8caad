"""YAML with the line of every field, read from files that are not trusted.

What comes out is plain (dicts, lists, text, numbers) plus the line of every field. The reader takes a parser's
events instead of the usual loader, because it has to refuse what that lets through: duplicate keys, tags
and merge keys that Kubernetes would read differently, nesting without end, and aliases that unfold into billions of
values. A problem does not end the reading; all problems are reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import yaml

from sealgate.errors import Problem
from sealgate.messages import join_field, key_part, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Deeper than any policy object nests.
MAX_DEPTH = 64
#: The most values of one document, each counted as often as aliases repeat it.
MAX_VALUES = 200_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_CONVERTED = frozenset({f"{_TAG}null", f"{_TAG}bool", f"{_TAG}int", f"{_TAG}float"})
_TEXT = frozenset({f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value"})
_COLLECTIONS = frozenset({None, "!", f"{_TAG}map", f"{_TAG}seq"})


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file, or one object of a list in it.

    Attributes:
        file: where it was read, as given.
        value: its content.
        lines: the line of every field ("spec.images[0].repository"); the first is 1.
        prefix: its path in the whole document ("items[2]"); empty for a whole document.
    """

    file: str
    value: Any
    lines: Mapping[str, int]
    prefix: str = ""

    def line(self, field: str) -> int:
        """Return the line of a field, or of the nearest field around it that is present."""
        path = join_field(self.prefix, field)
        while path and path not in self.lines:
            path = _parent(path)
        return self.lines.get(path, 0)

    def problem(self, field: str, message: str, suggestion: str = "") -> Problem:
        """Return a problem of one of its fields, with its line."""
        return Problem(self.file, self.line(field), field, message, suggestion)

    def item(self, field: str, value: object) -> Document:
        """Return one of its members as a document of its own."""
        return Document(self.file, value, self.lines, join_field(self.prefix, field))


def read_documents(text: str, file: str) -> tuple[tuple[Document, ...], tuple[Problem, ...]]:
    """Return the documents of a file, empty ones left out, and everything that is wrong with its YAML.

    Args:
        text: the content; JSON is YAML too.
        file: its name, for problems.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    try:
        for event in (events := yaml.parse(text, Loader=_LOADER)):
            if isinstance(event, yaml.DocumentStartEvent):
                reader = _Reader(events, file, problems)
                value = reader.read()
                if value is not None:
                    documents.append(Document(file, value, reader.lines))
    except _StopReadingError:
        pass  # the problem is already among the others
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"not YAML: {quote(error.problem or error.context or 'it cannot be read')}"
        problems.append(Problem(file, mark.line + 1 if mark else 0, "", message, _hint(error)))
    except (yaml.YAMLError, UnicodeError) as error:
        problems.append(Problem(file, 0, "", f"not YAML: {quote(str(error).splitlines()[0])}"))
    return tuple(documents), tuple(problems)


def _hint(error: yaml.MarkedYAMLError) -> str:
    if "cannot start any token" in (error.problem or ""):
        return "indent with blanks, not with tabs, and put text that begins with '@', '`' or '%' in quotes"
    return "check the indentation, and put text with ':', '#', '{', '*' or '?' in quotes"


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _parent(path: str) -> str:
    if path.endswith("]"):
        return path[: path.rindex("[")]
    if path.endswith('"'):
        return path[: path.rindex('"', 0, -1)].rstrip(".")
    return path.rpartition(".")[0]


class _StopReadingError(Exception):
    """The rest of the file is not worth reading, or not safe to."""


class _Reader:
    """Builds the value of one document from its events."""

    def __init__(self, events: Iterator[Any], file: str, problems: list[Problem]) -> None:
        self._events = events
        self._file = file
        self._problems = problems
        #: anchor -> (value, how many values it is)
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._values = 0
        self._resolver = yaml.SafeLoader("")
        self.lines: dict[str, int] = {}

    def read(self) -> Any:  # noqa: ANN401 - a document holds anything
        """Read up to the end of the document."""
        first = next(self._events)
        self.lines[""] = _line(first)
        value = self._value(first, "", 1)
        next(self._events)  # the document's end
        return value

    def _value(self, event: yaml.NodeEvent, path: str, depth: int) -> Any:  # noqa: ANN401 - it may be anything
        self.lines.setdefault(path, _line(event))
        if isinstance(event, yaml.AliasEvent):
            value, size = self._aliased(event, path)
            self._count(event, path, size)
            return value
        before = self._values
        self._count(event, path, 1)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        else:
            value = self._items(cast("yaml.CollectionStartEvent", event), path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._values - before)
        return value

    def _count(self, event: yaml.Event, path: str, size: int) -> None:
        self._values += size
        if self._values > MAX_VALUES:
            self._report(event, path, f"the document has more than {MAX_VALUES} values, those repeated by aliases too")
            raise _StopReadingError

    def _aliased(self, event: yaml.AliasEvent, path: str) -> tuple[Any, int]:
        if event.anchor not in self._anchors:
            self._report(event, path, f"the alias *{quote(event.anchor)} names nothing that ends before it")
            return None, 1
        return self._anchors[event.anchor]

    def _items(self, event: yaml.CollectionStartEvent, path: str, depth: int) -> Any:  # noqa: ANN401 - a dict or a list
        if depth > MAX_DEPTH:
            self._report(event, path, f"nested more than {MAX_DEPTH} deep")
            raise _StopReadingError
        if event.tag not in _COLLECTIONS:
            self._report(event, path, f"the tag {quote(event.tag)} means nothing to Kubernetes", "leave it out")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._mapping(path, depth)

    def _sequence(self, path: str, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, join_field(path, len(items)), depth + 1))
        return items

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path, depth)
            member_path = join_field(path, key_part(key))
            if key in members:
                first = self.lines[member_path]
                self._report(event, member_path, f"duplicate key, first on line {first}", "keep one of them")
                self._value(next(self._events), f"{member_path}(again)", depth + 1)
                continue
            self.lines[member_path] = _line(event)
            members[key] = self._value(next(self._events), member_path, depth + 1)
        return members

    def _key(self, event: yaml.NodeEvent, path: str, depth: int) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._report(event, path, "a key must be text", "put text with '{', '[' or '*' in quotes")
            self._value(event, join_field(path, "?"), depth + 1)
            return "?"
        if self._tag(event) == f"{_TAG}merge":
            self._report(event, path, "merge keys (<<) are not read", "write the fields out")
        return str(event.value)

    def _tag(self, event: yaml.ScalarEvent) -> str:
        if event.tag not in (None, "!"):
            return str(event.tag)
        return str(self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit))  # type: ignore[no-untyped-call]  # the stubs leave it out

    def _scalar(self, event: yaml.ScalarEvent, path: str) -> object:
        tag = self._tag(event)
        if tag in _TEXT:
            return str(event.value)
        if tag not in _CONVERTED:
            self._report(event, path, f"the tag {quote(tag)} means nothing to Kubernetes", "leave it out")
            return str(event.value)
        try:
            return self._resolver.construct_object(yaml.ScalarNode(tag, event.value))
        except (ValueError, yaml.YAMLError):
            self._report(event, path, f"{quote(event.value, 64)} is not a valid number", "put it in quotes")
            return str(event.value)

    def _report(self, event: yaml.Event, path: str, message: str, suggestion: str = "") -> None:
        self._problems.append(Problem(self._file, _line(event), path, message, suggestion))
