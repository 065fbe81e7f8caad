"""What a CA serves about the certificates that it has revoked: an OCSP responder, and a revocation list."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.signers.notation import Authority, PrivateKey
    from tests.support.simulators.http_messages import RecordedRequest

OCSP_PATH, LIST_PATH = "/ocsp", "/root.crl"
DAY = timedelta(days=1)


class RevocationSimulator(HTTPSimulator):
    """A server that answers for one CA.

    Args:
        authority: the CA.
        now: the time.

    Attributes:
        revoked: serial numbers of the certificates that are revoked.
        responder: key and certificate that sign OCSP responses; None for the CA itself.
        begins, ends: validity of what is served; `ends` None for none.
        changes: arguments of `ocsp_response` that differ.
        extensions: further extensions of the list, each with whether it is critical.
    """

    def __init__(self, authority: Authority, now: datetime) -> None:
        self.authority = authority
        self.revoked: set[int] = set()
        self.responder: tuple[PrivateKey, x509.Certificate] | None = None
        self.begins: datetime = now - DAY
        self.ends: datetime | None = now + DAY
        self.changes: dict[str, Any] = {}
        self.extensions: Sequence[tuple[x509.ExtensionType, bool]] = ()
        super().__init__()

    def names(self, *, responder: bool = True, lists: bool = True) -> list[tuple[x509.ExtensionType, bool]]:
        """Return the extensions by which certificates name this server."""
        found: list[tuple[x509.ExtensionType, bool]] = []
        if responder:
            name = x509.UniformResourceIdentifier(self.url + OCSP_PATH)
            access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, name)
            found.append((x509.AuthorityInformationAccess([access]), False))
        if lists:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(self.url + LIST_PATH)], None, None, None)
            found.append((x509.CRLDistributionPoints([point]), False))
        return found

    def respond(self, request: RecordedRequest) -> Answer:
        if request.path == LIST_PATH:
            return Answer(200, {"Content-Type": "application/pkix-crl"}, self.list(Encoding.DER))
        if request.path == OCSP_PATH and request.headers.get("content-type") == "application/ocsp-request":
            asked = ocsp.load_der_ocsp_request(request.body)
            return Answer(200, {"Content-Type": "application/ocsp-response"}, self.ocsp_response(asked.serial_number))
        return Answer(404)

    def list(self, encoding: Encoding = Encoding.PEM) -> bytes:
        """Return the revocation list."""
        assert self.ends is not None
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.authority.certificate.subject)
            .last_update(self.begins)
            .next_update(self.ends)
        )
        for serial in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self.begins)
            builder = builder.add_revoked_certificate(entry.build())
        for extension, critical in self.extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.changes.get("key", self.authority.key), hashes.SHA256()).public_bytes(encoding)

    def ocsp_response(self, serial: int) -> bytes:
        """Return the response about a certificate of the CA."""
        if "status" in self.changes:
            refusal = ocsp.OCSPResponseBuilder.build_unsuccessful(self.changes["status"])
            return refusal.public_bytes(Encoding.DER)
        revoked = serial in self.revoked
        issuer = self.changes.get("issuer", self.authority.certificate)
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=_digest(issuer.subject.public_bytes()),
            issuer_key_hash=x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest,
            serial_number=self.changes.get("serial", serial),
            algorithm=hashes.SHA1(),  # noqa: S303 - only names the issuer
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else self.changes.get("good", ocsp.OCSPCertStatus.GOOD),
            this_update=self.begins,
            next_update=self.ends,
            revocation_time=self.begins if revoked else None,
            revocation_reason=None,
        )
        key, signer = self.responder or (self.authority.key, self.authority.certificate)
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer)
        if self.responder is not None:
            builder = builder.certificates([signer])
        made = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        return made if "forged" not in self.changes else made[:-1] + bytes([made[-1] ^ 1])


def _digest(data: bytes) -> bytes:
    hashed = hashes.Hash(hashes.SHA1())  # noqa: S303 - only names the issuer
    hashed.update(data)
    return hashed.finalize()
