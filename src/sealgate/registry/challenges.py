"""Strict parser of `WWW-Authenticate` (RFC 9110, section 11.6.1).

One deviation from the grammar is accepted, because registries send it and other clients accept it: a Basic challenge at
the end of the header whose realm is not quoted, in single quotes, or in quotes that do not end. That realm is a text
for people, on which nothing depends. The realm of a Bearer challenge decides where credentials are sent, so it stays
strict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_HEADER = 8192
_MAX_CHALLENGES = 8
_BASIC = "basic"
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SKIP = re.compile(r"[ \t,]*")
_SCHEME = re.compile(rf"({_WORD})(?:[ \t]+|(?=,)|$)")
_PARAMETER = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\\x00-\x1f]|\\[!-~ ])*)"|({_WORD}))[ \t]*(?:,|$)')
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?:,|$)")
_LOOSE_REALM = re.compile(
    r"""realm[ \t]*=[ \t]*(?:"[^"]*|'[^'"]*'?|[^'",]*)(?:,[ \t]*charset[ \t]*=[ \t]*"?utf-8"?)?[ \t]*""", re.IGNORECASE
)
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge: one authentication scheme that a server offers.

    Attributes:
        scheme: name of the scheme in lower case ("bearer").
        parameters: values by name in lower case; empty for a scheme with a bare token.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Return the challenges of a header, in order.

    Raises:
        ValueError: the header does not follow the grammar, repeats a parameter, or is too long.
    """
    if len(header) > _MAX_HEADER:
        raise ValueError("the challenge is too long")
    challenges: list[Challenge] = []
    position = _skip(header, 0)
    while position < len(header):
        scheme = _SCHEME.match(header, position)
        if scheme is None or len(challenges) == _MAX_CHALLENGES:
            raise ValueError("the challenge is outside the grammar")
        if scheme[1].lower() == _BASIC and _has_loose_realm(header, scheme.end()):
            challenges.append(Challenge(_BASIC))
            break
        parameters, position = _parse_parameters(header, scheme.end())
        challenges.append(Challenge(scheme[1].lower(), parameters))
    return tuple(challenges)


def _has_loose_realm(header: str, position: int) -> bool:
    """Return whether the rest of the header is a realm that does not follow the grammar."""
    return _PARAMETER.match(header, position) is None and _LOOSE_REALM.fullmatch(header, position) is not None


def _parse_parameters(header: str, position: int) -> tuple[dict[str, str], int]:
    parameters: dict[str, str] = {}
    bare = _TOKEN68.match(header, position)
    if bare is not None and _PARAMETER.match(header, position) is None and _SCHEME.match(header, position) is None:
        return parameters, _skip(header, bare.end())
    position = _skip(header, position)
    while (match := _PARAMETER.match(header, position)) is not None:
        name = match[1].lower()
        if name in parameters:
            raise ValueError("the challenge names a parameter twice")
        parameters[name] = match[3] if match[2] is None else _ESCAPE.sub(r"\1", match[2])
        position = _skip(header, match.end())
    return parameters, position


def _skip(header: str, position: int) -> int:
    match = _SKIP.match(header, position)
    return match.end() if match is not None else position
