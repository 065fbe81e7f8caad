"""Lists of referrers: OCI indexes and the `Link` that leads to the next page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sealgate.errors import ForbiddenAddressError, InvalidReferenceError
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.http.urls import URL, join_url
from sealgate.messages import quote
from sealgate.parsing import evidence, strict_json
from sealgate.references import parse_digest
from sealgate.registry.interface import Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LINK = re.compile(r'<([^<>]*)>((?:[ \t]*;[ \t]*[a-zA-Z*]+(?:=(?:"[^"]*"|[^",; \t]*))?)*)')
_NEXT = re.compile(r';[ \t]*rel="?next"?[ \t]*(?:;|$)', re.IGNORECASE)
_OTHER_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+")
#: The codes of a registry that knows the referrers API and only not this repository.
_KNOWN_API = frozenset({"NAME_UNKNOWN", "NAME_INVALID", "MANIFEST_UNKNOWN", "MANIFEST_INVALID", "DIGEST_INVALID"})


def read_index(body: bytes, what: str) -> Iterator[Descriptor]:
    """Yield the descriptors of an OCI index.

    Descriptors under other digests than SHA-256 are left out: nothing here could fetch them.

    Raises:
        VerificationError: it is no index.
    """
    index = evidence.parse_object(body, what, limit=MAX_RESPONSE_BYTES)
    for entry in evidence.list_member(index, "manifests", what):
        descriptor = _read_descriptor(evidence.as_object(entry, f"an entry of {what}"), what)
        if descriptor is not None:
            yield descriptor


def next_page(url: URL, link: str | None) -> URL | None:
    """Return the next page that an answer from `url` links to; None if it is the last one.

    It is always asked of the same origin: registries behind a proxy may get their own scheme and port wrong.

    Raises:
        ForbiddenAddressError: the link is no URL, or leads to another host.
    """
    for match in _LINK.finditer(link or ""):
        if _NEXT.search(match[2]):
            following = join_url(url, match[1])
            if following.origin.host != url.origin.host:
                msg = f"{quote(url.origin.authority)} continues its list of referrers on another host"
                raise ForbiddenAddressError(msg)
            return URL(url.origin, following.target)
    return None


def lacks_api(body: bytes) -> bool:
    """Return whether an error answer means that there is no referrers API at all, not only no such repository."""
    return not _KNOWN_API.intersection(error_codes(body))


def error_codes(body: bytes) -> tuple[str, ...]:
    """Return the error codes of a registry's error document; none if it is something else."""
    try:
        document = strict_json.parse(body, "it")
    except strict_json.MalformedError:
        return ()
    errors = document.get("errors") if isinstance(document, dict) else None
    codes = [error.get("code") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return tuple(code for code in codes if isinstance(code, str) and re.fullmatch(r"[A-Z][A-Z_]{0,40}", code))[:4]


def _read_descriptor(entry: Mapping[str, object], what: str) -> Descriptor | None:
    text = evidence.text_member(entry, "digest", what)
    try:
        digest = parse_digest(text)
    except InvalidReferenceError:
        if _OTHER_DIGEST.fullmatch(text) and not text.startswith("sha256:"):
            return None
        raise evidence.malformed(what, "an entry's digest is none") from None
    size = entry.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise evidence.malformed(what, "an entry's size is none")
    annotations = evidence.object_member(entry, "annotations", what) if entry.get("annotations") is not None else {}
    if not all(isinstance(value, str) for value in annotations.values()):
        raise evidence.malformed(what, "an entry's annotations are not all strings")
    return Descriptor(
        digest,
        evidence.text_member(entry, "mediaType", what),
        size,
        evidence.optional_text(entry, "artifactType", what) or None,
        {name: str(value) for name, value in annotations.items()},
    )
