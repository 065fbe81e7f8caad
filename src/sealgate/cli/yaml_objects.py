"""YAML and JSON that anybody may have written, as plain Python values.

The ordinary loaders are not fit for input from strangers: deep nesting ends the process in the C parser, merge keys
and aliases can grow without bound, and a key written twice hides its first value. Here depth is checked on the
stream of events, before anything is built; merges cost no more than what they are merged into; and a key that is
there twice is an error.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from sealgate.cli.files import name_of
from sealgate.errors import ConfigError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Custom resource definitions are the deepest objects that people write; they stay below a hundred.
MAX_DEPTH = 200
#: The most values of one document, each counted as often as aliases repeat it: whoever walks through a document
#: must come to an end.
MAX_VALUES = 10_000_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
#: Scalars whose exact value matters to nobody here, only that they are not text.
_CONVERTED = frozenset(f"{_TAG}{name}" for name in ("null", "bool", "int", "float"))
#: Everything else that Kubernetes knows; dates are text to it.
_KNOWN = _CONVERTED | {f"{_TAG}{name}" for name in ("str", "timestamp", "value", "merge", "map", "seq")}


def load_documents(text: str, path: str) -> list[Any]:
    """Return the documents of a file: one for JSON, one for each document of YAML, empty ones included.

    Args:
        text: the content.
        path: the file, for messages.

    Raises:
        ConfigError: it is neither, or not safe to read.
    """
    if text.lstrip()[:1] in ("{", "["):
        try:
            return [json.loads(text, object_pairs_hook=_pairs)]
        except _DuplicateKeyError as error:
            raise ConfigError(f"{name_of(path)}: the key {quote(error)} is there twice in one object") from error
        except (ValueError, RecursionError):
            pass  # flow style YAML, JSON documents in a row, or wrong: the YAML reader says what and where
    try:
        _check_depth(text)
        return [_Builder().build(node) for node in yaml.compose_all(text, Loader=_LOADER)]
    except _UnsafeYAMLError as error:
        raise ConfigError(f"{name_of(path)}:{error.line}: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = quote(error.problem or error.context or "it cannot be read")
        raise ConfigError(f"{name_of(path)}{line}: not YAML or JSON: {problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name_of(path)}: not YAML or JSON: {quote(str(error).splitlines()[0])}") from error


class _DuplicateKeyError(Exception):
    """A JSON object has the same key twice."""


class _UnsafeYAMLError(Exception):
    """YAML that a parser would take and sealgate does not.

    Args:
        position: a node or an event of the document.
        what: what is wrong there, foreign text already quoted.
    """

    def __init__(self, position: yaml.Node | yaml.Event, what: str) -> None:
        super().__init__(what)
        self.line = position.start_mark.line + 1 if position.start_mark else 0


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise _DuplicateKeyError(key)
        members[key] = value
    return members


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
    """Turns the nodes of one document into values; a node that aliases name several times is built once."""

    def __init__(self) -> None:
        self._built: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}
        self._under_way: set[int] = set()
        self._scalars = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node | None) -> Any:  # noqa: ANN401 - YAML holds anything
        """Return the node's value."""
        if node is None:
            return None
        if node.tag not in _KNOWN:
            raise _UnsafeYAMLError(node, f"the tag {quote(node.tag)} means nothing to Kubernetes")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        key = id(node)
        if key in self._under_way:
            raise _UnsafeYAMLError(node, "an alias names what it is in")
        if key not in self._built:
            self._under_way.add(key)
            self._built[key] = self._collection(node)
            self._sizes[key] = self._measure(node)
            self._under_way.remove(key)
        return self._built[key]

    def _measure(self, node: yaml.Node) -> int:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [value for _, value in node.value]
        size = 1 + sum(self._sizes.get(id(part), 1) for part in parts)
        if size > MAX_VALUES:
            raise _UnsafeYAMLError(node, f"aliases make it more than {MAX_VALUES} values")
        return size

    def _scalar(self, node: yaml.ScalarNode) -> object:
        if node.tag in _CONVERTED:
            return self._scalars.construct_object(node)
        return str(node.value)

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
                raise _UnsafeYAMLError(key_node, "a key is not text")
            if key_node.value in members:
                raise _UnsafeYAMLError(key_node, f"the key {quote(key_node.value)} is there twice")
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
