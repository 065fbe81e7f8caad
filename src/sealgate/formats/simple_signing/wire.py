"""The signed text of simple signing, read exactly as strictly as the tools that write it do.

::

    {"critical": {"type": "atomic container signature",
                  "image": {"docker-manifest-digest": "sha256:4a4a…4a"},
                  "identity": {"docker-reference": "registry.example.org/team/api:1.4"}},
     "optional": {"creator": "atomic 5.23.1", "timestamp": 1788000000}}

Every member of it must be there, and no other; only `optional` may hold what nobody here knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.simple_payload import parse_simple_payload
from sealgate.messages import quote
from sealgate.parsing.strict_json import malformed, object_member, optional_text, parse_object, text_member
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

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
