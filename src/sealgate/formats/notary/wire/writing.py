"""Metadata files written, to the byte as Notary's own programs write them.

A notary server parses what is posted and writes it again in Go's form. It hashes *that* for the snapshot and timestamp
that it signs, but stores and serves the posted bytes. A file that differs in one byte from Go's form is accepted and
then never found again. So files are built here from known members, in one form, and never edited as text.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from datetime import UTC
from typing import TYPE_CHECKING, Any

from sealgate.formats.notary.wire.canonical import canonical_json
from sealgate.formats.notary.wire.metadata import ROOT, SNAPSHOT, TARGETS, is_delegation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sealgate.formats.notary.wire.metadata import Signature
    from sealgate.references import Digest

#: The `signed` member of a file, being built.
Members = dict[str, Any]

# Go escapes these in JSON text, so that it can be embedded in HTML and JavaScript.
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPES = str.maketrans(_ESCAPED)
# What the server would drop when it writes a file again must not be in it.
_MEMBERS = {
    ROOT: ("consistent_snapshot", "keys", "roles"),
    TARGETS: ("targets", "delegations"),
    SNAPSHOT: ("meta",),
}
_TYPES = {ROOT: "Root", TARGETS: "Targets", SNAPSHOT: "Snapshot"}


def empty_targets() -> Members:
    """Return the members of a file of targets that names nothing."""
    return {"targets": {}, "delegations": {"keys": {}, "roles": []}}


def complete(role: str, members: Mapping[str, Any], version: int, expires: datetime) -> Members:
    """Return the `signed` member of a new file.

    Args:
        role: the role whose file it is; not `timestamp`, which only servers write.
        members: the role's own members; others are left out.
        version: 1 or more.
        expires: when the file ends, timezone-aware; fractions of a second are cut off.
    """
    kind = TARGETS if is_delegation(role) else role
    own = {name: members[name] for name in _MEMBERS[kind] if name in members}
    if kind == TARGETS:
        own = {**empty_targets(), **own}
    return {**own, "_type": _TYPES[kind], "version": version, "expires": moment_text(expires)}


def file_bytes(message: bytes, signatures: Sequence[Signature]) -> bytes:
    """Return a file as it is posted.

    Args:
        message: its `signed` member in canonical form.
        signatures: over that.
    """
    listed = [
        {"keyid": signature.key_id, "method": signature.method, "sig": b64encode(signature.value).decode()}
        for signature in signatures
    ]
    signed = message.decode().translate(_ESCAPES)
    return f'{{"signed":{signed},"signatures":{json.dumps(listed, separators=(",", ":"))}}}'.encode()


def message_of(members: Mapping[str, Any], what: str) -> bytes:
    """Return the canonical form of a `signed` member, which signatures are over.

    Raises:
        VerificationError: a number in it has no canonical form.
    """
    return canonical_json(dict(members), what)


def moment_text(when: datetime) -> str:
    """Return a time in the one spelling that survives being read and written by Go."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def file_entry(data: bytes) -> Members:
    """Return the entry of a file in a snapshot."""
    hashes = {name: b64encode(hashlib.new(name, data).digest()).decode() for name in ("sha256", "sha512")}
    return {"hashes": hashes, "length": len(data)}


def target_entry(digest: Digest, size: int) -> Members:
    """Return the entry of a tag, as docker writes it.

    Args:
        digest: of the image's manifest.
        size: bytes of the manifest.
    """
    sha256 = b64encode(bytes.fromhex(digest.removeprefix("sha256:"))).decode()
    return {"hashes": {"sha256": sha256}, "length": size}
