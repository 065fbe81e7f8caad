"""Objects of a document: the document itself, or the items of a list, as kubectl splits it.

kubectl treats every object with `items` as a list, of any kind. An object that cannot be read becomes an item with a
problem; the others are read all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealgate.parsing.yaml_reader import Position

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.errors import Problem
    from sealgate.parsing.documents import Document

#: The position of what was read without positions, or repeated by an alias: such values can be read.
_NO_POSITION: Final = Position(0)
#: The deepest nesting of lists in lists.
MAX_DEPTH: Final = 8


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a document.

    Attributes:
        field: path of the object in the document ("items[2]"); empty for the document itself.
        value: the object; empty if it cannot be read.
        problem: why the object cannot be read; empty if it can be read.
    """

    field: str
    value: Mapping[str, Any]
    problem: str = ""


def items_of(document: Document) -> Iterator[Item]:
    """Yield the objects of a document in order; a value that is not an object becomes an item with a problem.

    Args:
        document: a whole document, not an object of a list.
    """
    yield from _items(document.value, document.position, "", 0)


def _items(value: object, position: Position, field: str, depth: int) -> Iterator[Item]:
    if position.problem:
        yield Item(field, {}, _describe(position.problem))
        return
    if not isinstance(value, Mapping):
        yield Item(field, {}, "a Kubernetes object is a mapping with apiVersion and kind")
        return
    kind = value.get("kind")
    is_list = "items" in value and isinstance(kind, str) and kind.endswith("List")
    members = (member for key, member in position.members.items() if key != "items")
    problem = next((member.inner_problem for member in members if member.inner_problem), None)
    if problem:
        yield Item(field, {}, _describe(problem))
    elif not is_list:
        yield Item(field, {key: member for key, member in value.items() if key != "items"})
    if "items" in value:
        yield from _listed(value, position.members.get("items", _NO_POSITION), field, depth, must_be_list=is_list)


def _describe(problem: Problem) -> str:
    line = f"line {problem.line}: " if problem.line else ""
    suggestion = f" ({problem.suggestion})" if problem.suggestion else ""
    return f"{line}{problem.message}{suggestion}"


def _listed(
    parent: Mapping[str, Any], position: Position, field: str, depth: int, *, must_be_list: bool
) -> Iterator[Item]:
    items, path = parent["items"], f"{field}.items" if field else "items"
    if position.problem:
        yield Item(path, {}, _describe(position.problem))
    elif items is None:
        return
    elif not isinstance(items, Sequence) or isinstance(items, str):
        if must_be_list:
            yield Item(path, {}, f"must be a list, not {type(items).__name__}")
    elif depth == MAX_DEPTH:
        yield Item(path, {}, f"lists are nested more than {MAX_DEPTH} deep")
    else:
        kind = str(parent.get("kind") or "").removesuffix("List")
        for index, item in enumerate(items):
            element = item
            if isinstance(item, Mapping) and not item.get("kind") and not item.get("apiVersion"):
                # The API server leaves out kind and apiVersion of items, because the list's kind implies them.
                element = {**item, "apiVersion": parent.get("apiVersion"), "kind": kind}
            yield from _items(element, position.members.get(index, _NO_POSITION), f"{path}[{index}]", depth + 1)
