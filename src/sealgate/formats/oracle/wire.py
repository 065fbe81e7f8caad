"""Signature records and the messages they sign, as Oracle's service stores them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.messages import name_record, quote
from sealgate.parsing.evidence import as_object, base64_member, malformed, text_member
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from sealgate.formats.interface import Image

#: What Oracle calls the algorithms of image signatures, and what policies call them.
ALGORITHMS = {
    "SHA_224_RSA_PKCS_PSS": "RSA_PSS_SHA_224",
    "SHA_256_RSA_PKCS_PSS": "RSA_PSS_SHA_256",
    "SHA_384_RSA_PKCS_PSS": "RSA_PSS_SHA_384",
    "SHA_512_RSA_PKCS_PSS": "RSA_PSS_SHA_512",
}


#: The most bytes of a message and of a signature; the vault takes messages of 4,096 bytes, or digests of longer ones.
MAX_MESSAGE_BYTES = 1 << 16
_AVAILABLE = "AVAILABLE"


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
