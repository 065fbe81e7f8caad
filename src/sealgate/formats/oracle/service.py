"""Oracle Cloud's list of an image's signatures: asked for with signed requests, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from sealgate.cloud.oracle import OCICredentials, sign_request
from sealgate.errors import PolicyError, VerificationError
from sealgate.formats.listing import Page, require_success
from sealgate.messages import name_record, quote
from sealgate.parsing.strict_json import as_object, base64_member, list_member, malformed, parse_object, text_member
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.formats.interface import Image
    from sealgate.http.interface import Services

#: The most bytes of one page.
MAX_PAGE_BYTES = 4 << 20
#: Records asked for at once.
PAGE_SIZE = 100
#: The most bytes of a message and of a signature; the vault takes messages of 4,096 bytes, or digests of longer ones.
MAX_MESSAGE_BYTES = 1 << 16

_AVAILABLE = "AVAILABLE"
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
class SignatureRecord:
    """One record, nothing of it verified.

    Attributes:
        source: where it is, for people.
        key_id: OCID of the key that it says.
        key_version_id: OCID of the key's version that it says.
        algorithm: the signing algorithm that it says.
        state: its lifecycle state.
        message: the exact bytes that were signed.
        signature: over them.
    """

    source: str
    key_id: str
    key_version_id: str
    algorithm: str
    state: str
    message: bytes
    signature: bytes

    def require_available(self) -> None:
        """Require that the signature was not deleted; deleted ones may be listed for a while.

        Raises:
            VerificationError: it was.
        """
        if self.state != _AVAILABLE:
            msg = f"the signature was deleted: its state is {quote(self.state, 40)}"
            raise VerificationError(msg, reason=Reason.REVOKED)


@dataclass(frozen=True, slots=True)
class SignatureService:
    """The service that keeps signatures, and the compartment to look in.

    Attributes:
        url: without a slash at its end.
        ca: PEM bundle of the service's authorities; None for the system's.
        compartment: its OCID.
        subtree: whether compartments below it are looked into too.
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


def repository_name(image: Image) -> str:
    """Return what the service calls an image's repository: its path without the tenancy's namespace.

    Raises:
        VerificationError: it has no namespace, so it is no repository of this registry.
    """
    _, slash, name = image.reference.repository.path.partition("/")
    if not slash:
        msg = f"{image.reference.name} is not in a tenancy's namespace (REGION.ocir.io/NAMESPACE/REPOSITORY)"
        raise VerificationError(msg, reason=Reason.REPOSITORY_MISMATCH)
    return name


def read_record(record: object, what: str) -> SignatureRecord:
    """Take a record apart.

    Args:
        record: as the list has it.
        what: which one it is, for messages ("record 1").

    Raises:
        VerificationError: it is malformed.
    """
    members = as_object(record, what)
    what = name_record(members.get("id"), what)
    message, signature = base64_member(members, "message", what), base64_member(members, "signature", what)
    if max(len(message), len(signature)) > MAX_MESSAGE_BYTES:
        msg = f"its message or signature is larger than {MAX_MESSAGE_BYTES} bytes"
        raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
    if not message:
        raise malformed(what, "its message is empty")
    return SignatureRecord(
        source=what,
        key_id=text_member(members, "kmsKeyId", what),
        key_version_id=text_member(members, "kmsKeyVersionId", what),
        algorithm=text_member(members, "signingAlgorithm", what),
        state=text_member(members, "lifecycleState", what),
        message=message,
        signature=signature,
    )
