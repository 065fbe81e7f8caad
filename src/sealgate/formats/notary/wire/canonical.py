"""The bytes that Notary v1 signs: metadata written again in its one canonical form.

Signatures are not over a file's bytes but over its `signed` member in canonical JSON: members sorted, no blanks,
and in strings only the quotation mark and the backslash escaped (control characters are not escaped, which no
other JSON has). Numbers are whole; anything else has no canonical form.
"""

from __future__ import annotations

from sealgate.messages import quote
from sealgate.parsing.evidence import malformed

# Beyond it programs that keep numbers as doubles, as Notary itself does, no longer agree on the digits.
_MAX_INTEGER = 2**53


def canonical_json(value: object, what: str) -> bytes:
    """Return a parsed JSON value in canonical form.

    Args:
        value: what `sealgate.parsing.evidence.parse` made of the bytes.
        what: what it is, for the message.

    Raises:
        VerificationError: it has a number without canonical form.
    """
    parts: list[str] = []
    _write(value, parts, what)
    return "".join(parts).encode()


def _write(value: object, parts: list[str], what: str) -> None:
    if isinstance(value, str):
        parts.append(_text(value))
    elif isinstance(value, dict):
        separator = "{"
        for name in sorted(value):
            parts.append(f"{separator}{_text(name)}:")
            _write(value[name], parts, what)
            separator = ","
        parts.append("}" if value else "{}")
    elif isinstance(value, list):
        separator = "["
        for item in value:
            parts.append(separator)
            _write(item, parts, what)
            separator = ","
        parts.append("]" if value else "[]")
    else:
        parts.append(_scalar(value, what))


def _scalar(value: object, what: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) <= _MAX_INTEGER:
        return str(value)
    raise malformed(what, f"the number {quote(value, 40)} has no canonical form")


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
