"""Findings as few bytes: there are many of them, and most differ in nothing but the digests that they name.

A finding is written as JSON and compressed with a dictionary of what such findings say: the words of the formats, and
the names that the reader of the entry knows anyway. Unpacking is exact.
"""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Final

from sealgate.findings import Finding, Outcome, SeenSignature
from sealgate.reasons import Reason

#: Part of every dictionary; what is most frequent stands last.
_WORDS: Final = (
    b'"simpleSigning" "notary" "grafeas" "oracle" "refused" "NoSignature" "no signature is stored for ; sign it, or '
    b'copy its signature there" "KeyMismatch" layer 1","Verified","verified","sha256:'
    b'["cosign","verified","Verified","signed by sha256:",["sha256:"],'
    b'[["tag sha256-.sig, layer 1","Verified","verified",'
)
#: The window holds the dictionary and a typical finding; smaller ones need less memory while they work.
_WINDOW_BITS: Final = -12
#: Made once: `json.dumps` would make one for each finding.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
#: Ends are whole numbers of these: exact, and shorter than a date as text.
_TICK: Final = timedelta(microseconds=1)


def pack(finding: Finding, *known: str) -> bytes:
    """Return a finding as bytes.

    Args:
        finding: the finding.
        known: text that the finding may repeat and that `unpack` will be given too, such as the digest of the subject.
    """
    signatures = [[each.source, each.reason, each.message, each.fingerprint] for each in finding.signatures]
    document: list[object] = [
        finding.format,
        finding.outcome,
        finding.reason,
        finding.message,
        finding.fingerprints,
        signatures,
        finding.authenticator,
    ]
    if finding.valid_until is not None:  # most have no end, and there are many of them
        document.append((finding.valid_until - _EPOCH) // _TICK)
    data = _ENCODER.encode(document).encode("utf-8", "surrogatepass")
    packer = zlib.compressobj(wbits=_WINDOW_BITS, memLevel=5, zdict=_dictionary(known))
    return packer.compress(data) + packer.flush()


def unpack(packed: bytes, *known: str) -> Finding:
    """Return the finding that `pack` was given, with the same text."""
    data = zlib.decompressobj(wbits=_WINDOW_BITS, zdict=_dictionary(known)).decompress(packed)
    form, outcome, reason, message, fingerprints, signatures, authenticator, *ends = json.loads(
        data.decode("utf-8", "surrogatepass")
    )
    seen = tuple(
        SeenSignature(source, Reason(why), message, fingerprint) for source, why, message, fingerprint in signatures
    )
    valid_until = _EPOCH + ends[0] * _TICK if ends else None
    return Finding(
        authenticator, form, Outcome(outcome), Reason(reason), message, tuple(fingerprints), seen, valid_until
    )


def _dictionary(known: tuple[str, ...]) -> bytes:
    return b"".join((*map(str.encode, known), _WORDS))
