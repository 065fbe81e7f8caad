r"""The message that Oracle's tool signs, and what must be true of it.

::

    {"description":"Image for UAT","imageDigest":"sha256:4a4a…4a","kmsKeyId":"ocid1.key.oc1.phx.v.k",
     "kmsKeyVersionId":"ocid1.keyversion.oc1.phx.v.kv","metadata":"{\"buildnumber\":\"8447\"}",
     "region":"us-phoenix-1","repositoryName":"project01/acme-web-app","signingAlgorithm":"SHA_256_RSA_PKCS_PSS"}

`metadata` is JSON inside a string. What the record says beside the message is signed too, so both must agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.oracle.wire import repository_name
from sealgate.messages import quote
from sealgate.parsing.evidence import only_members, optional_text, parse_object, text_member
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.formats.interface import Image
    from sealgate.formats.oracle.wire import SignatureRecord

_WHAT = "the signed message"
_MEMBERS = (
    "description",
    "imageDigest",
    "kmsKeyId",
    "kmsKeyVersionId",
    "metadata",
    "region",
    "repositoryName",
    "signingAlgorithm",
)


@dataclass(frozen=True, slots=True)
class Expectations:
    """What signed messages must say beside what the image and the record ask for.

    Attributes:
        region: of the registry.
        description: None for any.
        metadata: members that must be there, each with exactly that text.
        metadata_text: the whole metadata as it must be written; None for any.
    """

    region: str
    description: str | None
    metadata: Mapping[str, str]
    metadata_text: str | None = None

    def require(self, message: bytes, record: SignatureRecord, image: Image) -> None:
        """Require that a message is about that image, agrees with its record, and says what is asked for.

        Args:
            message: the exact bytes that were signed.
            record: which it came in.
            image: what it must be about.

        Raises:
            VerificationError: it is malformed, or says something else.
        """
        said = parse_object(message, _WHAT)
        only_members(said, _MEMBERS, _WHAT)
        _require(said, "imageDigest", image.digest, Reason.DIGEST_MISMATCH)
        _require(said, "repositoryName", repository_name(image), Reason.REPOSITORY_MISMATCH)
        _require(said, "region", self.region, Reason.REPOSITORY_MISMATCH)
        _require(said, "kmsKeyId", record.key_id, Reason.IDENTITY_MISMATCH)
        _require(said, "kmsKeyVersionId", record.key_version_id, Reason.IDENTITY_MISMATCH)
        _require(said, "signingAlgorithm", record.algorithm, Reason.IDENTITY_MISMATCH)
        self._require_description(said)
        self._require_metadata(said)

    def _require_description(self, said: Mapping[str, object]) -> None:
        found = optional_text(said, "description", _WHAT) or ""
        if self.description is not None and found != self.description:
            msg = f"its description is {quote(found, 100)}; the authenticator asks for {quote(self.description, 100)}"
            raise VerificationError(msg, reason=Reason.ANNOTATION_MISMATCH)

    def _require_metadata(self, said: Mapping[str, object]) -> None:
        text = optional_text(said, "metadata", _WHAT) or ""
        if self.metadata_text is not None and text != self.metadata_text:
            msg = f"its metadata is {quote(text, 100)}, not {quote(self.metadata_text, 100)}"
            raise VerificationError(msg, reason=Reason.ANNOTATION_MISMATCH)
        if not self.metadata:
            return
        members = parse_object(text.encode(), f"metadata of {_WHAT}") if text else {}
        for name, wanted in self.metadata.items():
            if members.get(name) != wanted:
                found = f"is {quote(members[name], 100)}" if name in members else "is missing"
                msg = f"{quote(name, 100)} of its metadata {found}; the authenticator asks for {quote(wanted, 100)}"
                raise VerificationError(msg, reason=Reason.ANNOTATION_MISMATCH)


def _require(said: Mapping[str, object], name: str, wanted: str, reason: Reason) -> None:
    found = text_member(said, name, _WHAT)
    if found != wanted:
        msg = f"{name} of {_WHAT} is {quote(found, 160)}, not {quote(wanted, 160)}"
        raise VerificationError(msg, reason=reason)
