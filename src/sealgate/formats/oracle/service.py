"""Oracle Cloud's list of an image's signatures: asked for with signed requests, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from sealgate.cloud.oracle import OCICredentials, sign_request
from sealgate.errors import PolicyError
from sealgate.formats.listing import Page, require_success
from sealgate.formats.oracle.wire import repository_name
from sealgate.messages import quote
from sealgate.parsing.evidence import list_member, parse_object

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.formats.interface import Image
    from sealgate.http.interface import Services

#: The most bytes of one page.
MAX_PAGE_BYTES = 4 << 20
#: Records asked for at once.
PAGE_SIZE = 100

_PATH = "/20160918/container/imageSignatures"
#: The domain of each realm, which is the second part of every OCID.
_DOMAINS = {
    "oc1": "oraclecloud.com",
    "oc2": "oraclegovcloud.com",
    "oc3": "oraclegovcloud.com",
    "oc4": "oraclegovcloud.uk",
    "oc8": "oraclecloud8.com",
    "oc9": "oraclecloud9.com",
    "oc10": "oraclecloud10.com",
    "oc14": "oraclecloud14.com",
}


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

    def page(
        self, token: str, image: Image, services: Services, credentials: OCICredentials | None, now: datetime
    ) -> Page:
        """Fetch one page of records.

        Args:
            token: of the page; empty for the first.
            image: whose records are asked for.
            services: how.
            credentials: who asks; None for requests that are not signed.
            now: the time that signed requests carry.

        Raises:
            VerificationError: it is too large or malformed.
            UnavailableError: it could not be fetched.
        """
        query = {
            "compartmentId": self.compartment,
            "compartmentIdInSubtree": "true" if self.subtree else "false",
            "repositoryName": repository_name(image),
            "imageDigest": image.digest,
            "limit": str(PAGE_SIZE),
        }
        if token:
            query["page"] = token
        url = f"{self.url}{_PATH}?{urlencode(query)}"
        headers = {"accept": "application/json"}
        if credentials is not None:
            headers = sign_request("GET", url, headers, None, credentials, now)
        response = services.request("GET", url, headers=headers, limit=MAX_PAGE_BYTES, ca=self.ca)
        body = require_success(response, f"listing image signatures at {quote(self.host)}")
        answer = parse_object(body, "the list of signatures", limit=MAX_PAGE_BYTES)
        return Page(list_member(answer, "items", "the list of signatures"), response.headers.get("opc-next-page", ""))


def service_url(region: str, compartment: str) -> str:
    """Return the address that the service has in a region.

    Args:
        region: "us-phoenix-1".
        compartment: an OCID, which names the realm.

    Raises:
        PolicyError: the realm's domain is not known.
    """
    realm = compartment.split(".")[2]
    if realm not in _DOMAINS:
        raise PolicyError(f"oracle: the domain of the realm {quote(realm, 40)} is not known here; write endpoint")
    return f"https://artifacts.{region}.oci.{_DOMAINS[realm]}"
