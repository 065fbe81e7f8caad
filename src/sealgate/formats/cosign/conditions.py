"""Conditions on the predicate of an attestation, in CEL (Common Expression Language).

A condition is an expression over the variable `predicate`. It is met only if its value is `true`: `false`, a value of
another type, a missing member and every other error in the evaluation mean that it is not met.

The text of a condition is an administrator's. Its length, its macros and its `+` are bounded when it is compiled, so
that no value that it builds is many times larger than the predicate. The predicate is another's. Its size and depth are
bounded before it gets here, its size more tightly where a condition compares parts of it with each other. The library
ends an evaluation after 10,000 steps of loops; regular expressions take linear time (RE2). The library is imported when
the first condition is compiled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sealgate.errors import PolicyError, VerificationError
from sealgate.formats.interface import MAX_SIGNATURE_BYTES
from sealgate.messages import quote
from sealgate.reasons import Reason

#: Limit for the length of a condition, in characters.
MAX_CONDITION = 1024
#: Limits for what lets an expression build large values: loops over a list, and the operator that joins two values.
MAX_MACROS = 2
MAX_SUMS = 8

#: Limit for the payload of an attestation, in bytes, where a condition compares large parts of it with each other.
MAX_COMPARED_BYTES = 1 << 15

_MACRO = re.compile(r"\b(?:all|exists|exists_one|existsOne|filter|map)[`\s]*\(")
# Functions that take as long as both of their texts multiplied, where the second one is not written in the condition.
_SEARCH = re.compile(r"\b(?:contains|matches)[`\s]*\(\s*(?![rRbB]{0,2}[\"'])")
_PATH = re.compile(r"\bpredicate(?:\.[A-Za-z_][A-Za-z0-9_]*|\[[0-9]{1,4}\])+")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]")
#: Members whose values a message shows.
_MAX_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. Immutable, thread-safe.

    Attributes:
        name: the condition for a person ("condition 1", "slsa.builder").
        text: the expression.
        program: the library's form of it.
    """

    name: str
    text: str
    program: Any = field(repr=False, compare=False)

    @property
    def max_bytes(self) -> int:
        """Limit for the payload of an attestation that is evaluated, in bytes.

        Where large parts of a predicate are compared with each other, the time grows with the product of their sizes,
        and the interpreter's lock is held for all of it. That is so of loops in loops, of the predicate named again
        inside a loop (or after it, which is not told apart), and of a search for what the predicate itself has.
        """
        loops = list(_MACRO.finditer(self.text))
        searches = _SEARCH.search(self.text) or ("+" in self.text and re.search("contains|matches", self.text))
        repeated = loops and re.search(r"\bpredicate\b", self.text[loops[0].end() :])
        return MAX_COMPARED_BYTES if len(loops) > 1 or repeated or searches else MAX_SIGNATURE_BYTES

    def require_size(self, size: int) -> None:
        """Require that the payload of an attestation is small enough to be evaluated.

        Args:
            size: in bytes.

        Raises:
            VerificationError: it is not.
        """
        if size > self.max_bytes:
            msg = (
                f"{self.name} compares parts of the predicate with each other, for which an attestation of {size} "
                f"bytes is larger than the limit of {self.max_bytes}: {quote(self.text, 300)}; write a condition for "
                "each part, with one loop at the end"
            )
            raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)

    def check(self, predicate: object) -> None:
        """Check that a predicate meets the condition.

        Args:
            predicate: a value as `strict_json` returns it, with bounded size and depth and without NUL characters.

        Raises:
            VerificationError: it does not; the message has the condition, and what the predicate has instead.
        """
        try:
            result = self.program.eval(data={"predicate": predicate})
            kind = result.type().name()
            # Other values are not read: the library takes a reference too many from None.
            value = result.value() if kind in {"BOOL", "ERROR"} else None
        except Exception as error:
            # The library raises plain RuntimeErrors, and others for values that it cannot convert.
            raise self._refusal(f"cannot be evaluated ({quote(error, 200)})", predicate) from error
        if value is True:
            return
        if value is False:
            raise self._refusal("is false", predicate)
        why = quote(value, 200) if kind == "ERROR" else f"its value is of the type {quote(kind, 40)}, not bool"
        raise self._refusal(f"cannot be evaluated ({why})", predicate)

    def _refusal(self, what: str, predicate: object) -> VerificationError:
        members = _members(self.text, predicate)
        shown = f"; the predicate has {members}" if members else ""
        msg = f"{self.name} {what}: {quote(self.text, 300)}{shown}"
        return VerificationError(msg, reason=Reason.PREDICATE_MISMATCH)


def compile_condition(name: str, text: str) -> Condition:
    """Compile a condition.

    Args:
        name: the condition for a person ("condition 1").
        text: the expression, of one line.

    Raises:
        PolicyError: it is too long or too complex, it does not compile, or its value cannot be a bool.
    """
    _require_bounds(name, text)
    # Imported here because it takes 8 MiB, and few installations have conditions. It has no type hints.
    from cel_expr_python import cel  # type: ignore[import-untyped]

    try:
        program = cel.NewEnv(variables={"predicate": cel.Type.DYN}).compile(text)
        kind = program.return_type()
    except Exception as error:
        raise PolicyError(f"{name} is not a valid CEL expression ({_explain(error)}): {quote(text)}") from error
    if kind not in (cel.Type.BOOL, cel.Type.DYN):
        msg = f"{name} must be true or false; its value is of the type {quote(kind.name(), 40)}: {quote(text)}"
        raise PolicyError(msg)
    return Condition(name, text, program)


def _require_bounds(name: str, text: str) -> None:
    if len(text) > MAX_CONDITION:
        raise PolicyError(f"{name} must have at most {MAX_CONDITION} characters; it has {len(text)}")
    if not text.isprintable():
        raise PolicyError(f"{name} must be one line of printable characters")
    if len(_MACRO.findall(text)) > MAX_MACROS:
        many = f"more than {MAX_MACROS} macros (all, exists, exists_one, filter, map)"
        raise PolicyError(f"{name} has {many}; write several conditions instead: {quote(text)}")
    if text.count("+") > MAX_SUMS:
        raise PolicyError(
            f"{name} has more than {MAX_SUMS} plus signs; write several conditions instead: {quote(text)}"
        )


def _explain(error: Exception) -> str:
    first = str(error).removeprefix("INVALID_ARGUMENT: ").removeprefix("ERROR: <input>:").partition("\n")[0]
    return quote(first.removesuffix(" [INVALID_ARGUMENT]").replace(" (in container '')", ""), 200)


def _members(text: str, predicate: object) -> str:
    """Return the members that a condition names, with the values that the predicate has."""
    found = []
    for path in dict.fromkeys(_PATH.findall(text)):
        value: Any = predicate
        try:
            for name, index in _STEP.findall(path):
                value = value[name] if name else value[int(index)]
        except (KeyError, IndexError, TypeError):
            continue  # a function, or a member that is missing
        if isinstance(value, str | int | float | bool | None):
            found.append(f"{path} = {quote(repr(value), 100)}")
    return ", ".join(found[:_MAX_SHOWN])
