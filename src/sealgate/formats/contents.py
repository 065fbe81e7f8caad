"""The hash that tells two checks apart, the same for every format; see `sealgate.formats.interface.Check.content`."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def hash_content(document: Mapping[str, Any]) -> str:
    """Return the hash (hex) of everything that decides a check's outcome.

    Args:
        document: the format, the version of its rules, the keys and every option, as JSON has them.
    """
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
