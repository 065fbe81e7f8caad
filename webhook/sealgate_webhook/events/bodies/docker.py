"""Notifications of docker-registry (distribution), media types `...events.v1+json` and `...events.v2+json`.

A body is an envelope with `events`; v2 differs in its descriptors only. Source: distribution `notifications/event.go`,
2.8.2 and its main branch, and `docs/content/about/notifications.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sealgate.parsing.strict_json import as_object, list_member, object_member, optional_text, text_member
from sealgate_webhook.events.pushes import Ignored, IgnoredEventError, make_push, require_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate_webhook.events.pushes import Push

#: Manifests and indexes of images. Blobs raise `push` events too.
MANIFESTS: Final = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    }
)
#: Beginnings of the artifact types of signatures: cosign, sigstore bundles, Notation.
_SIGNATURES: Final = (
    "application/vnd.dev.cosign.",
    "application/vnd.dev.sigstore.",
    "application/vnd.cncf.notary.",
)


def events(document: Mapping[str, object]) -> Sequence[object]:
    """Return the events of an envelope.

    Raises:
        MalformedError: it has none.
    """
    return list_member(document, "events", "the envelope")


def read(event: object, registry: str) -> Push:
    """Return the push that an event reports; see `sealgate_webhook.events.bodies.reading.read_body`."""
    members = as_object(event, "the event")
    if text_member(members, "action", "the event") != "push":
        raise IgnoredEventError(Ignored.NOT_A_PUSH)
    target = object_member(members, "target", "the event")
    if optional_text(target, "mediaType", "target") not in MANIFESTS:
        raise IgnoredEventError(Ignored.NOT_A_MANIFEST)
    if (optional_text(target, "artifactType", "target") or "").startswith(_SIGNATURES):
        raise IgnoredEventError(Ignored.SIGNATURE)
    _require_own_host(members, target, registry)
    return make_push(
        registry,
        text_member(target, "repository", "target"),
        optional_text(target, "tag", "target"),
        text_member(target, "digest", "target"),
    )


def _require_own_host(event: Mapping[str, object], target: Mapping[str, object], registry: str) -> None:
    """Compare the host of `target.url`, which the registry's setting `http.host` decides, or else of the request."""
    url = optional_text(target, "url", "target")
    if url:
        require_host(_host_of(url), registry)
    elif "request" in event:
        host = optional_text(object_member(event, "request", "the event"), "host", "request")
        if host:
            require_host(host, registry)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        # Not a URL, and so not one of the registry.
        return url
