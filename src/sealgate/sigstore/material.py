"""What comes beside a signature: certificates, log entries and timestamps, as bundles and classic layers carry them.

Bundles are JSON of protobuf-specs (`sigstore_bundle.proto`), versions 0.1 to 0.3; classic layers have annotations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.keys.pem import MAX_PEM_BYTES
from sealgate.parsing.evidence import (
    as_object,
    base64_member,
    decode_base64,
    list_member,
    malformed,
    object_member,
    parse_object,
    text_member,
)
from sealgate.sigstore.log_entries import InclusionProof, LogEntry, check_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Limit for the certificates beside one signature, and for its timestamps.
MAX_CERTIFICATES = 8
MAX_TIMESTAMPS = 4

CERTIFICATE_ANNOTATION = "dev.sigstore.cosign/certificate"
BUNDLE_ANNOTATION = "dev.sigstore.cosign/bundle"
TIMESTAMP_ANNOTATION = "dev.sigstore.cosign/rfc3161timestamp"

_BUNDLE = "the bundle"
_ENTRY = "the log entry"
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_MAX_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Material:
    """What is beside one signature; nothing in it is verified.

    Attributes:
        certificate: the signer's, DER; None if the signature was made with a key. Those of its issuers are left out:
            only the trusted root's count.
        entry: the log entry; None if there is none.
        timestamps: responses of TSAs (RFC 3161), DER.
    """

    certificate: bytes | None = None
    entry: LogEntry | None = None
    timestamps: tuple[bytes, ...] = ()


def read_bundle_material(members: Mapping[str, object], version: str) -> Material:
    """Take the `verificationMaterial` of a bundle apart.

    Args:
        members: the JSON object.
        version: of the bundle, "0.1" to "0.3". Since 0.2 log entries have an inclusion proof; in 0.3 the signer's
            certificate is alone.

    Raises:
        VerificationError: it is malformed.
    """
    entries = list_member(members, "tlogEntries", _BUNDLE) if members.get("tlogEntries") is not None else []
    if len(entries) > 1:
        raise malformed(_BUNDLE, f"it has {len(entries)} log entries, and at most one is possible")
    timestamps = _objects(members, "timestampVerificationData", "rfc3161Timestamps")
    if len(timestamps) > MAX_TIMESTAMPS:
        raise malformed(_BUNDLE, f"it has more than {MAX_TIMESTAMPS} timestamps")
    if "x509CertificateChain" in members and version == "0.3":
        raise malformed(_BUNDLE, "version 0.3 has no certificate chain")
    entry = _read_entry(as_object(entries[0], _ENTRY), version) if entries else None
    return Material(
        _bundle_certificate(members),
        entry,
        tuple(base64_member(item, "signedTimestamp", "a timestamp") for item in timestamps),
    )


def read_classic_material(annotations: Mapping[str, str]) -> Material:
    """Read the annotations of a classic layer.

    Raises:
        VerificationError: they are malformed.
    """
    own = _split_pem(annotations.get(CERTIFICATE_ANNOTATION, ""))
    if len(own) > 1:
        raise malformed("the layer", f"the annotation {CERTIFICATE_ANNOTATION} has {len(own)} certificates")
    entry, stamp = annotations.get(BUNDLE_ANNOTATION), annotations.get(TIMESTAMP_ANNOTATION)
    return Material(
        own[0] if own else None,
        None if entry is None else _read_classic_entry(parse_object(entry.encode(), _ENTRY)),
        () if stamp is None else (_read_classic_timestamp(parse_object(stamp.encode(), "the timestamp")),),
    )


def _bundle_certificate(members: Mapping[str, object]) -> bytes | None:
    if "certificate" in members:
        return base64_member(object_member(members, "certificate", _BUNDLE), "rawBytes", "the certificate")
    found = _objects(members, "x509CertificateChain", "certificates")
    if len(found) > MAX_CERTIFICATES:
        raise malformed(_BUNDLE, f"it has more than {MAX_CERTIFICATES} certificates")
    return base64_member(found[0], "rawBytes", "the certificate") if found else None


def _objects(members: Mapping[str, object], outer: str, inner: str) -> list[Mapping[str, object]]:
    """Return the objects of a list in an optional member; protobuf leaves empty ones out, or writes null."""
    if members.get(outer) is None:
        return []
    parent = object_member(members, outer, _BUNDLE)
    found = list_member(parent, inner, outer) if parent.get(inner) is not None else []
    return [as_object(item, f"a member of {inner}") for item in found]


def _read_entry(members: Mapping[str, object], version: str) -> LogEntry:
    promise = members.get("inclusionPromise")
    proof = members.get("inclusionProof")
    if version == "0.1":
        # There a proof may come without the checkpoint that makes it one; the promise is what counts.
        proof = proof if isinstance(proof, dict) and "checkpoint" in proof else None
    elif proof is None:
        raise malformed(_ENTRY, "its inclusion proof is missing")
    time = _number(members, "integratedTime")
    entry = LogEntry(
        body=base64_member(members, "canonicalizedBody", _ENTRY),
        key_id=base64_member(object_member(members, "logId", _ENTRY), "keyId", _ENTRY),
        log_index=_number(members, "logIndex"),
        integrated_time=time or None,  # protobuf does not tell 0 from absent
        promise=None
        if promise is None
        else base64_member(as_object(promise, _ENTRY), "signedEntryTimestamp", "the promise"),
        proof=None if proof is None else _read_proof(as_object(proof, "the inclusion proof")),
    )
    check_numbers(entry)
    return entry


def _read_proof(members: Mapping[str, object]) -> InclusionProof:
    what = "the inclusion proof"
    hashes = list_member(members, "hashes", what) if members.get("hashes") is not None else []
    if not all(isinstance(item, str) for item in hashes):
        raise malformed(what, "a hash is not a string")
    return InclusionProof(
        index=_number(members, "logIndex"),
        size=_number(members, "treeSize"),
        root=base64_member(members, "rootHash", what),
        hashes=tuple(decode_base64(str(item), "a hash of the inclusion proof") for item in hashes),
        checkpoint=text_member(object_member(members, "checkpoint", what), "envelope", "the checkpoint"),
    )


def _number(members: Mapping[str, object], name: str) -> int:
    """Return an integer of 64 bits, which the JSON of protobuf writes as text and leaves out if it is 0."""
    value = members.get(name, 0)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise malformed(_ENTRY, f"{name} is not a number")


def _read_classic_entry(members: Mapping[str, object]) -> LogEntry:
    payload = object_member(members, "Payload", _ENTRY)
    key_id = text_member(payload, "logID", _ENTRY)
    try:
        raw = bytes.fromhex(key_id)
    except ValueError as error:
        raise malformed(_ENTRY, "logID is not hexadecimal") from error
    entry = LogEntry(
        body=base64_member(payload, "body", _ENTRY),
        key_id=raw,
        log_index=_number(payload, "logIndex"),
        integrated_time=_number(payload, "integratedTime") or None,
        promise=base64_member(members, "SignedEntryTimestamp", _ENTRY),
        proof=None,
    )
    check_numbers(entry)
    return entry


def _read_classic_timestamp(members: Mapping[str, object]) -> bytes:
    return base64_member(members, "SignedRFC3161Timestamp", "the timestamp")


def _split_pem(text: str) -> tuple[bytes, ...]:
    """Return the DER of certificates in PEM, one after another with nothing between them."""
    if len(text) > MAX_PEM_BYTES or text.count(_BEGIN) > MAX_CERTIFICATES:
        raise malformed("the layer", "its annotations have too many certificates")
    found = []
    rest = text.strip()
    while rest:
        block, end, rest = rest.partition(_END)
        if not block.startswith(_BEGIN) or not end:
            raise malformed("the layer", "its annotations have a certificate that is not PEM")
        found.append(decode_base64("".join(block.removeprefix(_BEGIN).split()), "a certificate of the layer"))
        rest = rest.strip()
    return tuple(found)
