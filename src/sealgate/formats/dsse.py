"""DSSE envelopes: a payload, its type, and signatures over both together.

What is signed is not the payload but its pre-authentication encoding (PAE), which binds the type: a payload signed
as one type cannot be shown as another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.parsing.strict_json import as_object, base64_member, list_member, malformed, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_TOTO = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope; nothing in it is verified.

    Attributes:
        payload_type: as written.
        payload: decoded bytes.
        signatures: decoded, in order, at least one.
    """

    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]

    @property
    def signed(self) -> bytes:
        """The exact bytes that each signature is over."""
        return pre_authentication_encoding(self.payload_type, self.payload)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return what a DSSE signature is made over: `DSSEv1 len(type) type len(payload) payload`, lengths in bytes.

    >>> pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    name = payload_type.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def parse_envelope(members: Mapping[str, object], what: str) -> Envelope:
    """Take an envelope apart. Key ids in it are not looked at: they name no key that the policy did not.

    Args:
        members: the JSON object.
        what: what they belong to, for messages ("the bundle").

    Raises:
        VerificationError: it is malformed, or has no signature.
    """
    signatures = tuple(
        base64_member(as_object(item, f"a signature of {what}"), "sig", what)
        for item in list_member(members, "signatures", what)
    )
    if not signatures:
        raise malformed(what, "its envelope has no signature")
    return Envelope(text_member(members, "payloadType", what), base64_member(members, "payload", what), signatures)
