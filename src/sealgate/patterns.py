"""Image patterns: `*` any run without `/`, `**` any run, `?` one character but `/`, `{a, b}` one of the options.

Every other character is literal, and a pattern must match the whole text. Blanks around options are ignored; options
may contain wildcards but no further braces.

Patterns are not translated to regular expressions. Braces are expanded once, into at most `MAX_ALTERNATIVES` globs, and
a glob is matched in one pass over the text as a nondeterministic automaton whose states are the bits of one integer:
the time is linear in the length of the text for every pattern. The usual shapes (a literal, or a literal prefix and
suffix around one wildcard) need no automaton.

A *repository pattern* is matched against normalised names (`sealgate.references`). A pattern that no normalised name
can match is rejected when it is compiled, with a suggestion, instead of silently matching nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from os.path import commonprefix
from typing import TYPE_CHECKING

from sealgate.errors import InvalidPatternError, InvalidReferenceError
from sealgate.messages import quote
from sealgate.references import DOCKER_HUB, parse_registry, parse_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: The longest pattern, in characters.
MAX_LENGTH = 512
#: The most globs that the braces of one pattern may expand to.
MAX_ALTERNATIVES = 128
#: The most characters of all those globs together.
MAX_EXPANDED = 8192
#: What compiling costs, in steps of about a microsecond: each glob of a pattern, each character and wildcard of a glob.
GLOB_STEPS = 16
CHARACTER_STEPS = 2
WILDCARD_STEPS = 8

_LEXER = re.compile(r"\*\*+|[*?{},]|[^*?{},]+")
_BLANKS = " \t"
_REPOSITORY_CHARACTERS = re.compile(r"[a-z0-9._/:\[\]-]*")
_TAG_CHARACTERS = re.compile(r"[A-Za-z0-9_.-]*")


class _Wildcard(Enum):
    """A token that is not a literal character."""

    ONE = "?"
    RUN = "*"
    ANY = "**"


_Token = str | _Wildcard  # one literal character, or a wildcard
_Tokens = tuple[_Token, ...]


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern without braces: one of the alternatives of a pattern.

    Attributes:
        prefix: the literal text up to the first wildcard; the whole glob if it has no wildcard.
        suffix: the literal text after the last wildcard; empty if there is no wildcard.
        chunk: the longest literal text between wildcards; may be empty.
        literal: whether the glob has no wildcard.
    """

    prefix: str
    suffix: str
    chunk: str
    literal: bool
    _middle: _Automaton | None = field(repr=False)

    def matches(self, text: str) -> bool:
        """Return whether the glob matches the whole text."""
        if self._middle is None:
            return text == self.prefix
        if not text.startswith(self.prefix) or not text.endswith(self.suffix):
            return False
        end = len(text) - len(self.suffix)
        if end < len(self.prefix):
            return False
        middle = text[len(self.prefix) : end]
        return self.chunk in middle and self._middle.accepts(middle)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern.

    Attributes:
        text: the pattern as written.
        globs: its alternatives, without duplicates; at least one.
    """

    text: str
    globs: tuple[Glob, ...]

    @property
    def prefix(self) -> str:
        """The literal prefix of every text that the pattern can match; may be empty."""
        return commonprefix([glob.prefix for glob in self.globs])  # noqa: RUF071 - characters, not path components

    def matches(self, text: str) -> bool:
        """Return whether the pattern matches the whole text."""
        return any(glob.matches(text) for glob in self.globs)


class _Automaton:
    """A nondeterministic automaton for one glob; its set of states is an integer, advanced one character at a time.

    Bit `i` means "the first `i` tokens match the text so far". A run wildcard keeps its state on a character that it
    matches, and may match nothing.
    """

    __slots__ = ("_any", "_end", "_moves", "_one", "_runs", "_skips", "_tokens")

    def __init__(self, tokens: _Tokens) -> None:
        self._tokens = tokens
        self._moves: dict[str, int] = {}
        self._one = self._runs = self._any = 0
        for position, token in enumerate(tokens):
            bit = 1 << position
            if isinstance(token, str):
                self._moves[token] = self._moves.get(token, 0) | bit
            elif token is _Wildcard.ONE:
                self._one |= bit
            elif token is _Wildcard.RUN:
                self._runs |= bit
            else:
                self._any |= bit
        self._runs |= self._any
        self._skips = self._runs
        self._end = 1 << len(tokens)

    def accepts(self, text: str) -> bool:
        """Return whether the tokens match the whole text."""
        if self._tokens == (_Wildcard.ANY,):
            return True
        if self._tokens == (_Wildcard.RUN,):
            return "/" not in text
        moves, one, skips = self._moves, self._one, self._skips
        positions = 1 | (1 & skips) << 1
        for character in text:
            moved = positions & (moves.get(character, 0) | (one if character != "/" else 0))
            stayed = positions & (self._runs if character != "/" else self._any)
            positions = moved << 1 | stayed
            # Run wildcards are never adjacent (see `_merge_runs`), so one step applies every empty match.
            positions |= (positions & skips) << 1
            if not positions:
                return False
        return bool(positions & self._end)


def _count_nothing(steps: int) -> None:
    """Count no steps: a single pattern is bounded by the limits above."""


def compile_pattern(text: str) -> Pattern:
    """Compile a pattern over any text.

    Raises:
        InvalidPatternError: the pattern is outside the pattern language, or too large.
    """
    return _pattern(text, _alternatives(text))


def compile_tag_pattern(text: str, spend: Callable[[int], None] = _count_nothing) -> Pattern:
    """Compile a pattern over tags.

    Args:
        text: the pattern.
        spend: called with the steps that compiling takes, before they are taken; what it raises ends the compilation.

    Raises:
        InvalidPatternError: the pattern is outside the pattern language, too large, or could never match a tag.
    """
    alternatives = _alternatives(text, spend)
    for tokens in alternatives:
        wrong = _TAG_CHARACTERS.sub("", _literals(tokens))
        if wrong:
            raise _invalid(
                text, f"a tag cannot contain '{quote(wrong[0])}'; tags are letters, digits, '_', '.' and '-'"
            )
    return _pattern(text, alternatives)


def compile_repository_pattern(text: str, spend: Callable[[int], None] = _count_nothing) -> Pattern:
    """Compile a pattern over normalised repository names, `registry/path`.

    A registry without wildcards is normalised as in references: lower case, without `:443`, Docker Hub as
    `docker.io`.

    Args:
        text: the pattern.
        spend: see `compile_tag_pattern`.

    Raises:
        InvalidPatternError: the pattern is outside the pattern language, too large, or could never match a repository.
    """
    return _pattern(text, [_repository_glob(text, tokens) for tokens in _alternatives(text, spend)])


def _pattern(text: str, alternatives: Iterable[_Tokens]) -> Pattern:
    return Pattern(text, tuple(_glob(tokens) for tokens in dict.fromkeys(alternatives)))


def _glob(tokens: _Tokens) -> Glob:
    wild = [position for position, token in enumerate(tokens) if isinstance(token, _Wildcard)]
    if not wild:
        return Glob(_literals(tokens), "", "", literal=True, _middle=None)
    first, last = wild[0], wild[-1] + 1
    middle = tokens[first:last]
    chunk = max(_runs_of_literals(middle), key=len)
    return Glob(_literals(tokens[:first]), _literals(tokens[last:]), chunk, literal=False, _middle=_Automaton(middle))


def _literals(tokens: Iterable[_Token]) -> str:
    return "".join(token for token in tokens if isinstance(token, str))


def _runs_of_literals(tokens: _Tokens) -> Iterator[str]:
    return iter("".join(token if isinstance(token, str) else "\0" for token in tokens).split("\0"))


# --- from text to globs ---------------------------------------------------------------------------------------


def _alternatives(text: str, spend: Callable[[int], None] = _count_nothing) -> list[_Tokens]:
    """Return the globs that the pattern's braces expand to."""
    if not text or text.isspace():
        raise _invalid(text, "it is empty")
    if len(text) > MAX_LENGTH:
        raise _invalid(text, f"it is longer than {MAX_LENGTH} characters")
    parts = list(_parts(text))
    _check_expansion(text, parts)
    spend(_steps(parts))
    alternatives: list[_Tokens] = [()]
    for options in parts:
        alternatives = [head + option for head in alternatives for option in options]
    return [_merge_runs(tokens) for tokens in alternatives]


