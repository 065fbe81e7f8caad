"""Oracle Cloud's service of images and their signatures: asked with signed requests, page by page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from sealgate.cloud.oracle import sign_request
from sealgate.errors import PolicyError
from sealgate.formats.listing import Page, require_deleted, require_success, stored_record
from sealgate.formats.oracle.wire import repository_name
from sealgate.messages import quote
from sealgate.oracle_realms import REALM_DOMAINS, realm_of
from sealgate.parsing.evidence import list_member, parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.cloud.oracle import OCICredentials
    from sealgate.formats.interface import Image
    from sealgate.http.interface import Response, Services

#: The most bytes of one page.
MAX_PAGE_BYTES = 4 << 20
#: Records asked for at once.
PAGE_SIZE = 100

_SIGNATURES = "/20160918/container/imageSignatures"
_IMAGES = "/20160918/container/images"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks the service, and how.

    Attributes:
        services: sends the requests.
        credentials: sign them; None for requests that are not signed.
        clock: the time that signed requests carry.
    """

    services: Services
    credentials: OCICredentials | None
    clock: Clock

    def request(self, method: str, url: str, body: bytes | None, ca: str | None) -> Response:
        """Send a request, signed; see `Services.request`."""
        headers = {"accept": "application/json"}
        if self.credentials is not None:
            headers = sign_request(method, url, headers, body, self.credentials, self.clock.now())
        return self.services.request(method, url, headers=headers, body=body, limit=MAX_PAGE_BYTES, ca=ca)


@dataclass(frozen=True, slots=True)
class SignatureService:
    """The service that keeps signatures, and the compartment that has them.

    Attributes:
        url: without a slash at its end.
        ca: PEM bundle of CA certificates for the service; None for the system's.
        compartment: its OCID.
        subtree: whether the compartments below it are searched too.
    """

    url: str
    ca: str | None
    compartment: str
    subtree: bool

    @property
    def host(self) -> str:
        """The service's host, with its port if it has one."""
        return urlsplit(self.url).netloc

    def page(self, token: str, image: Image, caller: Caller) -> Page:
        """Fetch one page of records.

        Args:
            token: of the page; empty for the first.
            image: whose records are asked for.
            caller: who asks.

        Raises:
            VerificationError: it is too large or malformed.
            UnavailableError: it could not be fetched.
        """
        subtree = {"compartmentIdInSubtree": "true" if self.subtree else "false"}
        return self._list(_SIGNATURES, "signatures", {**subtree, **self._about(image)}, token, caller)

    def image_page(self, token: str, image: Image, caller: Caller) -> Page:
        """Fetch one page of the images that have an image's digest; arguments and errors as for `page`."""
        return self._list(_IMAGES, "images", self._about(image), token, caller)

    def upload(self, record: Mapping[str, str], caller: Caller) -> str:
        """Store a signature, and return its OCID.

        Args:
            record: see `sealgate.formats.oracle.wire.SignedText.record`.
            caller: who stores it.

        Raises:
            SigningError: the service refuses it, or its response names no signature.
            NotFoundError: it does not know compartment or image, or hides them from these credentials.
            UnauthorizedError: it does not take the credentials.
            UnavailableError: it could not be asked.
        """
        response = caller.request("POST", f"{self.url}{_SIGNATURES}", json.dumps(record).encode(), self.ca)
        return stored_record(response, f"storing an image signature at {quote(self.host)}", "id")

    def delete(self, signature: str, caller: Caller) -> None:
        """Delete a signature.

        Args:
            signature: its OCID.
            caller: who deletes it.

        Raises:
            SigningError: the service does not delete it.
            NotFoundError: the service does not know it, or hides it from these credentials.
            UnauthorizedError: it does not take the credentials.
            UnavailableError: it could not be asked.
        """
        response = caller.request("DELETE", f"{self.url}{_SIGNATURES}/{signature}", None, self.ca)
        require_deleted(response, f"deleting {quote(signature)} at {quote(self.host)}")

    def _about(self, image: Image) -> dict[str, str]:
        name, limit = repository_name(image), str(PAGE_SIZE)
        return {"compartmentId": self.compartment, "repositoryName": name, "imageDigest": image.digest, "limit": limit}

    def _list(self, path: str, what: str, query: dict[str, str], token: str, caller: Caller) -> Page:
        page = {"page": token} if token else {}
        response = caller.request("GET", f"{self.url}{path}?{urlencode({**query, **page})}", None, self.ca)
        body = require_success(response, f"listing image {what} at {quote(self.host)}")
        answer = parse_object(body, f"the list of {what}", limit=MAX_PAGE_BYTES)
        return Page(list_member(answer, "items", f"the list of {what}"), response.headers.get("opc-next-page", ""))


def service_url(region: str, compartment: str) -> str:
    """Return the address that the service has in a region.

    Args:
        region: "us-phoenix-1".
        compartment: an OCID, which names the realm.

    Raises:
        PolicyError: the realm's domain is not known.
    """
    realm = realm_of(compartment)
    if realm not in REALM_DOMAINS:
        raise PolicyError(f"oracle: the domain of the realm {quote(realm, 40)} is not known here; write endpoint")
    return f"https://artifacts.{region}.oci.{REALM_DOMAINS[realm]}"
