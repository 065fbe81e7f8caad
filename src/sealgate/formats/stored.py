"""Signatures as they are stored: what a format's own search reads, with its judgement, for people to look through.

A listing reads through the same code as verification and does not end at the first signature that counts. Nothing in a
`StoredSignature` is trusted except through `judged`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.findings import SeenSignature
    from sealgate.formats.deleting import Removal


@dataclass(frozen=True, slots=True)
class StoredSignature:
    """One signature that is stored for an image, or a source that could not be read as one.

    Attributes:
        source: where the search found it, as findings have it ("tag sha256-4a4a….sig, layer 1").
        judged: whether an authenticator accepts it and why not, or why it could not be read; None if it was read and
            no authenticator judged it.
        location: name under which the store has it ("registry.example.org/app:sha256-4a4a….sig"); empty if not known.
        digest: digest of what is stored (`sha256:<hex>`); empty where the store has none.
        size: bytes of what is stored; None where not known.
        key: the key as the signature itself states it (fingerprint, key ID, OCID); empty if it states none.
        key_version: version of the key in its KMS; empty where keys have none, or it is not known.
        algorithm: algorithm of the signature; empty where it is not known.
        time: when it was made, as stated (RFC 3339); empty if that is not stated.
        description: as stated; empty if there is none.
        metadata: annotations or metadata as stated.
        warnings: what will soon keep it from counting, each a sentence for a person.
        content: the bytes that were fetched; empty if they could not be.
        signature: the signature, decoded; empty where `content` has it.
        removal: how it is deleted; None for what was not read as a signature of this image.
        part: which of the signatures it is that `removal` removes together; empty where that is one.
        attests: type of the predicate, as stated, of an attestation; empty for a signature of the image.
    """

    source: str
    judged: SeenSignature | None
    location: str = ""
    digest: str = ""
    size: int | None = None
    key: str = ""
    key_version: str = ""
    algorithm: str = ""
    time: str = ""
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    content: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)
    removal: Removal | None = None
    part: str = ""
    attests: str = ""


def as_texts(members: Mapping[str, object]) -> Mapping[str, str]:
    """Return JSON members as texts: strings as they are, other values as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in members.items()}
