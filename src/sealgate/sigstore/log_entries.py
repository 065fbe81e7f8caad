"""Entries of a transparency log (Rekor v1 and v2): proof that the log has them, and since when.

A log proves an entry in two ways. Its promise (Rekor v1's signed entry timestamp, SET) is a signature over the entry
and the time at which it came in. Its inclusion proof (RFC 6962, 2.1.1) leads to the root of a tree, which a checkpoint,
a signed note, signs. Rekor v2 has no promise and no time of its own. Every proof that is there must hold.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.messages import quote
from sealgate.parsing.evidence import decode_base64, malformed
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.sigstore.trusted_root import LogKey

#: Limit for the hashes of an inclusion proof: a tree of 2^63 entries has no more.
MAX_HASHES = 64
#: Limit for a checkpoint in characters.
MAX_CHECKPOINT = 8192
_MAX_NOTE_SIGNATURES = 16
_HASH_BYTES = 32
_KEY_HASH_BYTES = 4
_MAX_TIME = 2**40


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """The proof that a tree has an entry.

    Attributes:
        index: position of the entry in the tree, 0 for the first.
        size: number of entries of the tree.
        root: hash of the tree.
        hashes: the hashes beside the path from the entry to the root, lowest first.
        checkpoint: the signed note about the tree.
    """

    index: int
    size: int
    root: bytes
    hashes: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A log entry as it is beside a signature; nothing in it is verified.

    Attributes:
        body: the exact bytes that the log has.
        key_id: ID of the log.
        log_index: position that the log states.
        integrated_time: when it came in, in seconds since 1970; None if it states no time.
        promise: the log's signature over all of the above; None if there is none.
        proof: the inclusion proof; None if there is none.
    """

    body: bytes
    key_id: bytes
    log_index: int
    integrated_time: int | None
    promise: bytes | None
    proof: InclusionProof | None


def prove(entry: LogEntry, logs: Sequence[LogKey], times: Sequence[datetime]) -> datetime | None:
    """Verify every proof that an entry comes with, at least one.

    Args:
        entry: the entry.
        logs: the trusted logs.
        times: when else it is proven to have been made; the log's key must be in its period at each of them.

    Returns:
        When it came in, as the log has signed; None where the log signs no time.

    Raises:
        VerificationError: a proof does not hold, there is none, or no trusted log made it, or not in its period.
    """
    refusal: VerificationError | None = None
    # A log keeps its ID with a new period, and an ID may be given twice; each is tried by itself.
    for log in logs:
        if log.key_id != entry.key_id:
            continue
        try:
            return _prove(entry, log, times)
        except VerificationError as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal
    msg = f"its log entry is in the log {b64encode(entry.key_id).decode()}, which the trusted root does not have"
    raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)


def _prove(entry: LogEntry, log: LogKey, times: Sequence[datetime]) -> datetime | None:
    if entry.promise is None and entry.proof is None:
        raise _unproven(log, "it comes with no proof")
    time = None
    if entry.promise is not None:
        time = _check_promise(entry, entry.promise, log)
    if entry.proof is not None:
        _check_checkpoint(entry.proof, log)
        _check_inclusion(entry.body, entry.proof, log)
    for at in (*times, *(() if time is None else (time,))):
        log.period.check(at, f"the key of {log.name}")
    return time


def _check_promise(entry: LogEntry, promise: bytes, log: LogKey) -> datetime:
    if entry.integrated_time is None:
        raise _unproven(log, "it has a promise without a time")
    # RFC 8785: members in this order, no white space; the values need no escapes.
    signed = json.dumps(
        {
            "body": b64encode(entry.body).decode("ascii"),
            "integratedTime": entry.integrated_time,
            "logID": entry.key_id.hex(),
            "logIndex": entry.log_index,
        },
        separators=(",", ":"),
    )
    try:
        log.key.verify(promise, signed.encode())
    except VerificationError as error:
        raise _unproven(log, "its promise (SET) was not made by the log, or for another entry or time") from error
    return datetime.fromtimestamp(entry.integrated_time, UTC)


def _check_checkpoint(proof: InclusionProof, log: LogKey) -> None:
    """Verify that the log signed the checkpoint, and that the proof is about it (C2SP signed-note, tlog-checkpoint)."""
    if len(proof.checkpoint) > MAX_CHECKPOINT:
        raise _unproven(log, f"its checkpoint has more than {MAX_CHECKPOINT} characters")
    text, separator, signatures = proof.checkpoint.rpartition("\n\n")
    lines = text.split("\n")
    if not separator or len(lines) < 3 or not signatures.endswith("\n"):  # noqa: PLR2004 - origin, size, hash
        raise _unproven(log, "its checkpoint is malformed")
    _check_note(f"{text}\n".encode(), signatures, lines[0], log)
    if lines[1] != str(proof.size) or lines[2] != b64encode(proof.root).decode("ascii"):
        raise _unproven(log, "its inclusion proof is about another tree than its checkpoint")


def _check_note(text: bytes, signatures: str, origin: str, log: LogKey) -> None:
    # Others (witnesses, mirrors) may sign too; only the log's own signature counts.
    for line in signatures.split("\n")[:_MAX_NOTE_SIGNATURES]:
        mark, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if mark != "\u2014" or not _is_of(origin, name, log):
            continue
        raw = decode_base64(encoded, "a signature of the checkpoint")
        if raw[:_KEY_HASH_BYTES] != log.key_id[:_KEY_HASH_BYTES]:
            continue
        try:
            log.key.verify(raw[_KEY_HASH_BYTES:], text)
        except VerificationError as error:
            raise _unproven(log, "its checkpoint was not signed by the log, or was changed") from error
        return
    raise _unproven(log, "its checkpoint has no signature by the log")


def _is_of(origin: str, name: str, log: LogKey) -> bool:
    """Return whether a checkpoint is of the log: "HOST" (Rekor v2), or "HOST - TREE" (Rekor v1, any host name)."""
    host, dash, tree = origin.partition(" - ")
    return host == name and (host == log.host if not dash else tree.isdigit())


def _check_inclusion(body: bytes, proof: InclusionProof, log: LogKey) -> None:
    """Follow the path from the entry to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= proof.index < proof.size or len(proof.hashes) > MAX_HASHES:
        raise _unproven(log, "its inclusion proof is impossible")
    node, last = proof.index, proof.size - 1
    value = hashlib.sha256(b"\x00" + body).digest()
    for beside in proof.hashes:
        if last == 0:
            raise _unproven(log, "its inclusion proof is too long")
        if node & 1 or node == last:
            value = hashlib.sha256(b"\x01" + beside + value).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            value = hashlib.sha256(b"\x01" + value + beside).digest()
        node, last = node >> 1, last >> 1
    if last != 0 or value != proof.root:
        raise _unproven(log, "its inclusion proof does not lead to the tree")


def _unproven(log: LogKey, why: str) -> VerificationError:
    msg = f"its log entry does not prove to be in {log.name}: {why}"
    return VerificationError(msg, reason=Reason.INVALID_SIGNATURE)


def check_numbers(entry: LogEntry) -> None:
    """Refuse numbers that no log has, and hashes of another length.

    Raises:
        VerificationError: there is one.
    """
    if entry.integrated_time is not None and not 0 < entry.integrated_time < _MAX_TIME:
        raise malformed("the log entry", f"its time is {quote(entry.integrated_time, 40)}")
    proof = entry.proof
    if proof is not None and any(len(value) != _HASH_BYTES for value in (proof.root, *proof.hashes)):
        raise malformed("the log entry", "a hash of its inclusion proof does not have 32 bytes")
