"""One YAML document as plain values with the line of each, read from a parser's events.

The usual loaders are not safe for untrusted input: deep nesting crashes the process in the C parser, aliases can expand
without bound, of duplicate keys the last one wins silently, and tags build objects. This reader counts depth and values
before it builds anything, and reports what Kubernetes would refuse or read differently. A problem does not end the
reading: it marks the value that has it, so that callers can do without that value alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

import yaml

from sealgate.errors import Problem
from sealgate.messages import join_field, key_part, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: The most problems of one document; the rest of a document with more is not read.
MAX_PROBLEMS: Final = 1_000

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_CONVERTED = frozenset({f"{_TAG}null", f"{_TAG}bool", f"{_TAG}int", f"{_TAG}float"})
#: Scalars that are text to Kubernetes, dates among them.
_TEXT = frozenset({f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value", _MERGE})
_COLLECTIONS = frozenset({None, "!", f"{_TAG}map", f"{_TAG}seq"})


@dataclass(frozen=True, slots=True)
class Rules:
    """What a document may be.

    Attributes:
        max_depth: the deepest nesting of mappings and sequences.
        max_values: the most values of one document, each counted as often as aliases repeat it.
        merge_keys: whether `<<` merges mappings, as kubectl does; if not, it is a problem.
        json: whether a document that begins with `{` may be a sequence of JSON objects, read without lines.
    """

    max_depth: int
    max_values: int
    merge_keys: bool = False
    json: bool = False


#: Shared by all scalars, which are most values of a document.
_NO_MEMBERS: Mapping[str | int, Position] = MappingProxyType({})


@dataclass(slots=True)
class Position:
    """Where a value is, and what is wrong with it.

    Attributes:
        line: line in the file, from 1; of a mapping's member, the line of its key.
        problem: the first problem of the value itself; None if its members may still be used.
        inner_problem: the first problem of the value or of anything in it.
        members: positions of the members, by index or key; empty for an alias.
    """

    line: int
    problem: Problem | None = None
    inner_problem: Problem | None = None
    members: Mapping[str | int, Position] = field(default_factory=lambda: _NO_MEMBERS)


class UnreadableError(Exception):
    """The rest of a document is not safe or not worth reading; the problem is already reported."""


class YAMLReader:
    """Builds the value of one document from its events.

    Args:
        events: events of a YAML parser, behind the start of the document.
        file: name of the file for problems.
        first: line of the file at which the parser's text begins, from 1.
        rules: limits and accepted constructs.

    Attributes:
        problems: what is wrong with the document, in the order of reading.
    """

    def __init__(self, events: Iterator[Any], file: str, first: int, rules: Rules) -> None:
        self._events = events
        self._file = file
        self._first = first
        self._rules = rules
        #: anchor -> (value, how many values it is, its position)
        self._anchors: dict[str, tuple[Any, int, Position]] = {}
        self._values = 0
        #: The path of the value being read, as parts of a field path, and the positions on it.
        self._path: list[str | int] = []
        self._open: list[Position] = []
        self._resolver = yaml.SafeLoader("")
        self.problems: list[Problem] = []

    def read(self) -> tuple[Any, Position]:
        """Read up to the end of the document; return its value and its position.

        Raises:
            UnreadableError: the document is too deep, too large, or has too many problems.
            yaml.YAMLError: the document is not YAML.
        """
        first = next(self._events)
        read = self._value(first, Position(self._line(first)))
        next(self._events)  # the document's end
        return read

    def _line(self, event: yaml.Event) -> int:
        return event.start_mark.line + self._first if event.start_mark else 0

    def _member(self, event: yaml.NodeEvent, part: str | int, line: int) -> tuple[Any, Position]:
        """Read the value of a member of the value being read."""
        self._path.append(part)
        read = self._value(event, Position(line))
        self._path.pop()
        return read

    def _value(self, event: yaml.NodeEvent, position: Position) -> tuple[Any, Position]:
        self._open.append(position)
        if isinstance(event, yaml.AliasEvent):
            value = self._aliased(event)
        else:
            before = self._values
            self._forget_anchor(event)
            self._count(event, 1)
            value = self._content(event, position)
            if event.anchor is not None:
                self._anchors[event.anchor] = (value, self._values - before, position)
        self._open.pop()
        return value, position

    def _forget_anchor(self, event: yaml.NodeEvent) -> None:
        """Report a duplicate anchor; inside the value that has it again, the first one has no meaning."""
        if event.anchor is not None and self._anchors.pop(event.anchor, None) is not None:
            self._report(event, f"duplicate anchor &{quote(event.anchor, 64)}", "give each anchor a unique name")

    def _content(self, event: yaml.NodeEvent, position: Position) -> object:
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        collection = cast("yaml.CollectionStartEvent", event)
        if len(self._open) > self._rules.max_depth:
            self._stop(event, f"nested more than {self._rules.max_depth} deep")
        if collection.tag not in _COLLECTIONS:
            self._report_tag(event, collection.tag)
        return self._sequence(position) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(position)

    def _count(self, event: yaml.Event, size: int) -> None:
        self._values += size
        if self._values > self._rules.max_values:
            message = f"the document has more than {self._rules.max_values} values, those repeated by aliases too"
            self._stop(event, message)

    def _aliased(self, event: yaml.AliasEvent) -> object:
        if event.anchor not in self._anchors:
            self._count(event, 1)
            self._report(event, f"the alias *{quote(event.anchor, 64)} has no anchor that ends before it")
            return None
        value, size, anchored = self._anchors[event.anchor]
        self._count(event, size)
        if anchored.inner_problem:
            self._report(event, f"the alias *{quote(event.anchor, 64)} repeats a value that cannot be read")
        return value

    def _sequence(self, position: Position) -> list[Any]:
        items: list[Any] = []
        members: dict[str | int, Position] = {}
        position.members = members
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            value, members[len(items)] = self._member(event, len(items), self._line(event))
            items.append(value)
        return items

    def _mapping(self, position: Position) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        members: dict[str | int, Position] = {}
        position.members = members
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if self._rules.merge_keys and self._is_merge(event):
                merged = {**self._merged(event, position), **merged}
                continue
            key = self._key(event)
            if key in values:
                self._skip_duplicate(event, key, members[key].line)
                continue
            values[key], members[key] = self._member(next(self._events), key_part(key), self._line(event))
        return {**merged, **values} if merged else values

    def _is_merge(self, event: yaml.NodeEvent) -> bool:
        return isinstance(event, yaml.ScalarEvent) and self._tag(event) == _MERGE

    def _merged(self, event: yaml.NodeEvent, position: Position) -> dict[str, Any]:
        """Read the value of a merge key; of several mappings, the first that has a key counts."""
        value, merged_position = self._member(next(self._events), key_part("<<"), self._line(event))
        position.problem = position.problem or merged_position.inner_problem
        merged: dict[str, Any] = {}
        for source in value if isinstance(value, list) else [value]:
            if isinstance(source, dict):
                merged = {**source, **merged}
            else:
                self._report(event, "only mappings can be merged")
        return merged

    def _key(self, event: yaml.NodeEvent) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._report(event, "a key must be text", "put text with '{', '[' or '*' in quotes")
            self._member(event, "?", self._line(event))
            return "?"
        if self._is_merge(event):
            self._report(event, "merge keys (<<) are not read", "write the fields out")
        if event.anchor is not None:
            self._forget_anchor(event)
            self._anchors[event.anchor] = (str(event.value), 1, Position(self._line(event)))
        return str(event.value)

    def _tag(self, event: yaml.ScalarEvent) -> str:
        if event.tag not in (None, "!"):
            return str(event.tag)
        return str(self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit))  # type: ignore[no-untyped-call]  # the stubs leave it out

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        tag = self._tag(event)
        if tag in _TEXT:
            return str(event.value)
        if tag not in _CONVERTED:
            self._report_tag(event, tag)
            return str(event.value)
        try:
            return self._resolver.construct_object(yaml.ScalarNode(tag, event.value))
        except (ValueError, yaml.YAMLError):
            self._report(event, f"{quote(event.value, 64)} is not a valid number", "put it in quotes")
            return str(event.value)

    def _report_tag(self, event: yaml.Event, tag: str | None) -> None:
        self._report(event, f"Kubernetes does not know the tag {quote(tag)}", "leave it out")

    def _skip_duplicate(self, event: yaml.NodeEvent, key: str, first: int) -> None:
        self._path.append(key_part(key))
        self._report(event, f"duplicate key {quote(key, 64)}, first on line {first}", "keep one of them")
        self._path.pop()
        self._member(next(self._events), f"{key_part(key)}(again)", self._line(event))

    def _report(self, event: yaml.Event, message: str, suggestion: str = "") -> None:
        """Report a problem of the innermost value being read."""
        if len(self.problems) == MAX_PROBLEMS:
            self._stop(event, f"the document has more than {MAX_PROBLEMS} problems; the rest of it was not read")
        self._add(event, message, suggestion)

    def _stop(self, event: yaml.Event, message: str) -> None:
        self._add(event, message, "")
        raise UnreadableError

    def _add(self, event: yaml.Event, message: str, suggestion: str) -> None:
        path = reduce(join_field, self._path, "")
        problem = Problem(self._file, self._line(event), path, message, suggestion)
        self.problems.append(problem)
        self._open[-1].problem = self._open[-1].problem or problem
        for position in self._open:
            position.inner_problem = position.inner_problem or problem