def _check_expansion(text: str, parts: Iterable[list[_Tokens]]) -> None:
    """Check the number of globs that parts expand to, and of their characters together."""
    globs, characters = 1, 0
    for options in parts:
        characters = characters * len(options) + globs * sum(map(len, options))
        globs *= len(options)
        if globs > MAX_ALTERNATIVES:
            raise _invalid(text, f"its braces make more than {MAX_ALTERNATIVES} combinations; write several patterns")
        if characters > MAX_EXPANDED:
            raise _invalid(text, f"its braces make more than {MAX_EXPANDED} characters; write several patterns")


def _steps(parts: Iterable[list[_Tokens]]) -> int:
    """Return the steps that it takes to compile the globs that parts expand to."""
    globs, steps = 1, 0
    for options in parts:
        steps = steps * len(options) + globs * sum(_token_steps(token) for tokens in options for token in tokens)
        globs *= len(options)
    return steps + GLOB_STEPS * globs


def _token_steps(token: _Token) -> int:
    return CHARACTER_STEPS if isinstance(token, str) else WILDCARD_STEPS


def _parts(text: str) -> Iterator[list[_Tokens]]:
    """Yield the pattern's parts in order, each as its options; text outside braces is a part with one option."""
    lexemes = iter(_LEXER.findall(text))
    for lexeme in lexemes:
        if lexeme == "}":
            raise _invalid(text, "it has a '}' without a '{'")
        yield [_tokens(lexeme)] if lexeme != "{" else _options(text, lexemes)


