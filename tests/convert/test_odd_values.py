"""Objects with values of other types than their fields have: each is converted or named, and never ends in a bug."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.convert.files import convert_texts, to_yaml
from sealgate.errors import PolicyError
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[1] / "data"
FILES = sorted([*(DATA / "convert").glob("*/*.yaml"), *(DATA / "peers").glob("*/*.yaml")])
SOURCES = [[document for document in yaml.load_all(file.read_text(), yaml.CSafeLoader) if document] for file in FILES]
ODD: list[Any] = [None, {}, [], "", 0, True, "x", "*", [None], {"a": 1}, 1.5, [[]], [{}], -1]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values within documents."""
    if len(path) > 1:
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from paths(member, (*path, key))


PLACES = [(number, path) for number, source in enumerate(SOURCES) for path in paths(source)]


def replaced(source: list[Any], path: tuple[Any, ...], odd: Any) -> list[Any]:
    """Return documents with another value at a path."""
    copy = deepcopy(source)
    place: Any = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = odd
    return copy


@settings(max_examples=examples(150), deadline=None)
@given(place=st.sampled_from(PLACES), odd=st.sampled_from(ODD))
def test_odd_values_are_converted_or_named(place: tuple[int, tuple[Any, ...]], odd: Any) -> None:
    number, path = place
    text = "".join(f"---\n{json.dumps(one)}\n" for one in replaced(SOURCES[number], path, odd))
    try:
        made = to_yaml(convert_texts([(FILES[number].name, text)]))
    except PolicyError:
        return
    assert all(one["spec"] for one in yaml.load_all(made, yaml.CSafeLoader) if one)
