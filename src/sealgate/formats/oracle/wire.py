"""Signature records and the messages they sign, as Oracle's service stores them: parsed, and built."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import InvalidInputError, VerificationError
from sealgate.messages import name_record, quote
from sealgate.parsing import strict_json
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
#: The state of a signature, or an image, that was not deleted.
AVAILABLE = "AVAILABLE"
#: The most characters of a description, which is as many as an authenticator can ask for.
MAX_DESCRIPTION = 1024
# JSON without white space and escapes, whose names and values are alphanumeric.
_METADATA = re.compile(r'[A-Za-z0-9{}\[\]":,]*')


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
        created: when the service stored it, as it says (RFC 3339); empty if it does not say.
        ocid: its OCID; empty if it has none.
    """

    source: str
    key_id: str
    key_version_id: str
    algorithm: str
    state: str
    message: bytes
    signature: bytes
    created: str = ""
    ocid: str = ""

    def require_available(self) -> None:
        """Require that the signature was not deleted; deleted ones may be listed for a while.

        Raises:
            VerificationError: it was.
        """
        if self.state != AVAILABLE:
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
    created, ocid = members.get("timeCreated"), members.get("id")
    return SignatureRecord(
        source=what,
        key_id=text_member(members, "kmsKeyId", what),
        key_version_id=text_member(members, "kmsKeyVersionId", what),
        algorithm=text_member(members, "signingAlgorithm", what),
        state=text_member(members, "lifecycleState", what),
        message=message,
        signature=signature,
        created=created if isinstance(created, str) else "",
        ocid=ocid if isinstance(ocid, str) else "",
    )


@dataclass(frozen=True, slots=True)
class SignedText:
    """What a signature says beside the image.

    Attributes:
        region: of the registry ("us-phoenix-1").
        key_id: OCID of the key.
        key_version_id: OCID of the key's version.
        algorithm: Oracle's name of the signing algorithm, one of `ALGORITHMS`.
        description: of the image, as the console shows it; empty for none.
        metadata: JSON text about the image; empty for none.
    """

    region: str
    key_id: str
    key_version_id: str
    algorithm: str
    description: str = ""
    metadata: str = ""

    def message(self, image: Image) -> bytes:
        """Return what is signed, byte for byte as Oracle's tool writes it.

        Raises:
            VerificationError: the image is not in this registry.
        """
        members = {
            "description": self.description,
            "imageDigest": image.digest,
            "kmsKeyId": self.key_id,
            "kmsKeyVersionId": self.key_version_id,
            "metadata": self.metadata,
            "region": self.region,
            "repositoryName": repository_name(image),
            "signingAlgorithm": self.algorithm,
        }
        return json.dumps(members, separators=(",", ":")).encode()

    def record(self, compartment: str, image_id: str, message: bytes, signature: bytes) -> dict[str, str]:
        """Return a record as it is uploaded.

        Args:
            compartment: OCID of the repository's compartment.
            image_id: OCID of the image.
            message: the exact bytes that were signed.
            signature: over them.
        """
        return {
            "compartmentId": compartment,
            "imageId": image_id,
            "kmsKeyId": self.key_id,
            "kmsKeyVersionId": self.key_version_id,
            "message": b64encode(message).decode(),
            "signature": b64encode(signature).decode(),
            "signingAlgorithm": self.algorithm,
        }


def require_description(text: str) -> None:
    """Require a description that an authenticator can ask for.

    Raises:
        InvalidInputError: it is too long.
    """
    if len(text) > MAX_DESCRIPTION:
        raise InvalidInputError(f"the description has {len(text)} characters; write {MAX_DESCRIPTION} at most")


def require_metadata(text: str) -> None:
    """Require metadata as Oracle documents it: JSON, alphanumeric, without white space and escape characters.

    Source: Oracle Cloud, "Signing Images for Security", `--metadata`.

    Args:
        text: the metadata; empty for none.

    Raises:
        InvalidInputError: it is something else.
    """
    if not text:
        return
    example = """write such as {"buildnumber":"8447"}"""
    if _METADATA.fullmatch(text) is None:
        msg = f"the metadata {quote(text, 80)} must be alphanumeric, without white space and escapes; {example}"
        raise InvalidInputError(msg)
    try:
        strict_json.parse_object(text.encode(), "the metadata")
    except strict_json.MalformedError as error:
        raise InvalidInputError(f"{error}; {example}") from error