def _options(text: str, lexemes: Iterator[str]) -> list[_Tokens]:
    """Read the options of an open brace, including the `}`."""
    options = [""]
    for lexeme in lexemes:
        if lexeme == "{":
            raise _invalid(text, "braces inside braces are not part of the pattern language; write the options out")
        if lexeme == ",":
            options.append("")
        elif lexeme != "}":
            options[-1] += lexeme
        else:
            return [_option(text, option.strip(_BLANKS)) for option in options]
    raise _invalid(text, "it has a '{' without a '}'")


def _option(text: str, option: str) -> _Tokens:
    if not option:
        raise _invalid(text, "an option between its braces is empty; write a second pattern instead")
    return tuple(token for lexeme in _LEXER.findall(option) for token in _tokens(lexeme))


def _tokens(lexeme: str) -> _Tokens:
    if lexeme == "?":
        return (_Wildcard.ONE,)
    if lexeme == "*":
        return (_Wildcard.RUN,)
    if lexeme.startswith("*"):
        return (_Wildcard.ANY,)
    return tuple(lexeme)


def _merge_runs(tokens: _Tokens) -> _Tokens:
    """Merge adjacent run wildcards (`{a*, b}*`) into the wider one, which matches the same."""
    merged: list[_Token] = []
    for token in tokens:
        if merged and token in (_Wildcard.RUN, _Wildcard.ANY) and merged[-1] in (_Wildcard.RUN, _Wildcard.ANY):
            merged[-1] = max(merged[-1], token, key=lambda run: run is _Wildcard.ANY)
        else:
            merged.append(token)
    return tuple(merged)


# --- repository names ----------------------------------------------------------------------------


def _repository_glob(text: str, tokens: _Tokens) -> _Tokens:
    """Return the glob with its registry normalised.

    Raises:
        InvalidPatternError: no normalised repository name could ever match it.
    """
    written = _written(tokens)
    end = next((i for i, token in enumerate(tokens) if token in ("/", _Wildcard.ANY)), None)
    if end is None:
        raise _never(text, written, f"a repository is registry/path; write {_suggest_registry(written)}")
    host, rest = tokens[:end], tokens[end:]
    if not host and rest[0] == "/":
        raise _never(text, written, f"names begin with a registry; write {_suggest_registry(written[1:])}")
    _check_registry(text, written, host, rest)
    if rest[0] == "/" and all(isinstance(token, str) for token in host):
        host = tuple(_normalise_registry(text, _literals(host)))
    _check_path(text, written, host, rest)
    return host + rest


def _written(tokens: _Tokens) -> str:
    return "".join(token if isinstance(token, str) else token.value for token in tokens)


def _suggest_registry(rest: str) -> str:
    hub = f"{DOCKER_HUB}/{rest}" if "/" in rest else f"{DOCKER_HUB}/library/{rest}"
    return f"{quote(hub)}, or {quote(f'**/{rest}')} for every registry"


def _check_registry(text: str, written: str, host: _Tokens, rest: _Tokens) -> None:
    literal = _literals(host)
    if host and isinstance(host[0], str) and literal.lower() != "localhost" and not set(literal) & set(".:["):
        raise _never(text, written, f"it has no registry; write {_suggest_registry(written)}")
    if host and rest[0] is _Wildcard.ANY:
        hint = quote(f"{_written(host)}/{_written(rest)}")
        raise _invalid(text, f"'**' right after a registry also covers longer host names; write {hint}")
    if any(isinstance(token, _Wildcard) for token in host) and "." in literal and literal.endswith(":443"):
        raise _never(text, written, "normalised names leave :443 out; leave it out here too")


def _normalise_registry(text: str, host: str) -> str:
    try:
        return parse_registry(host)
    except InvalidReferenceError as error:
        raise _invalid(text, error.message) from error


def _check_path(text: str, written: str, host: _Tokens, rest: _Tokens) -> None:
    path = _literals(rest)
    if "@" in path or ":" in path:
        raise _never(text, written, "a repository has neither tag nor digest; tags have patterns of their own (tags)")
    wrong = _REPOSITORY_CHARACTERS.sub("", _literals(host) + path)
    if wrong:
        hint = f"; write {quote(written.lower())}" if wrong[0].lower() != wrong[0] else ""
        raise _never(text, written, f"a repository name cannot contain '{quote(wrong[0])}'{hint}")
    if "//" in written or written.endswith("/"):
        raise _never(text, written, "every component between slashes must have a name")
    if _literals(host) == DOCKER_HUB and _Wildcard.ANY not in rest and path.count("/") == 1:
        hint = f"{DOCKER_HUB}/library{_written(rest)}"
        raise _never(text, written, f"Docker Hub's own images are in library; write {quote(hint)}")
    if not any(isinstance(token, _Wildcard) for token in host + rest):
        _check_literal(text, written, _literals(host + rest))


def _check_literal(text: str, written: str, name: str) -> None:
    try:
        parse_repository(name)
    except InvalidReferenceError as error:
        raise _never(text, written, error.message) from error


def _never(text: str, written: str, why: str) -> InvalidPatternError:
    part = f" (as {quote(written)})" if written != text else ""
    return InvalidPatternError(f"{quote(text)}{part} can never match: {why}")


def _invalid(text: str, why: str) -> InvalidPatternError:
    return InvalidPatternError(f"{quote(text)} is not an image pattern: {why}")
