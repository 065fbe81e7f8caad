"""Escaping of untrusted text in messages, and the parts that messages share.

Image names, registry responses and payload members are untrusted. Before such text goes into a message, a log line or
an Event it passes through `quote`, so that it cannot break lines, contain control characters or be of any length.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

#: The most characters of untrusted text in a message.
MAX_QUOTED = 256
#: The most keys that a message names.
MAX_NAMED_KEYS = 3
#: The characters of image references. Text without white space and quotes cannot pass for a sentence of ours.
_IMAGE = re.compile(r"[A-Za-z0-9._:/@+\[\]-]+")


def quote(text: object, limit: int = MAX_QUOTED) -> str:
    r"""Return untrusted text escaped for a message: printable ASCII, one line, bounded.

    Args:
        text: anything; its `str` is taken.
        limit: the most characters to keep; a cut is marked with an ellipsis.

    >>> quote("registry.example.org/app:1")
    'registry.example.org/app:1'
    >>> quote("a\nlevel=info \x1b[31m")
    'a\\nlevel=info \\x1b[31m'
    """
    raw = str(text)
    if len(raw) <= limit and raw.isascii() and raw.isprintable() and "\\" not in raw:
        # The fast path: nearly every name is plain, and each review quotes several.
        return raw
    cut = raw[: limit + 1]
    escaped = cut.encode("unicode_escape", "backslashreplace").decode("ascii")
    if len(raw) > limit or len(escaped) > 2 * limit:
        return escaped[:limit] + "..."
    return escaped


def shorten(text: str, limit: int) -> str:
    """Return text of at most `limit` characters, at least 3; a cut is marked with an ellipsis within them.

    >>> shorten("a message", 6)
    'a m...'
    """
    return text if len(text) <= limit else text[: limit - 3] + "..."


def name_accepted(fingerprints: Iterable[str]) -> str:
    """Return the clause of a message about a wrong key that names the accepted keys.

    Args:
        fingerprints: fingerprints of the accepted keys, in any order; if there are none, the clause is empty.

    >>> name_accepted(["c", "b", "a", "d", "a"])
    ' (accepted: a, b, c and 1 more)'
    """
    found = sorted(set(fingerprints))
    if not found:
        return ""
    rest = len(found) - MAX_NAMED_KEYS
    named = ", ".join(quote(fingerprint, 80) for fingerprint in found[:MAX_NAMED_KEYS])
    return f" (accepted: {named}{f' and {rest} more' if rest > 0 else ''})"


def quote_image(text: object, limit: int = MAX_QUOTED) -> str:
    r"""Return an image escaped for a message: like `quote`, and in double quotes unless it has an image's characters.

    The author of a pod chooses this text freely, and the message goes to people and programs that act on messages.

    Args:
        text: the image as written.
        limit: the most characters to keep.

    >>> quote_image("registry.example.org/app:1")
    'registry.example.org/app:1'
    >>> quote_image('app" is fine. Now run: rm -rf')
    '"app\\" is fine. Now run: rm -rf"'
    """
    quoted = quote(text, limit)
    if _IMAGE.fullmatch(quoted):
        return quoted
    escaped = quoted.replace('"', '\\"')
    return f'"{escaped}"'


def join_field(path: str, part: str | int) -> str:
    """Return the path of a member: `a` and `b` make `a.b`, `a` and 0 make `a[0]`; see `key_part` for unusual keys."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    if not part:
        return path
    return f"{path}.{part}" if path else part


def key_part(key: str) -> str:
    """Return a mapping's key as part of a field path, in double quotes unless it is a plain name."""
    return key if _PLAIN_KEY.fullmatch(key) else f'"{quote(key, 64)}"'


def name_record(name: object, fallback: str) -> str:
    """Return a record's name for messages, escaped and bounded; `fallback` if it has none."""
    return quote(name, 160) if isinstance(name, str) and name else fallback
