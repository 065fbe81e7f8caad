"""Distinguished names as policies write them: `C=US, ST=WA, O=acme-rockets.io`.

The notation is that of RFC 4514 as the Notary Project restricts it ("Trusted Identities Constraints"): comma-separated
attributes by their short names, a backslash before a comma, semicolon, backslash, or a blank at an end. Anything that
two readers could read differently is refused: an attribute twice, several in one (`+`), hexadecimal values (`#`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Attributes that a name may have, by their object identifiers (RFC 4519, RFC 4514 section 3).
ATTRIBUTES: Mapping[str, str] = {
    "2.5.4.3": "CN",
    "2.5.4.5": "SERIALNUMBER",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.17": "POSTALCODE",
}
#: Attributes that a trusted identity must have.
REQUIRED = ("C", "ST", "O")
_ALIASES = {"S": "ST"}
_ESCAPED = frozenset(' ,;\\+"<>=#')


def parse_distinguished_name(text: str) -> dict[str, str]:
    r"""Return the attributes of a distinguished name by their short names, in order.

    Args:
        text: as written.

    Raises:
        ValueError: it is not unambiguously a distinguished name; the message says why.

    >>> parse_distinguished_name(r"C=US, S=WA, O=Acme\, Inc.")
    {'C': 'US', 'ST': 'WA', 'O': 'Acme, Inc.'}
    """
    found: dict[str, str] = {}
    for part in _split(text):
        name, equals, raw = part.partition("=")
        upper = name.strip().upper()
        short = _ALIASES.get(upper, upper)
        if not equals or short not in ATTRIBUTES.values():
            raise ValueError(f"has an attribute that is not one of {', '.join(sorted(ATTRIBUTES.values()))}")
        if short in found:
            raise ValueError(f"has {short} twice; write each attribute once")
        found[short] = _value(raw, short)
    return found


def _split(text: str) -> Iterator[str]:
    """Yield the parts between commas that are not escaped."""
    start, position = 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == ",":
            yield text[start:position]
            start = position + 1
        position += 1
    yield text[start:]


def _value(raw: str, name: str) -> str:
    """Return a value without its escapes and the blanks around it that are not escaped."""
    value, kept, position = "", 0, 0
    raw = raw.lstrip(" ")
    if raw.startswith("#"):
        raise ValueError(f"has a hexadecimal value of {name}; write the text")
    while position < len(raw):
        character = raw[position]
        if character == "\\":
            position += 1
            if position == len(raw) or raw[position] not in _ESCAPED:
                raise ValueError(f"has a backslash in {name} before a character that needs none")
            character, kept = raw[position], len(value) + 1
        elif character in '+;"<>':
            raise ValueError(f"has {character} in {name}; write a backslash before it if it belongs to the value")
        value += character
        position += 1
    value = value[:kept] + value[kept:].rstrip(" ")
    if not value:
        raise ValueError(f"has an empty {name}")
    return value
