"""Patches are correct for every field that can hold an image."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.references import Digest, parse_reference
from sealgate_webhook.reviews.patches import pin, pin_operations
from tests.support.examples import examples
from tests.webhook.objects import pod
from tests.workloads.objects import images_of

DIGEST = Digest("sha256:" + "a" * 64)


@pytest.mark.parametrize(
    ("text", "pinned"),
    [
        ("nginx", f"nginx:latest@{DIGEST}"),
        ("nginx:1.27", f"nginx:1.27@{DIGEST}"),
        ("Registry.Example.COM:443/team/app:v1", f"Registry.Example.COM:443/team/app:v1@{DIGEST}"),
        ("index.docker.io/library/nginx", f"index.docker.io/library/nginx:latest@{DIGEST}"),
        ("localhost:5000/app", f"localhost:5000/app:latest@{DIGEST}"),
    ],
)
def test_the_text_stays_as_it_was_written(text: str, pinned: str) -> None:
    reference = parse_reference(text)
    assert pin(text, reference, DIGEST) == pinned
    after = parse_reference(pinned)
    assert (after.name, after.tag, after.digest) == (reference.name, reference.effective_tag, DIGEST)


_IMAGES = st.sampled_from(["app", "app:v1", "other:v2", "registry.example.com/team/app"])
_LIST = st.lists(_IMAGES, max_size=3).map(tuple)


@settings(max_examples=examples(100))
@given(
    st.lists(_IMAGES, min_size=1, max_size=3),
    _LIST,
    _LIST,
    _LIST,
    st.dictionaries(_IMAGES, st.just("pinned"), max_size=4),
)
def test_patch_replaces_only_the_pinned_images(
    images: list[str],
    init: tuple[str, ...],
    ephemeral: tuple[str, ...],
    volumes: tuple[str, ...],
    pinned: dict[str, str],
) -> None:
    before = pod(*images, init=init, ephemeral=ephemeral, volumes=volumes)
    operations = pin_operations(images_of(before), pinned)
    after = json.loads(json.dumps(before))
    tested: dict[str, str] = {}
    for operation in operations:
        parent, last = _parent(after, operation["path"])
        if operation["op"] == "test":
            tested[operation["path"]] = operation["value"]
            assert parent[last] == operation["value"]
        else:
            assert tested[operation["path"]] == parent[last]
            parent[last] = operation["value"]
    expected = [pinned.get(image.image, image.image) for image in images_of(before)]
    assert [image.image for image in images_of(after)] == expected


def _parent(obj: Any, pointer: str) -> tuple[Any, str]:
    *way, last = pointer.split("/")[1:]
    for step in way:
        obj = obj[int(step)] if isinstance(obj, list) else obj[step]
    return obj, last
