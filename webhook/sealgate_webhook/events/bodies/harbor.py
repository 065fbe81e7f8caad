"""Webhooks of Harbor, in its default shape and as CloudEvents, and of Huawei SWR, which sends Harbor's.

Source: goharbor.io "Configure Webhook Notifications", `src/pkg/notifier/model/event.go` and `.../formats`. The body
that SWR sends is not documented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate.parsing.strict_json import as_object, list_member, object_member, optional_text, text_member
from sealgate_webhook.events.pushes import Ignored, IgnoredEventError, make_push, require_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate_webhook.events.pushes import Push

#: Type of a push, and the member that has what was pushed.
_PUSHES: Final = {"PUSH_ARTIFACT": "event_data", "harbor.artifact.pushed": "data"}


def events(document: Mapping[str, object]) -> Sequence[object]:
    """Return an event for each resource of a webhook: `resource` and `repository`. Other types have one without both.

    Raises:
        MalformedError: it is not a webhook of Harbor.
    """
    data_member = _PUSHES.get(text_member(document, "type", "the webhook"))
    if data_member is None:
        return ({},)
    data = object_member(document, data_member, "the webhook")
    repository = object_member(data, "repository", data_member)
    return [
        {"resource": resource, "repository": repository} for resource in list_member(data, "resources", data_member)
    ]


def read(event: object, registry: str) -> Push:
    """Return the push that an event reports; see `sealgate_webhook.events.bodies.reading.read_body`."""
    members = as_object(event, "the event")
    if not members:
        raise IgnoredEventError(Ignored.NOT_A_PUSH)
    resource = object_member(members, "resource", "the event")
    url = optional_text(resource, "resource_url", "the resource")
    if url:
        require_host(url.rpartition("://")[2].partition("/")[0], registry)
    return make_push(
        registry,
        text_member(object_member(members, "repository", "the event"), "repo_full_name", "repository"),
        optional_text(resource, "tag", "the resource"),
        text_member(resource, "digest", "the resource"),
    )
