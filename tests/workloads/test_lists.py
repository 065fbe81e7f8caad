"""Objects that come in lists."""

from __future__ import annotations

from typing import Any

import pytest

from sealgate.errors import InvalidWorkloadError
from sealgate.workloads import flatten_lists
from tests.workloads.objects import images_of, pod, workload


def test_an_object_that_is_no_list_is_itself() -> None:
    assert flatten_lists(pod("a")) == (pod("a"),)


def test_the_items_of_lists_in_lists_come_in_order() -> None:
    inner = {"apiVersion": "v1", "kind": "List", "items": [pod("b"), {"apiVersion": "v1", "kind": "Service"}]}
    obj = {"apiVersion": "v1", "kind": "List", "items": [pod("a"), inner]}

    assert [item["kind"] for item in flatten_lists(obj)] == ["Pod", "Pod", "Service"]


def test_the_items_of_a_list_of_one_kind_are_of_that_kind() -> None:
    items = [{key: value for key, value in pod(name).items() if key not in ("kind", "apiVersion")} for name in "ab"]

    flat = flatten_lists({"apiVersion": "v1", "kind": "PodList", "items": items})

    assert [images_of(item)[0].image for item in flat] == ["a", "b"]


def test_a_list_may_be_empty() -> None:
    assert flatten_lists({"kind": "List", "items": []}) == ()


def test_a_kind_that_only_ends_like_a_list_is_an_object() -> None:
    obj = {"apiVersion": "example.org/v1", "kind": "AllowList", "spec": {}}

    assert flatten_lists(obj) == (obj,)


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"kind": "List", "items": None}, "items must be a list"),
        ({"kind": "List", "items": {}}, "items must be a list"),
        ({"kind": "List", "items": [5]}, "items[0] must be an object"),
        ({"kind": "List", "items": [{}]}, "kind is missing"),
        ({"kind": "List", "items": [pod("a"), {"kind": "List", "items": "x"}]}, "items[1].items must be a list"),
        ({}, "kind is missing"),
    ],
)
def test_a_list_that_is_none_is_an_error(obj: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidWorkloadError) as caught:
        flatten_lists(obj)

    assert message in caught.value.message


def test_lists_do_not_nest_without_end() -> None:
    obj: dict[str, Any] = workload("v1", "Pod", {})
    for _ in range(100):
        obj = {"kind": "List", "items": [obj]}

    with pytest.raises(InvalidWorkloadError, match="nested more than"):
        flatten_lists(obj)
