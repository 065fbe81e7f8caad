"""Server-side apply as an API server does it, for objects whose only keyed list is `webhooks` (by name).

Ownership is kept where an API server keeps it: `metadata.managedFields`, with `fieldsV1`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.simulators.json_copies import copied

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]
#: `f:FIELD` and `k:{"name":"NAME"}` from the root to a value.
Path = tuple[str, ...]

_KEYED_LIST = "webhooks"


def apply(before: Object, document: Object, manager: str, *, force: bool) -> Object | None:
    """Return the object after an apply, with who owns what; None for a conflict."""
    owned = _owned(before)
    mine, wanted = owned.get(manager, set()), set(_paths(document))
    others = {name: fields for name, fields in owned.items() if name != manager}
    after = copied(before)
    for path in wanted:
        changed = _get(before, path) != _get(document, path)
        owners = [fields for fields in others.values() if path in fields]
        if changed and owners and not force:
            return None
        if changed:
            for fields in owners:
                fields.discard(path)
        _set(after, path, copied(_get(document, path)))
    for path in mine - wanted:
        if not any(path in fields for fields in others.values()):
            _remove(after, path)
    after["metadata"]["managedFields"] = _entries({**others, manager: wanted})
    return after


def disown(before: Object, after: Object) -> None:
    """Take from every manager the fields that another write has changed or removed."""
    owned = _owned(before)
    if owned:
        kept = {
            manager: {path for path in fields if _get(before, path) == _get(after, path)}
            for manager, fields in owned.items()
        }
        after["metadata"]["managedFields"] = _entries(kept)


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, member in value.items():
            if (path, key) in {((), "apiVersion"), ((), "kind"), ((), "metadata")}:
                continue
            if key == _KEYED_LIST:
                for item in member:
                    yield from _paths(item, (*path, f"f:{key}", _key(item["name"])))
            else:
                yield from _paths(member, (*path, f"f:{key}"))
    else:
        yield path


def _key(name: str) -> str:
    return "k:" + json.dumps({"name": name}, separators=(",", ":"))


def _get(document: Any, path: Path) -> Any:
    for step in path:
        if document is None:
            return None
        if step.startswith("k:"):
            name = json.loads(step[2:])["name"]
            document = next((item for item in document if item["name"] == name), None)
        else:
            document = document.get(step[2:])
    return document


def _set(document: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        if step.startswith("k:"):
            name = json.loads(step[2:])["name"]
            found = next((item for item in document if item["name"] == name), None)
            if found is None:
                found = {"name": name}
                document.append(found)
            document = found
        else:
            document = document.setdefault(step[2:], [] if step == f"f:{_KEYED_LIST}" else {})
    document[path[-1][2:]] = value


def _remove(document: Any, path: Path) -> None:
    parent = _get(document, path[:-1])
    if parent is not None:
        parent.pop(path[-1][2:], None)


def _owned(document: Object) -> dict[str, set[Path]]:
    entries = document["metadata"].get("managedFields") or ()
    return {entry["manager"]: set(_leaves(entry["fieldsV1"])) for entry in entries}


def _leaves(fields: Object, path: Path = ()) -> Iterator[Path]:
    for step, member in fields.items():
        if member:
            yield from _leaves(member, (*path, step))
        else:
            yield (*path, step)


def _entries(owned: dict[str, set[Path]]) -> list[Object]:
    return [
        {"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": _tree(fields)}
        for manager, fields in sorted(owned.items())
    ]


def _tree(fields: set[Path]) -> Object:
    tree: Object = {}
    for path in sorted(fields):
        parent = tree
        for step in path:
            parent = parent.setdefault(step, {})
    return tree
