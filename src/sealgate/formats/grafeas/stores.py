"""Occurrences as Grafeas serves them over REST: fetched page by page, compared again, taken apart.

Servers differ: some ignore filters, some write `resource_uri` where others write `resourceUri`, older ones have the
API v1beta1. So every listed record is compared here with what was asked for, in either spelling, and a member that is
there in both is refused, because it is ambiguous which one counts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode, urlsplit

from sealgate.formats.grafeas.wire import (
    _KIND,
    Entry,
    _as_list,
    _member,
    _read_occurrence_v1beta1,
    _text,
    read_occurrence,
    resource_uri,
)
from sealgate.formats.listing import Page, require_deleted, require_success, stored_record
from sealgate.messages import quote
from sealgate.parsing.evidence import parse_object
from sealgate.service_secrets import text_member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sealgate.formats.interface import Image, Sources
    from sealgate.http.interface import Services

#: The most bytes of one page.
MAX_PAGE_BYTES = 4 << 20
#: Records asked for at once; servers may send fewer.
PAGE_SIZE = 1000


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
    """A Grafeas server, and the project and note in it; see `OccurrenceStore`.

    Attributes:
        url: without a slash at its end.
        ca: PEM bundle of CA certificates for the server; None for the system's.
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
        headers = self._headers(sources)
        return lambda token: self._page(token, image, sources.services, headers)

    def create(self, occurrence: Mapping[str, object], project: str, sources: Sources) -> str:
        """Store an occurrence, and return the name that the server gave it.

        Args:
            occurrence: see `sealgate.formats.grafeas.wire.write_occurrence`.
            project: the occurrence's project, `projects/<project>`.
            sources: how.

        Raises:
            SigningError: the server refuses the occurrence, or its response is not an occurrence.
            NotFoundError: the server has no such project or note.
            UnauthorizedError: the credentials do not suffice.
            UnavailableError: the server could not be asked.
        """
        url = f"{self.url}/{self.api_version}/{project}/occurrences"
        headers = {**self._headers(sources), "Content-Type": "application/json"}
        body = json.dumps(occurrence).encode()
        response = sources.services.request("POST", url, headers=headers, body=body, limit=MAX_PAGE_BYTES, ca=self.ca)
        what = f"storing an occurrence under {project} at {quote(self.host)}"
        return stored_record(response, what, "name")

    def delete(self, occurrence: str, sources: Sources) -> None:
        """Delete an occurrence.

        Args:
            occurrence: its name, `projects/<project>/occurrences/<id>`.
            sources: how.

        Raises:
            SigningError: the server does not delete it.
            NotFoundError: the server does not have it.
            UnauthorizedError: the credentials do not suffice.
            UnavailableError: the server could not be asked.
        """
        url = f"{self.url}/{self.api_version}/{occurrence}"
        headers = self._headers(sources)
        response = sources.services.request("DELETE", url, headers=headers, limit=MAX_PAGE_BYTES, ca=self.ca)
        require_deleted(response, f"deleting {quote(occurrence)} at {quote(self.host)}")

    def _headers(self, sources: Sources) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self.credentials is not None:
            token = text_member(self.credentials, sources.secrets.read(self.credentials), "token")
            headers["Authorization"] = f"Bearer {token}"
        return headers

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
