"""Occurrences as Grafeas serves them over REST: fetched page by page, compared again, taken apart.

Servers differ: some ignore filters, some write `resource_uri` where others write `resourceUri`, older ones have the
API v1beta1. So whatever is listed is compared here with what was asked for, in either spelling, and a member that is
there in both is refused, since nobody could say which one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode, urlsplit

from sealgate.errors import VerificationError
from sealgate.formats.interface import MAX_SIGNATURE_BYTES
from sealgate.formats.listing import Page, require_success
from sealgate.messages import name_record, quote
from sealgate.parsing.strict_json import as_object, decode_base64, malformed, parse_object
from sealgate.reasons import Reason
from sealgate.service_secrets import text_member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sealgate.formats.interface import Image, Sources
    from sealgate.http.interface import Services

#: The most bytes of one page.
MAX_PAGE_BYTES = 4 << 20
#: Records asked for at once; servers may send fewer.
PAGE_SIZE = 1000

_KIND = "ATTESTATION"
#: Content types of v1beta1 that mean the payload that is checked here; the first is what is not written at all.
_CONTENT_TYPES = ("CONTENT_TYPE_UNSPECIFIED", "SIMPLE_SIGNING_JSON")


@dataclass(frozen=True, slots=True)
class AttestedSignature:
    """One signature of an occurrence, nothing of it verified.

    Attributes:
        key_id: the id of the key as it says; empty where it says none.
        attached: whether it must be an OpenPGP message that holds what it signs.
        content: the signature as it is written: text of an attached one, base64 of any other.
        serialized: base64 of what was signed; empty where that is inside the signature.
    """

    key_id: str
    attached: bool
    content: str
    serialized: str

    def signature(self) -> bytes:
        """Return the signature.

        Raises:
            VerificationError: it is not base64, or too large.
        """
        if self.attached:
            return _bounded(self.content.encode(), "the signature")
        return _bounded(decode_base64(self.content, "the signature"), "the signature")

    def payload(self) -> bytes:
        """Return what was signed.

        Raises:
            VerificationError: it is not base64, or too large.
        """
        return _bounded(decode_base64(self.serialized, "the payload"), "the payload")


@dataclass(frozen=True, slots=True)
class Entry:
    """The place of one signature in an occurrence, nothing of it read.

    Attributes:
        source: where it is, for people.
        read: returns the signature; raises `VerificationError` where it is malformed, which its neighbours may not be.
    """

    source: str
    read: Callable[[], AttestedSignature]


class OccurrenceStore(Protocol):
    """Where occurrences are."""

    @property
    def host(self) -> str:
        """The host that is asked, with its port if it has one."""

    def pages(self, image: Image, sources: Sources) -> Callable[[str], Page]:
        """Return what fetches the page of a token, the first one's being empty.

        What it returns raises `VerificationError` for a page that is too large or malformed, and `UnavailableError`
        for one that could not be fetched.

        Args:
            image: whose occurrences are asked for.
            sources: how.

        Raises:
            UnavailableError: the credentials are not there.
        """

    def signatures(self, record: object, image: Image, number: int) -> Iterator[Entry]:
        """Yield the signatures of an occurrence; none where it is not an attestation of that image under the note.

        Args:
            record: the occurrence.
            image: what it must be about.
            number: which one it is, for messages.

        Raises:
            VerificationError: it is about the image, and malformed as a whole or of a kind that is not read.
        """


@dataclass(frozen=True, slots=True)
class GrafeasServer:
    """A Grafeas server, and where in it to look; see `OccurrenceStore`.

    Attributes:
        url: without a slash at its end.
        ca: PEM bundle of the server's authorities; None for the system's.
        api_version: "v1" or "v1beta1".
        note: whose occurrences count, `projects/<project>/notes/<note>`.
        parent: whose occurrences are listed: the note, or a project.
        filter: what the server's filter calls the image; "none" for no filter.
        credentials: the Secret with the bearer token; None to send none.
    """

    url: str
    ca: str | None
    api_version: str
    note: str
    parent: str
    filter: str
    credentials: str | None

    @property
    def host(self) -> str:
        """The server's host, with its port if it has one."""
        return urlsplit(self.url).netloc

    def pages(self, image: Image, sources: Sources) -> Callable[[str], Page]:
        """Return what fetches a page; see `OccurrenceStore.pages`."""
        headers = {"Accept": "application/json"}
        if self.credentials is not None:
            token = text_member(self.credentials, sources.secrets.read(self.credentials), "token")
            headers["Authorization"] = f"Bearer {token}"
        return lambda token: self._page(token, image, sources.services, headers)

    def _page(self, token: str, image: Image, services: Services, headers: Mapping[str, str]) -> Page:
        query = {"pageSize": str(PAGE_SIZE)}
        if self.filter != "none":
            query["filter"] = f'{self.filter}="{resource_uri(image)}" AND kind="{_KIND}"'
        if token:
            query["pageToken"] = token
        url = f"{self.url}/{self.api_version}/{self.parent}/occurrences?{urlencode(query)}"
        response = services.request("GET", url, headers=headers, limit=MAX_PAGE_BYTES, ca=self.ca)
        body = require_success(response, f"listing occurrences of {self.parent} at {quote(self.host)}")
        answer = parse_object(body, "the list of occurrences", limit=MAX_PAGE_BYTES)
        records = _member(answer, "occurrences", "the list of occurrences")
        next_token = _text(answer, "nextPageToken", "the list of occurrences")
        return Page(_as_list(records, "occurrences of the list"), next_token)

    def signatures(self, record: object, image: Image, number: int) -> Iterator[Entry]:
        """Yield the signatures of an occurrence; see `OccurrenceStore.signatures`."""
        if self.api_version == "v1":
            yield from read_occurrence(record, self.note, resource_uri(image), number)
            return
        yield from _read_occurrence_v1beta1(record, self.note, resource_uri(image), number)


