"""Attestation occurrences as Grafeas serves them, of both API versions: parsed, and built."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.interface import MAX_SIGNATURE_BYTES
from sealgate.messages import name_record, quote
from sealgate.parsing.evidence import as_object, decode_base64, malformed
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sealgate.formats.interface import Image

#: kritis writes this type and ignores it; it separates attestations from other uses of a key.
TYPE = "atomic container signature"


_KIND = "ATTESTATION"
#: Content types of v1beta1 that mean the payload that is checked here; the first is what is not written at all.
_CONTENT_TYPES = ("CONTENT_TYPE_UNSPECIFIED", "SIMPLE_SIGNING_JSON")


@dataclass(frozen=True, slots=True)
class AttestedSignature:
    """One signature of an occurrence, as it is stored; of one that was read, nothing is verified.

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
    """One signature of an occurrence, not parsed yet.

    Attributes:
        source: where it is, for people.
        read: returns the signature; raises `VerificationError` where it is malformed, which its neighbours may not be.
    """

    source: str
    read: Callable[[], AttestedSignature]


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


def created_at(record: object) -> str:
    """Return when an occurrence was stored, as it says (RFC 3339); empty if it does not say."""
    if not isinstance(record, dict):
        return ""
    found = record.get("createTime", record.get("create_time"))
    return found if isinstance(found, str) else ""


def write_payload(image: Image) -> bytes:
    """Return what is signed to attest an image: its repository, without tag, and its digest, as kritis writes them."""
    critical = {
        "identity": {"docker-reference": image.reference.name},
        "image": {"docker-manifest-digest": image.digest},
        "type": TYPE,
    }
    return json.dumps({"critical": critical}, separators=(",", ":")).encode()


def detached_signature(key_id: str, signature: bytes, payload: bytes) -> AttestedSignature:
    """Return a signature that is stored beside what it signs.

    Args:
        key_id: the id under which verifiers know the key.
        signature: as it was made.
        payload: the exact bytes that were signed.
    """
    return AttestedSignature(key_id, False, b64encode(signature).decode(), b64encode(payload).decode())


def attached_signature(key_id: str, message: str) -> AttestedSignature:
    """Return a signature that is an OpenPGP message with what it signs.

    Args:
        key_id: the id under which verifiers know the key.
        message: armored.
    """
    return AttestedSignature(key_id, True, message, "")


def write_occurrence(api_version: str, note: str, uri: str, signature: AttestedSignature) -> dict[str, object]:
    """Return an occurrence with one signature, as it is sent to a server.

    Args:
        api_version: "v1" or "v1beta1".
        note: `projects/<project>/notes/<note>`.
        uri: of the image; see `resource_uri`.
        signature: what attests the image.
    """
    common: dict[str, object] = {"noteName": note, "kind": _KIND}
    if api_version == "v1":
        return {**common, "resourceUri": uri, "attestation": _write_attestation(signature)}
    attestation = {"attestation": _write_attestation_v1beta1(signature)}
    return {**common, "resource": {"uri": uri}, "attestation": attestation}


def _write_attestation(signature: AttestedSignature) -> dict[str, object]:
    # In v1 the signature is bytes, so that an OpenPGP message is base64 of its armored text.
    content = b64encode(signature.content.encode()).decode() if signature.attached else signature.content
    payload = {} if signature.attached else {"serializedPayload": signature.serialized}
    return {**payload, "signatures": [{"signature": content, "publicKeyId": signature.key_id}]}


def _write_attestation_v1beta1(signature: AttestedSignature) -> dict[str, object]:
    content_type = {"contentType": _CONTENT_TYPES[1]}
    if signature.attached:
        message = {**content_type, "pgpKeyId": signature.key_id, "signature": signature.content}
        return {"pgpSignedAttestation": message}
    return {"genericSignedAttestation": {**content_type, **_write_attestation(signature)}}


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
        name = f"{source}, signature {number}"
        yield Entry(name, partial(_read_signature, item, name, serialized))


def _read_signature(item: object, name: str, serialized: str) -> AttestedSignature:
    entry = as_object(item, name)
    return AttestedSignature(_text(entry, "publicKeyId", name), False, _text(entry, "signature", name), serialized)


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
