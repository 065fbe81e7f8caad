"""Untrusted YAML and JSON as plain Python values.

The usual loaders are not safe for untrusted input: deep nesting crashes the process in the C parser, merge keys and
aliases can grow without bound, and of duplicate keys the last one wins silently. Here the depth is checked on the
stream of events before any value is built, the number of values is bounded, and a duplicate key makes its object
`Unreadable`.

Documents are split as kubectl splits them, at lines that begin with `---`. Each may be YAML, or a sequence of JSON
objects, and may begin with a byte order mark. A document that cannot be read does not affect the others.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The deepest nesting. CustomResourceDefinitions are the deepest objects in practice, with fewer than 100 levels.
MAX_DEPTH = 200
#: The most values of one document, counted once for each alias, so that a walk through the document is bounded.
MAX_VALUES = 10_000_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
#: Scalars that are converted, so that they do not count as text.
_CONVERTED = frozenset(f"{_TAG}{name}" for name in ("null", "bool", "int", "float"))
#: All tags that Kubernetes knows; it treats dates as text.
_KNOWN = _CONVERTED | {f"{_TAG}{name}" for name in ("str", "timestamp", "value", "merge", "map", "seq")}

_MARK = "\ufeff"
_SEPARATOR = re.compile(r"---(?=[ \t\r]|$)")
_END = re.compile(r"\.\.\.(?=[ \t\r]|$)")
#: What may precede a JSON object: a separator, comments, blanks.
_BEFORE_JSON = re.compile(r"(?:---[ \t]*(?=[#\r\n])|#[^\n]*|\s+)*")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Placeholder for a document, object or value that cannot be read.

    Attributes:
        line: line in the file, from 1; 0 if it is not known.
        problem: what is wrong, with untrusted text already quoted.
    """

    line: int
    problem: str

    def __str__(self) -> str:
        """Return the problem with its line."""
        return f"line {self.line}: {self.problem}" if self.line else self.problem


def load_documents(text: str) -> list[Any]:
    """Return the documents of a file: each JSON object, each YAML document, including empty ones.

    A document, or any value in one, may be `Unreadable`.

    Args:
        text: content of the file.
    """
    return [document for line, chunk in _chunks(text) for document in _load_chunk(chunk, line)]


def find_unreadable(value: object) -> Unreadable | None:
    """Return the first `Unreadable` in a value; None if all of it can be read."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Unreadable):
            return current
        if isinstance(current, (dict, list)) and id(current) not in seen:
            seen.add(id(current))
            below = list(current.values()) if isinstance(current, dict) else current
            waiting += below[::-1]
    return None


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the documents of a stream as text, each with the number of its first line.

    Directives and comments belong to the document that follows them.
    """
    lines: list[str] = []
    first, begun = 1, False
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw
        if all(not before.strip() or before.startswith(("---", "#")) for before in lines[-1:]):
            line = raw.removeprefix(_MARK)
        if _SEPARATOR.match(line) and begun:
            yield first, "\n".join(lines)
            lines, first, begun = [], number, False
        lines.append(line)
        begun = begun or bool(_SEPARATOR.match(line)) or bool(line.strip() and line[0] not in "#%")
        if _END.match(line):
            yield first, "\n".join(lines)
            lines, first, begun = [], number + 1, False
    if begun:
        yield first, "\n".join(lines)


