"""A plain, slow implementation of the pattern language, independent of the fast one."""

from __future__ import annotations

import itertools
import re
from functools import cache

_PIECES = re.compile(r"\{[^{}]*\}|\*\*+|[*?]|[^{}*?]")


def naive_match(pattern: str, text: str) -> bool:
    """Return whether the pattern covers the whole text."""
    choices = [_choices(piece) for piece in _PIECES.findall(pattern)]
    return any(_covers(tuple(itertools.chain(*combination)), text) for combination in itertools.product(*choices))


def _choices(piece: str) -> list[list[str]]:
    if not piece.startswith("{"):
        return [[piece]]
    return [_PIECES.findall(option.strip(" \t")) for option in piece[1:-1].split(",")]


def _covers(pieces: tuple[str, ...], text: str) -> bool:
    @cache
    def from_here(piece: int, character: int) -> bool:
        if piece == len(pieces):
            return character == len(text)
        if pieces[piece].startswith("*"):
            if from_here(piece + 1, character):
                return True
            crossing = character < len(text) and (text[character] != "/" or pieces[piece] != "*")
            return crossing and from_here(piece, character + 1)
        if character == len(text):
            return False
        fits = text[character] != "/" if pieces[piece] == "?" else text[character] == pieces[piece]
        return fits and from_here(piece + 1, character + 1)

    return from_here(0, 0)