def resource_uri(image: Image) -> str:
    """Return what occurrences call an image: its repository and the digest that it resolved to."""
    return f"https://{image.reference.name}@{image.digest}"


def read_occurrence(record: object, note: str, uri: str, number: int) -> Iterator[Entry]:
    """Yield the signatures of an occurrence of the API v1; none where it is about something else.

    Args:
        record: the occurrence.
        note: whose occurrences count.
        uri: of the image that it must be about.
        number: which one it is, for messages.

    Raises:
        VerificationError: it is about the image, and malformed as a whole or of a kind that is not read.
    """
    source = f"occurrence {number}"
    occurrence = as_object(record, source)
    if _text(occurrence, "resourceUri", source) == uri and _is_attestation(occurrence, note, source):
        source = name_record(occurrence.get("name"), source)
        yield from _read_signatures(_object(occurrence, "attestation", source), source)


def _read_occurrence_v1beta1(record: object, note: str, uri: str, number: int) -> Iterator[Entry]:
    source = f"occurrence {number}"
    occurrence = as_object(record, source)
    resource = _object(occurrence, "resource", source)
    if _text(resource, "uri", source) == uri and _is_attestation(occurrence, note, source):
        source = name_record(occurrence.get("name"), source)
        details = _object(occurrence, "attestation", source)
        yield from _read_attestation_v1beta1(_object(details, "attestation", source), source)


def _is_attestation(occurrence: Mapping[str, object], note: str, source: str) -> bool:
    return _text(occurrence, "kind", source) == _KIND and _text(occurrence, "noteName", source) == note


def _read_signatures(attestation: Mapping[str, object], source: str) -> Iterator[Entry]:
    signatures = _as_list(_member(attestation, "signatures", source), f"signatures of {source}")
    if not signatures:
        what = "only JWTs, which are not read" if _member(attestation, "jwts", source) else "no signature"
        raise VerificationError(f"it has {what}", reason=Reason.TYPE_MISMATCH)
    serialized = _text(attestation, "serializedPayload", source)
    for number, item in enumerate(signatures, 1):
        place = f"{source}, signature {number}"
        yield Entry(place, partial(_read_signature, item, place, serialized))


def _read_signature(item: object, place: str, serialized: str) -> AttestedSignature:
    entry = as_object(item, place)
    return AttestedSignature(_text(entry, "publicKeyId", place), False, _text(entry, "signature", place), serialized)


def _read_attestation_v1beta1(inner: Mapping[str, object], source: str) -> Iterator[Entry]:
    pgp = _member(inner, "pgpSignedAttestation", source)
    generic = _member(inner, "genericSignedAttestation", source)
    if (pgp is None) == (generic is None):
        what = "no attestation that is read here" if pgp is None else "two attestations in one"
        raise VerificationError(f"it has {what}", reason=Reason.TYPE_MISMATCH)
    details = as_object(pgp if generic is None else generic, f"attestation of {source}")
    content_type = _text(details, "contentType", source) or _CONTENT_TYPES[0]
    if content_type not in _CONTENT_TYPES:
        msg = f"its content is of the type {quote(content_type, 80)}, not {_CONTENT_TYPES[1]}"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
    if generic is not None:
        yield from _read_signatures(details, source)
        return
    signature = AttestedSignature(_text(details, "pgpKeyId", source), True, _text(details, "signature", source), "")
    yield Entry(source, lambda: signature)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _member(parent: Mapping[str, object], name: str, what: str) -> object:
    """Return a member in the one spelling that it has; None where it is missing or null, which mean the same here."""
    other = _snake(name)
    if other != name and name in parent and other in parent:
        raise malformed(what, f"it has both {name} and {other}")
    return parent.get(name, parent.get(other))


def _text(parent: Mapping[str, object], name: str, what: str) -> str:
    value = _member(parent, name, what)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise malformed(what, f"{name} should be a string")
    return value


def _object(parent: Mapping[str, object], name: str, what: str) -> Mapping[str, object]:
    value = _member(parent, name, what)
    return {} if value is None else as_object(value, f"{name} of {what}")


def _as_list(value: object, what: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise malformed(what, "it should be a list")
    return value


def _bounded(data: bytes, what: str) -> bytes:
    if len(data) > MAX_SIGNATURE_BYTES:
        msg = f"{what} is larger than {MAX_SIGNATURE_BYTES} bytes"
        raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
    return data
