"""Ids of decisions, by which users, Events, audit logs and the decision log name the same one.

Every review that is denied, gets a warning, or would be denied if all policies enforced, has one. It is random, so that
replicas need no agreement, and says nothing about the review.
"""

from __future__ import annotations

import base64
import os
import re
from typing import Final

#: Characters of an id.
LENGTH: Final = 17
#: What an id looks like: 80 random bits in the lower-case alphabet of RFC 4648, which has no digits 0, 1, 8 and 9.
PATTERN: Final = re.compile(r"[a-z2-7]{8}-[a-z2-7]{8}")
#: Name of the id in log lines and audit annotations.
FIELD: Final = "decision_id"


def new_decision_id() -> str:
    """Return a new id: `LENGTH` lower-case letters, digits and a hyphen, as `PATTERN`.

    The chance that two of a thousand million ids are the same is below one in a million.
    """
    text = base64.b32encode(os.urandom(10)).decode().lower()
    return f"{text[:8]}-{text[8:]}"
