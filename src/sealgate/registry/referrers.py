"""Parser of lists of referrers: OCI indexes, and the `Link` to the next page."""

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
#: Error codes of a registry that has the referrers API but not this repository.
_KNOWN_API = frozenset({"NAME_UNKNOWN", "NAME_INVALID", "MANIFEST_UNKNOWN", "MANIFEST_INVALID", "DIGEST_INVALID"})


def read_index(body: bytes, what: str) -> Iterator[Descriptor]:
    """Yield the descriptors of an OCI index.

    Descriptors with digests other than SHA-256 are left out, since they cannot be fetched.

    Raises:
        VerificationError: it is not an OCI index.
    """
    index = evidence.parse_object(body, what, limit=MAX_RESPONSE_BYTES)
    for entry in evidence.list_member(index, "manifests", what):
        descriptor = _read_descriptor(evidence.as_object(entry, f"an entry of {what}"), what)
        if descriptor is not None:
            yield descriptor


def next_page(url: URL, link: str | None) -> URL | None:
    """Return the next page that a response from `url` links to; None if that was the last one.

    It is always requested from the same origin: registries behind a proxy may give a wrong scheme and port.

    Raises:
        ForbiddenAddressError: the link is not a URL, or leads to another host.
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
    """Return whether an error response means that the referrers API is missing, and not just the repository."""
    return not _KNOWN_API.intersection(error_codes(body))


def error_codes(body: bytes) -> tuple[str, ...]:
    """Return the error codes of a registry's error document, at most 4; none if it is not one."""
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
        raise evidence.malformed(what, "the digest of an entry is not a digest") from None
    size = entry.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise evidence.malformed(what, "the size of an entry is not a number of bytes")
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
