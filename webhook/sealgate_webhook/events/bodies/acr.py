"""Triggers of Alibaba Cloud's registry (ACR): one push each, without any authentication of their own.

Source: help.aliyun.com, "Manage webhooks" (60949).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.parsing.strict_json import as_object, malformed, object_member, optional_text, text_member
from sealgate_webhook.events.pushes import make_push, require_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate_webhook.events.pushes import Push


def events(document: Mapping[str, object]) -> Sequence[object]:
    """Return the only event of a trigger."""
    return (document,)


def read(event: object, registry: str) -> Push:
    """Return the push that an event reports; see `sealgate_webhook.events.bodies.reading.read_body`."""
    members = as_object(event, "the trigger")
    pushed = object_member(members, "push_data", "the trigger")
    path = _path(object_member(members, "repository", "the trigger"), registry)
    return make_push(
        registry, path, optional_text(pushed, "tag", "push_data"), text_member(pushed, "digest", "push_data")
    )


def _path(repository: Mapping[str, object], registry: str) -> str:
    """Return `namespace/name`; `repo_full_name` must be the same, a host before it the source's registry."""
    path = "/".join(text_member(repository, name, "repository") for name in ("namespace", "name"))
    full = optional_text(repository, "repo_full_name", "repository") or path
    if full != path:
        if not full.endswith(f"/{path}"):
            raise malformed("repository", "repo_full_name is not its namespace and name")
        require_host(full.removesuffix(f"/{path}"), registry)
    return path
