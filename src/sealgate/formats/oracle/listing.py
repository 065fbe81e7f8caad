"""Listing an image's signatures in Oracle's service, read by the check that verifies them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.oracle.deleting import RecordRemoval
from sealgate.formats.oracle.wire import ALGORITHMS
from sealgate.formats.stored import StoredSignature, as_texts
from sealgate.parsing.evidence import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.findings import SeenSignature
    from sealgate.formats.interface import Image, Sources
    from sealgate.formats.oracle.verify import OracleCheck
    from sealgate.formats.oracle.wire import SignatureRecord


def list_signatures(check: OracleCheck, image: Image, sources: Sources) -> tuple[StoredSignature, ...]:
    """Return the stored signatures of an image, each judged by an authenticator.

    What could not be read is returned too, with the reason.

    Args:
        check: the authenticator.
        image: the image.
        sources: where signatures are.

    Raises:
        VerificationError: the image cannot be in this registry.
        UnavailableError: the credentials are not there.
    """
    found: dict[str, SignatureRecord] = {}
    seen = check.see(image, sources, found)
    return tuple(_stored(each, found.get(each.source), check, image) for each in seen)


def _stored(seen: SeenSignature, record: SignatureRecord | None, check: OracleCheck, image: Image) -> StoredSignature:
    if record is None:
        return StoredSignature(seen.source, seen)
    said = _message(record)
    return StoredSignature(
        seen.source,
        seen,
        location=f"{check.service.host}: {record.source}",
        key=record.key_id,
        key_version=record.key_version_id,
        algorithm=ALGORITHMS.get(record.algorithm, record.algorithm),
        time=record.created,
        description=_text(said, "description"),
        metadata=_metadata(_text(said, "metadata")),
        content=record.message,
        signature=record.signature,
        removal=RecordRemoval.of(check, record, said, image),
    )


def _message(record: SignatureRecord) -> Mapping[str, object]:
    try:
        return parse_object(record.message, "the signed message")
    except VerificationError:
        return {}  # the check says what is wrong


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _metadata(text: str) -> Mapping[str, str]:
    """Return the members of the metadata; of text that is not a JSON object, the text itself."""
    if not text:
        return {}
    try:
        return as_texts(parse_object(text.encode(), "the metadata"))
    except VerificationError:
        return {"metadata": text}
