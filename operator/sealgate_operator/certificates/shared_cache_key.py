"""The key that seals the shared cache: made once, and rotated while both keys are accepted.

A rotation is one write: the current key becomes the previous one. The webhook's replicas read the Secret again within
about a minute; until then they miss some of each other's values. The previous key is removed when nothing that it has
sealed can be valid any more.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

from sealgate.clocks import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Members of the Secret; the first two are the files that the webhook reads.
CURRENT, PREVIOUS, MADE_AT = "current", "previous", "made-at"
KEY_BYTES: Final = 32
LIFETIME: Final = timedelta(days=30)
#: How long the previous key is kept: longer than a finding is cached and a volume takes to be updated.
OVERLAP: Final = timedelta(hours=2)


def next_key_data(data: Mapping[str, bytes], now: datetime) -> dict[str, bytes | None] | None:
    """Return what to change in the Secret: None removes a member. None if it is good as it is.

    Args:
        data: of the Secret, decoded.
        now: the time.
    """
    current, made_at = data.get(CURRENT, b""), _read_time(data.get(MADE_AT, b""))
    fresh = {CURRENT: token_bytes(KEY_BYTES), MADE_AT: timestamp(now).encode()}
    if len(current) < KEY_BYTES:
        return {**fresh, PREVIOUS: None} if PREVIOUS in data else dict(fresh)
    # A time in the future is one of a wrong clock: the key would never be rotated.
    if made_at is None or made_at > now + timedelta(hours=1) or now - made_at >= LIFETIME:
        return {**fresh, PREVIOUS: current}
    return {PREVIOUS: None} if PREVIOUS in data and now - made_at >= OVERLAP else None


def _read_time(text: bytes) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.decode())
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
