"""The signed text of simple signing, read exactly as strictly as the tools that write it do, and written as they do.

::

    {"critical": {"type": "atomic container signature",
                  "image": {"docker-manifest-digest": "sha256:4a4a…4a"},
                  "identity": {"docker-reference": "registry.example.org/team/api:1.4"}},
     "optional": {"creator": "atomic 5.23.1", "timestamp": 1788000000}}

Every member of it must be there, and no other; only `optional` may have unknown members.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.interface import MAX_SIGNATURE_BYTES
from sealgate.formats.simple_payload import parse_simple_payload
from sealgate.messages import quote
from sealgate.parsing.evidence import (
    as_object,
    base64_member,
    malformed,
    object_member,
    optional_text,
    parse_object,
    text_member,
)
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.references import Digest

_SCHEMA_VERSION = 2
_TYPE = "atomic"
# Of 32 characters, as the API wants them, or a hash, as OpenShift names what it imports from elsewhere.
_NAME = re.compile(r"(sha256:[0-9a-f]{64})@([^\s@]{32}|[0-9a-f]{64})")


TYPE = "atomic container signature"
_WHAT = "the signed text"
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Payload:
    """What was signed.

    Attributes:
        digest: of the image, as written.
        reference: the name it was signed under, as written.
    """

    digest: str
    reference: str


def build_payload(digest: Digest, reference: str, creator: str, timestamp: int) -> bytes:
    """Return the text to sign, byte for byte as skopeo and atomic write it (containers/image, signature/simple.go).

    Args:
        digest: of the image.
        reference: the name that is signed, normalised.
        creator: the program that signs, and its version.
        timestamp: seconds since 1970.
    """
    critical = {
        "identity": {"docker-reference": reference},
        "image": {"docker-manifest-digest": digest},
        "type": TYPE,
    }
    payload = {"critical": critical, "optional": {"creator": creator, "timestamp": timestamp}}
    return json.dumps(payload, separators=(",", ":")).encode()


def build_entry(digest: Digest, name: str, message: bytes) -> bytes:
    """Return the JSON of one signature as the extension takes it.

    Args:
        digest: of the image.
        name: 32 characters that no other signature of the image has.
        message: the signed message.
    """
    # The server reads one name of the version, its documentation has the other.
    entry = {
        "schemaVersion": _SCHEMA_VERSION,
        "version": _SCHEMA_VERSION,
        "type": _TYPE,
        "name": f"{digest}@{name}",
        "content": b64encode(message).decode(),
    }
    return json.dumps(entry, separators=(",", ":")).encode()


def parse_payload(data: bytes) -> Payload:
    """Take the signed text apart, once its signature is verified.

    Raises:
        VerificationError: it is malformed, has members that must not be ignored, or is a signature of another type.
    """
    simple = parse_simple_payload(data, _WHAT)
    payload = parse_object(data, _WHAT)
    identity = object_member(object_member(payload, "critical", _WHAT), "identity", _WHAT)
    reference = text_member(identity, "docker-reference", _WHAT)
    _check_optional(object_member(payload, "optional", _WHAT))
    if simple.type != TYPE:
        msg = f"it is of the type {quote(simple.type, 80)}, not {TYPE}"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
    return Payload(simple.digest, reference)


def _check_optional(optional: Mapping[str, object]) -> None:
    optional_text(optional, "creator", f"optional of {_WHAT}")
    if "timestamp" in optional and not _is_whole(optional["timestamp"]):
        raise malformed(f"optional of {_WHAT}", "timestamp should be a whole number of 64 bits")


def _is_whole(value: object) -> bool:
    # As tools have it, 1.0 is whole too; True, which Python would take for 1, is not a number.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value == int(value) and int(value) in _INT64


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of the extension's list."""

    value: object
    digest: Digest

    def __call__(self) -> bytes:
        what = "the entry"
        entry = as_object(self.value, what)
        _check_version(entry, what)
        kind = text_member(entry, "type", what)
        if kind != _TYPE:
            raise VerificationError(f"{what} is of the type {quote(kind, 80)}", reason=Reason.TYPE_MISMATCH)
        name = text_member(entry, "name", what)
        match = _NAME.fullmatch(name)
        if match is None:
            raise malformed(what, f"{quote(name, 128)} is not a digest, @ and 32 characters or 64 hex digits")
        if match[1] != self.digest:
            raise VerificationError(f"{what} is about {match[1]}", reason=Reason.DIGEST_MISMATCH)
        content = base64_member(entry, "content", what)
        if len(content) > MAX_SIGNATURE_BYTES:
            raise VerificationError(f"{what} is larger than {MAX_SIGNATURE_BYTES}", reason=Reason.EVIDENCE_TOO_LARGE)
        return content


def _check_version(entry: Mapping[str, object], what: str) -> None:
    # The server writes one name, its documentation the other; both may be there.
    versions = [entry[name] for name in ("schemaVersion", "version") if name in entry]
    if not versions or any(version is True or version != _SCHEMA_VERSION for version in versions):
        raise malformed(what, f"its version is not {_SCHEMA_VERSION}")
