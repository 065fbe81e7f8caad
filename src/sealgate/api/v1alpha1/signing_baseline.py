"""The object `SigningBaseline`: a part of what was there when a signing policy was made, or changed.

A baseline is a set of entries, one for each tag with the digest that it named. An entry is kept as a short hash: all
that is asked of a baseline is whether an entry is in it. The entries are split over several objects, since etcd takes
1.5 MiB each. Only the signing worker reads and writes them.
"""

from __future__ import annotations

import hashlib
import json

from pydantic import ConfigDict, Field

from sealgate.api.v1alpha1.model import Model
from sealgate.api.v1alpha1.signing_request import UID

#: Bytes of one entry. Colliding entries give an attacker nothing: an image that is in a baseline is not signed.
ENTRY_BYTES = 16
#: The most entries of one object: 512 KiB, 683 KiB in base64.
MAX_ENTRIES = 32768


class SigningBaselineSpec(Model):
    """Some entries of the baseline of one policy."""

    policy_uid: UID = Field(description="metadata.uid of the SigningPolicy.")
    key: str = Field(
        pattern=r"^[0-9a-f]{16,64}$",
        max_length=64,
        description="Hash of what the policy says about images, key and format; with another one this is out of date.",
    )
    number: int = Field(ge=0, le=1023, description="Which part of the baseline this is.")
    entries: str = Field(
        max_length=(MAX_ENTRIES * ENTRY_BYTES + 2) // 3 * 4,
        description="Hashes of 16 bytes each, one after the other, in base64.",
    )

    model_config = ConfigDict(extra="ignore")


def baseline_entry(repository: str, tag: str, digest: str) -> bytes:
    """Return the entry for a tag and what it names.

    Args:
        repository: normalised name (`registry/path`).
        tag: the tag.
        digest: `sha256:<hex>`.
    """
    return hashlib.sha256(json.dumps([repository, tag, digest]).encode()).digest()[:ENTRY_BYTES]