def _load_chunk(chunk: str, first: int) -> list[Any]:
    if (start := _BEFORE_JSON.match(chunk)) and chunk.startswith("{", start.end()):
        objects = _load_json(chunk, start.end(), first)
        if objects:
            return objects
        # Not JSON: either YAML in flow style, or invalid; the YAML parser reports where.
    documents: list[Any] = []
    try:
        _check_depth(chunk)
        documents.extend(_Builder(first).build(node) for node in yaml.compose_all(chunk, Loader=_LOADER))
    except _UnsafeYAMLError as error:
        documents.append(Unreadable(error.line + first - 1, str(error)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = quote(error.problem or error.context or "it cannot be read")
        documents.append(Unreadable(mark.line + first if mark else 0, f"not YAML or JSON: {problem}"))
    except (yaml.YAMLError, ValueError) as error:
        documents.append(Unreadable(0, f"not YAML or JSON: {quote(str(error).splitlines()[0])}"))
    return documents


def _load_json(chunk: str, start: int, first: int) -> list[Any]:
    """Return the JSON objects from a position on; none if the first is not JSON."""
    objects: list[Any] = []
    position = start
    while position < len(chunk):
        try:
            value, position = _DECODER.raw_decode(chunk, position)
        except (ValueError, RecursionError):
            if objects:
                line = first + chunk.count("\n", 0, position)
                objects.append(Unreadable(line, "not JSON, after a JSON object"))
            return objects
        objects.append(value)
        if behind := _BEFORE_JSON.match(chunk, position):
            position = behind.end()
    return objects


class _UnsafeYAMLError(Exception):
    """YAML that a parser accepts and sealgate rejects.

    Args:
        position: the node or event that is wrong.
        what: what is wrong, with untrusted text already quoted.
    """

    def __init__(self, position: yaml.Node | yaml.Event, what: str) -> None:
        super().__init__(what)
        self.line = position.start_mark.line + 1 if position.start_mark else 0


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Unreadable:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            return Unreadable(0, _duplicate(key))
        members[key] = value
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_members)


def _duplicate(key: str) -> str:
    return f"duplicate key {quote(key)}"


def _check_depth(text: str) -> None:
    depth = 0
    events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _UnsafeYAMLError(event, f"nested more than {MAX_DEPTH} deep")


class _Builder:
    """Builds values from the nodes of one document; a node with several aliases is built once.

    The smallest part of the document that cannot be read becomes `Unreadable`.

    Args:
        first: line of the file at which the document begins, from 1.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._built: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}
        self._under_way: set[int] = set()
        self._scalars = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node | None) -> Any:  # noqa: ANN401 - YAML holds anything
        """Return the node's value."""
        if node is None:
            return None
        key = id(node)
        if key not in self._built:
            entered = key not in self._under_way
            try:
                value = self._value(node)
            except _UnsafeYAMLError as error:
                value = Unreadable(error.line + self._first - 1, str(error))
            except (yaml.YAMLError, ValueError) as error:
                problem = f"not YAML or JSON: {quote(str(error).splitlines()[0])}"
                value = Unreadable(node.start_mark.line + self._first, problem)
            if not entered:
                return value
            self._under_way.discard(key)
            self._built[key] = value
        return self._built[key]

    def _value(self, node: yaml.Node) -> object:
        if node.tag not in _KNOWN:
            raise _UnsafeYAMLError(node, f"Kubernetes does not know the tag {quote(node.tag)}")
        if isinstance(node, yaml.ScalarNode):
            return self._scalars.construct_object(node) if node.tag in _CONVERTED else str(node.value)
        if id(node) in self._under_way:
            raise _UnsafeYAMLError(node, "an alias refers to a value that contains it")
        self._under_way.add(id(node))
        value = self._collection(node)
        self._sizes[id(node)] = self._measure(node)
        return value

    def _measure(self, node: yaml.Node) -> int:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [value for _, value in node.value]
        size = 1 + sum(self._sizes.get(id(part), 1) for part in parts)
        if size > MAX_VALUES:
            raise _UnsafeYAMLError(node, f"aliases expand it to more than {MAX_VALUES} values")
        return size

    def _collection(self, node: yaml.Node) -> object:
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item) for item in node.value]
        members: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged = {**self._merged(value_node), **merged}
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise _UnsafeYAMLError(key_node, "a key must be text")
            if key_node.value in members:
                raise _UnsafeYAMLError(key_node, _duplicate(key_node.value))
            members[key_node.value] = self.build(value_node)
        return {**merged, **members}

    def _merged(self, node: yaml.Node) -> dict[str, Any]:
        value = self.build(node)
        merged: dict[str, Any] = {}
        for source in value if isinstance(value, list) else [value]:
            if not isinstance(source, dict):
                raise _UnsafeYAMLError(node, "only mappings can be merged")
            merged = {**source, **merged}
        return merged
