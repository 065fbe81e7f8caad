"""Ids of decisions, by which users, Events, audit logs and the decision log name the same one.

Every review that is denied, gets a warning, or would be denied if all policies enforced, has one. It is random, so that
replicas need no agreement, and says nothing about the review. The id of a result in a report is derived from what it is
about instead, so that it stays the same while the result does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from typing import Final

#: Characters of an id.
LENGTH: Final = 17
#: What an id looks like: 80 random bits in the lower-case alphabet of RFC 4648, which has no digits 0, 1, 8 and 9.
PATTERN: Final = re.compile(r"[a-z2-7]{8}-[a-z2-7]{8}")
#: Name of the id in log lines and audit annotations.
FIELD: Final = "decision_id"
#: Version of the decision log's schema, `docs/decision-log.schema.json`.
LOG_VERSION: Final = 1


def new_decision_id() -> str:
    """Return a new id: `LENGTH` lower-case letters, digits and a hyphen, as `PATTERN`.

    The chance that two of a thousand million ids are the same is below one in a million.
    """
    return _write(os.urandom(10))


def derive_decision_id(*parts: str) -> str:
    """Return the id of a decision that is made again and again: the same for the same parts, of any length."""
    return _write(hashlib.sha256(json.dumps(parts).encode()).digest()[:10])


def _write(value: bytes) -> str:
    text = base64.b32encode(value).decode().lower()
    return f"{text[:8]}-{text[8:]}"
