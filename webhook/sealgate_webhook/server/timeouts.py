"""Timeout of the API server, and the deadline of a review that follows from it.

The API server sends its timeout in the URL, `?timeout=10s`, as a Go duration. A later response is useless: the request
then fails, or passes unverified with `failurePolicy: Ignore`. So the response is due some time before the timeout.

The URL can ask for less than the webhook configuration's own timeout, never for more: a caller that is not the API
server cannot hold a review any longer than the API server can.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

#: The most a webhook configuration can ask for.
MAX_SECONDS: Final = 30.0
#: Share of the timeout that is reserved for sending the response, and its bounds in seconds.
MARGIN: Final = 0.1
MIN_MARGIN_SECONDS: Final = 0.2
MAX_MARGIN_SECONDS: Final = 1.0

_UNIT_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"\+?(?:{_PART.pattern})+", re.ASCII)
_TIMEOUT = re.compile(r"(?:^|&)timeout=([^&]*)")
_MAX_TEXT: Final = 64


def parse_duration(text: str) -> float:
    """Return the seconds of a duration as Go writes it ("1m30s", "500ms", "0").

    Raises:
        ValueError: the text is not a duration, or is negative.
    """
    if text in {"0", "+0"}:
        return 0.0
    if len(text) > _MAX_TEXT or not _DURATION.fullmatch(text):
        raise ValueError("not a duration: write a number and a unit, such as 10s")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(text))


@lru_cache(maxsize=64)  # the API server sends few different values
def answer_within(query: str, limit: float) -> float:
    """Return the seconds within which the response to a review is due, margin deducted.

    A timeout that is missing, zero or not a duration counts as the limit. The API server never sends one, and a client
    that does affects only its own request.

    Args:
        query: the URL's query string, as sent.
        limit: timeout of the webhook configuration, in seconds; more than 0, at most `MAX_SECONDS`.
    """
    found = _TIMEOUT.search(query)
    try:
        seconds = parse_duration(found[1]) if found else 0.0
    except ValueError:
        seconds = 0.0
    seconds = min(seconds or limit, limit)
    margin = min(max(seconds * MARGIN, MIN_MARGIN_SECONDS), MAX_MARGIN_SECONDS)
    return max(seconds - margin, seconds / 2)
