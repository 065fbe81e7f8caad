"""Conditions on predicates: what meets them, what does not, and what is refused before it is evaluated."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from sealgate.errors import PolicyError, VerificationError
from sealgate.formats.cosign.conditions import MAX_CONDITION, compile_condition
from sealgate.reasons import Reason

PREDICATE: dict[str, Any] = {
    "builder": {"id": "https://builder.example.org"},
    "count": 3,
    "score": 7.5,
    "passed": True,
    "nothing": None,
    "materials": [{"uri": "git+https://git.example.org/a"}, {"uri": "git+https://git.example.org/b"}],
}


@pytest.mark.parametrize(
    "text",
    [
        "predicate.builder.id == 'https://builder.example.org'",
        "predicate.count > 2 && predicate.score <= 7.5",
        "predicate.passed",
        "predicate.nothing == null",
        "!has(predicate.missing)",
        "predicate.materials.all(m, m.uri.startsWith('git+https://git.example.org/'))",
        "predicate.materials.exists(m, m.uri.endsWith('/b'))",
        "predicate.materials.filter(m, m.uri.matches('/[ab]$')).size() == 2",
        "'builder' in predicate",
        "timestamp('2026-01-01T00:00:00Z') < timestamp('2027-01-01T00:00:00Z')",
    ],
)
def test_condition_is_met(text: str) -> None:
    compile_condition("condition 1", text).check(PREDICATE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("predicate.builder.id == 'https://other.example.org'", "is false"),
        ("predicate.missing == 1", 'Key not found in map : "missing"'),
        ("predicate.missing.deeper", "cannot be evaluated"),
        ("predicate.count", "its value is of the type INT, not bool"),
        ("predicate.builder.id", "its value is of the type STRING, not bool"),
        ("predicate.nothing", "not bool"),
        ("predicate.count.startsWith('3')", "cannot be evaluated"),
        ("predicate.materials[9].uri == ''", "cannot be evaluated"),
        ("predicate.builder.id.matches('(')", "cannot be evaluated"),
        ("1 / (predicate.count - 3) == 0", "cannot be evaluated"),
    ],
)
def test_condition_is_not_met(text: str, said: str) -> None:
    with pytest.raises(VerificationError) as caught:
        compile_condition("condition 7", text).check(PREDICATE)
    assert caught.value.reason is Reason.PREDICATE_MISMATCH
    assert caught.value.message.startswith("condition 7 ")
    assert said in caught.value.message
    assert text in caught.value.message


def test_null_that_is_evaluated_often_leaves_the_process_alone() -> None:
    condition = compile_condition("condition 1", "predicate.nothing")
    before = sys.getrefcount(None)
    for _ in range(1000):
        with pytest.raises(VerificationError, match="of the type NULL"):
            condition.check(PREDICATE)
    # The library's own conversion of a null loses a reference each time; Python 3.11 ends when none is left.
    assert sys.getrefcount(None) > before - 500


def test_message_has_the_members_that_decided() -> None:
    with pytest.raises(VerificationError) as caught:
        compile_condition("condition 1", "predicate.builder.id == 'x' || predicate.materials[1].uri == 'y'").check(
            PREDICATE
        )
    assert caught.value.message.endswith(
        "; the predicate has predicate.builder.id = 'https://builder.example.org', "
        "predicate.materials[1].uri = 'git+https://git.example.org/b'"
    )


def test_foreign_text_in_a_message_is_one_printable_line() -> None:
    with pytest.raises(VerificationError) as caught:
        compile_condition("condition 1", "predicate.id == 'x'").check({"id": "a\nlevel=info \x1b[31m" + "x" * 5000})
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "predicate", [2**64 - 1, -(2**63), 1.5e308, [], {}, "", None, True, {"a": [{"b": 18 * 10**18}]}]
)
def test_any_json_value_is_a_predicate(predicate: object) -> None:
    compile_condition("condition 1", "predicate == predicate").check(predicate)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("predicate.a ==", "is not a valid CEL expression"),
        ("builder.id == 'x'", "undeclared reference to 'builder.id'"),
        ("predicate.a.unknown()", "undeclared reference to 'unknown'"),
        ("1 + 1", "must be true or false"),
        ("'text'", "must be true or false"),
        ("true" + " " * MAX_CONDITION, "at most 1024 characters"),
        ("true\n|| false", "one line of printable characters"),
        ("predicate.all(a, a.all(b, b.all(c, c)))", "more than 2 macros"),
        ("predicate == 1" + "+1" * 9, "more than 8 plus signs"),
        ("(" * 200 + "true" + ")" * 200, "is not a valid CEL expression"),
    ],
)
def test_condition_that_cannot_be_used_is_refused(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        compile_condition("condition 1", text)
    assert said in caught.value.message
    assert caught.value.message.isprintable()


def test_loops_end_at_the_librarys_budget() -> None:
    nested = compile_condition("condition 1", "predicate.all(a, predicate.all(b, a <= 1000 && b <= 1000))")
    nested.check(list(range(50)))
    with pytest.raises(VerificationError) as caught:
        nested.check(list(range(1000)))
    assert "Iteration budget exceeded" in caught.value.message


def test_library_is_imported_for_conditions_only() -> None:
    code = (
        "import sys; import sealgate.cli.app; assert 'cel_expr_python' not in sys.modules; "
        "from sealgate.formats.cosign.conditions import compile_condition; compile_condition('', 'true'); "
        "assert 'cel_expr_python' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
