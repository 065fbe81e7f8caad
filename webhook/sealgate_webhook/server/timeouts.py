"""How long the API server waits for an answer, and so how long a review may take.

The API server writes its limit into the URL, `?timeout=10s`, as Go writes durations. Whoever answers later might as
well not answer: the request then fails (or, with `failurePolicy: Ignore`, passes unseen). So the answer is due some
time before.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

#: What holds when the URL says nothing; also the API server's default.
DEFAULT_SECONDS: Final = 10.0
#: The most a webhook configuration can ask for.
MAX_SECONDS: Final = 30.0
#: The part of the limit that is kept for the way back, and its bounds in seconds.
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
        ValueError: it is no duration, or a negative one.
    """
    if text in {"0", "+0"}:
        return 0.0
    if len(text) > _MAX_TEXT or not _DURATION.fullmatch(text):
        raise ValueError("not a duration: write a number and a unit, such as 10s")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(text))


@lru_cache(maxsize=64)  # the API server sends the same few again and again
def answer_within(query: str) -> float:
    """Return the seconds in which a review must be answered, its margin already taken off.

    A timeout that is missing, zero or not a duration counts as the default: the API server never writes one, and
    whoever does harms only himself.

    Args:
        query: the URL's query string, as sent.
    """
    found = _TIMEOUT.search(query)
    try:
        seconds = parse_duration(found[1]) if found else 0.0
    except ValueError:
        seconds = 0.0
    seconds = min(seconds or DEFAULT_SECONDS, MAX_SECONDS)
    margin = min(max(seconds * MARGIN, MIN_MARGIN_SECONDS), MAX_MARGIN_SECONDS)
    return max(seconds - margin, seconds / 2)
