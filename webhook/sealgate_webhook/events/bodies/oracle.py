"""Events of Oracle Cloud's registry (OCIR), as Oracle Notifications delivers them: one push each.

Source: docs.oracle.com, "Contents of an Event Message" and "Services that Produce Events" (Container Image - Upload).
There is no official sample of this event: `path` and `digest` are as seen in public programs that read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate.parsing.strict_json import as_object, object_member, text_member
from sealgate_webhook.events.pushes import Ignored, IgnoredEventError, make_push, require_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate_webhook.events.pushes import Push

_UPLOAD: Final = "com.oraclecloud.artifacts.uploaddockerimage"


def events(document: Mapping[str, object]) -> Sequence[object]:
    """Return the only event of a message."""
    return (document,)


def read(event: object, registry: str) -> Push:
    """Return the push that an event reports; see `sealgate_webhook.events.bodies.reading.read_body`."""
    members = as_object(event, "the event")
    if text_member(members, "eventType", "the event") != _UPLOAD:
        raise IgnoredEventError(Ignored.NOT_A_PUSH)
    data = object_member(members, "data", "the event")
    details = object_member(data, "additionalDetails", "data")
    path = text_member(details, "path", "additionalDetails")
    host, slash, rest = path.partition("/")
    # The first component is the tenancy's namespace, which has only letters and digits; anything else is a host.
    if slash and not host.isalnum():
        require_host(host, registry)
        path = rest
    tag = _tag(text_member(data, "resourceName", "data"))
    return make_push(registry, path, tag, text_member(details, "digest", "additionalDetails"))


def _tag(resource: str) -> str | None:
    """Return the tag of `repository:tag`; None for `repository@digest` and for a repository alone."""
    name, colon, tag = resource.rpartition(":")
    return tag if colon and "@" not in name else None
