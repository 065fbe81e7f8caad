"""Limits of one policy object, counted in steps: the same on every machine.

Small objects can be dear to validate: a pattern's braces multiply, and each key of a list has to be parsed. So the
work for one object is counted before it is done, and an object that needs more than the limit is refused as too large.
A step is about a microsecond. Policy files, the command line, the webhook and the operator count alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate.errors import InvalidPatternError
from sealgate.patterns import Pattern, compile_repository_pattern, compile_tag_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The most steps for the patterns of one object: 256 image patterns of 40 characters and 200 exclusions of 30.
MAX_PATTERN_STEPS: Final = 50_000
#: The most steps for reading the spec of one object: 64 keys, or an OpenPGP keyring of 250 KB.
MAX_SIZE_STEPS: Final = 20_000
#: Steps of a pattern beside those of its globs, of a value of any type, and of a key.
PATTERN_STEPS: Final = 16
VALUE_STEPS: Final = 3
KEY_STEPS: Final = 200
#: Characters of text, and of a key, that are a step.
_CHARACTERS: Final = 64
_KEY_CHARACTERS: Final = 16
#: Fields that hold keys or certificates as text.
_KEY_FIELDS: Final = frozenset({"pem", "inline"})


class ObjectTooLargeError(InvalidPatternError):
    """A policy object that takes more steps than one may take."""


class Steps:
    """A counter of steps with a limit.

    Args:
        limit: the most steps.
        message: what is said when they are used up: what is too large, and what to do.
    """

    def __init__(self, limit: int, message: str) -> None:
        self._left = limit
        self._message = message

    def spend(self, steps: int) -> None:
        """Count steps that are about to be taken.

        Raises:
            ObjectTooLargeError: they are more than are left. None are left then.
        """
        self._left -= steps
        if self._left < 0:
            self._left = 0
            raise ObjectTooLargeError(self._message)


class PatternCompiler:
    """Compiles the patterns of one object, each different one once, within `MAX_PATTERN_STEPS`."""

    def __init__(self) -> None:
        self._steps = Steps(
            MAX_PATTERN_STEPS,
            "the patterns are too large together: their braces and characters make more than "
            f"{MAX_PATTERN_STEPS} steps; write fewer or shorter ones, or split the object into several",
        )
        self._compiled: dict[tuple[Callable[..., Pattern], str], Pattern] = {}

    def repository(self, text: str) -> Pattern:
        """Compile a repository pattern; see `compile_repository_pattern`.

        Raises:
            InvalidPatternError: the pattern is not valid.
            ObjectTooLargeError: the object's patterns are too large together.
        """
        return self._compile(compile_repository_pattern, text)

    def tag(self, text: str) -> Pattern:
        """Compile a tag pattern; see `compile_tag_pattern` and `repository`."""
        return self._compile(compile_tag_pattern, text)

    def _compile(self, compile_pattern: Callable[..., Pattern], text: str) -> Pattern:
        known = self._compiled.get((compile_pattern, text))
        if known is not None:
            return known
        self._steps.spend(PATTERN_STEPS)
        pattern = compile_pattern(text, self._steps.spend)
        self._compiled[compile_pattern, text] = pattern
        return pattern


def check_size(value: Mapping[str, object]) -> None:
    """Check that the spec of an object is not too large to be read.

    Args:
        value: the object as parsed JSON or YAML; its members may have any type.

    Raises:
        ObjectTooLargeError: it takes more than `MAX_SIZE_STEPS`.
    """
    steps = Steps(
        MAX_SIZE_STEPS,
        f"the object is too large: its fields and keys make more than {MAX_SIZE_STEPS} steps; split it into several, "
        "or move keys to Secrets",
    )
    waiting: list[tuple[object, int]] = [(value.get("spec"), 0)]
    while waiting:
        found, key_steps = waiting.pop()
        if isinstance(found, dict):
            steps.spend(VALUE_STEPS * (1 + len(found)))
            for name, below in found.items():
                steps.spend(len(name) // _CHARACTERS if isinstance(name, str) else 0)
                waiting.append((below, KEY_STEPS if name in _KEY_FIELDS else 0))
        elif isinstance(found, (list, tuple)):
            steps.spend(VALUE_STEPS * (1 + len(found)))
            waiting.extend((below, 0) for below in found)
        elif isinstance(found, str):
            steps.spend(key_steps + len(found) // (_KEY_CHARACTERS if key_steps else _CHARACTERS))
