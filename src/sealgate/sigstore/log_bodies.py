"""What a log entry is about, compared with what was signed.

Without this comparison any entry of the log would do for any signature (CVE-2026-22703). An entry names the hash of
what was signed, the signature, and the certificate or key of the signer; each must be equal to what is verified here.
The body that is compared is the one whose hash is in the log, never one that is built anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from sealgate.errors import VerificationError
from sealgate.parsing.evidence import (
    as_object,
    base64_member,
    decode_base64,
    list_member,
    object_member,
    parse_object,
    text_member,
)
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WHAT = "the log entry"
#: What a PEM block falls into at its dashes: nothing, BEGIN, the content, END, the rest.
_PEM_PARTS = 5
# Names of hashes: in the JSON of Rekor v1, and in protobuf-specs.
_HASHES: Mapping[str, str] = {
    "sha256": "sha256",
    "sha384": "sha384",
    "sha512": "sha512",
    "SHA2_256": "sha256",
    "SHA2_384": "sha384",
    "SHA2_512": "sha512",
}


@dataclass(frozen=True, slots=True)
class Signed:
    """One signature, and what it is over.

    Attributes:
        message: the exact bytes that the signature is over.
        signature: decoded.
        verifier: SHA-256 of the signer's certificate, or where there is none of its SubjectPublicKeyInfo, both DER.
        payload: the payload of the DSSE envelope; None where the signature is not in one.
    """

    message: bytes
    signature: bytes
    verifier: bytes
    payload: bytes | None = None


def check_body(body: bytes, signed: Signed) -> None:
    """Accept the body of a log entry.

    Args:
        body: the exact bytes that are in the log, JSON.
        signed: what it must be about.

    Raises:
        VerificationError: it is malformed, of a kind that is not supported, or about something else.
    """
    members = parse_object(body, _WHAT)
    kind = (text_member(members, "kind", _WHAT), text_member(members, "apiVersion", _WHAT))
    check = _KINDS.get(kind)
    if check is None:
        msg = "the log entry is of a kind that image signatures do not have"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
    check(object_member(members, "spec", _WHAT), signed)


def _check_hashedrekord_v1(spec: Mapping[str, object], signed: Signed) -> None:
    digest = object_member(object_member(spec, "data", _WHAT), "hash", _WHAT)
    _require(_hash(digest, signed.message).hex() == text_member(digest, "value", _WHAT), "what was signed")
    signature = object_member(spec, "signature", _WHAT)
    _require(base64_member(signature, "content", _WHAT) == signed.signature, "the signature")
    _require_pem(base64_member(object_member(signature, "publicKey", _WHAT), "content", _WHAT), signed)


def _check_dsse_v1(spec: Mapping[str, object], signed: Signed) -> None:
    digest = object_member(spec, "payloadHash", _WHAT)
    _require(_hash(digest, _payload(signed)).hex() == text_member(digest, "value", _WHAT), "what was signed")
    signature = _only(spec)
    _require(base64_member(signature, "signature", _WHAT) == signed.signature, "the signature")
    _require_pem(base64_member(signature, "verifier", _WHAT), signed)


def _check_intoto_v2(spec: Mapping[str, object], signed: Signed) -> None:
    content = object_member(spec, "content", _WHAT)
    digest = object_member(content, "payloadHash", _WHAT)
    _require(_hash(digest, _payload(signed)).hex() == text_member(digest, "value", _WHAT), "what was signed")
    signature = _only(object_member(content, "envelope", _WHAT))
    # The signature of the envelope, which is base64 already, is encoded once more.
    inner = base64_member(signature, "sig", _WHAT).decode("ascii", "replace")
    _require(decode_base64(inner, f"the signature in {_WHAT}") == signed.signature, "the signature")
    _require_pem(base64_member(signature, "publicKey", _WHAT), signed)


def _check_hashedrekord_v2(spec: Mapping[str, object], signed: Signed) -> None:
    entry = object_member(spec, "hashedRekordV002", _WHAT)
    digest = object_member(entry, "data", _WHAT)
    _require(_hash(digest, signed.message) == base64_member(digest, "digest", _WHAT), "what was signed")
    _check_signature_v2(object_member(entry, "signature", _WHAT), signed)


def _check_dsse_v2(spec: Mapping[str, object], signed: Signed) -> None:
    entry = object_member(spec, "dsseV002", _WHAT)
    digest = object_member(entry, "payloadHash", _WHAT)
    _require(_hash(digest, _payload(signed)) == base64_member(digest, "digest", _WHAT), "what was signed")
    _check_signature_v2(_only(entry), signed)


def _check_signature_v2(signature: Mapping[str, object], signed: Signed) -> None:
    _require(base64_member(signature, "content", _WHAT) == signed.signature, "the signature")
    verifier = object_member(signature, "verifier", _WHAT)
    name = "x509Certificate" if "x509Certificate" in verifier else "publicKey"
    raw = base64_member(object_member(verifier, name, _WHAT), "rawBytes", _WHAT)
    _require(hashlib.sha256(raw).digest() == signed.verifier, "the signer")


_KINDS: Mapping[tuple[str, str], Callable[[Mapping[str, object], Signed], None]] = {
    ("hashedrekord", "0.0.1"): _check_hashedrekord_v1,
    ("dsse", "0.0.1"): _check_dsse_v1,
    ("intoto", "0.0.2"): _check_intoto_v2,
    ("hashedrekord", "0.0.2"): _check_hashedrekord_v2,
    ("dsse", "0.0.2"): _check_dsse_v2,
}


def _only(parent: Mapping[str, object]) -> Mapping[str, object]:
    signatures = list_member(parent, "signatures", _WHAT)
    _require(len(signatures) == 1, "the signature")
    return as_object(signatures[0], _WHAT)


def _payload(signed: Signed) -> bytes:
    return signed.payload if signed.payload is not None else _differs("what was signed")


def _hash(parent: Mapping[str, object], data: bytes) -> bytes:
    name = _HASHES.get(text_member(parent, "algorithm", _WHAT))
    return hashlib.new(name, data).digest() if name is not None else _differs("what was signed")


def _require_pem(pem: bytes, signed: Signed) -> None:
    """Compare the DER inside the one PEM block, which may be of a certificate or of a public key."""
    parts = pem.decode("ascii", "replace").split("-----")
    _require(len(parts) == _PEM_PARTS, "the signer")
    encoded = "".join(parts[2].split())
    raw = decode_base64(encoded, f"the signer in {_WHAT}")
    _require(hashlib.sha256(raw).digest() == signed.verifier, "the signer")


def _require(equal: bool, what: str) -> None:  # noqa: FBT001 - a comparison, which reads as a condition
    if not equal:
        _differs(what)


def _differs(what: str) -> NoReturn:
    msg = f"the log entry belongs to another signature: {what} differs"
    raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE)
