"""Text for people that may hold other people's text.

Image names, registry answers and payload members come from whoever wrote them. Before one of them stands in a
message, a log line or an Event it goes through `quote`, so that it can neither break a line nor hide behind
control characters nor fill a screen.
"""

from __future__ import annotations

MAX_QUOTED = 256


def quote(text: object, limit: int = MAX_QUOTED) -> str:
    r"""Return foreign text as it may stand in a message: printable ASCII, one line, bounded.

    Args:
        text: anything; its `str` is taken.
        limit: the most characters to keep; what is cut is marked with an ellipsis.

    >>> quote("registry.example.org/app:1")
    'registry.example.org/app:1'
    >>> quote("a\nlevel=info \x1b[31m")
    'a\\nlevel=info \\x1b[31m'
    """
    raw = str(text)
    if len(raw) <= limit and raw.isascii() and raw.isprintable() and "\\" not in raw:
        # What nearly every name is; this is asked several times for each review.
        return raw
    cut = raw[: limit + 1]
    escaped = cut.encode("unicode_escape", "backslashreplace").decode("ascii")
    if len(raw) > limit or len(escaped) > 2 * limit:
        return escaped[:limit] + "..."
    return escaped
