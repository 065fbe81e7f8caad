"""Reading of YAML with line numbers, and reports of its defects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.parsing.documents import POLICY_FILES, Document, read_documents
from sealgate.parsing.yaml_reader import MAX_PROBLEMS, Rules
from tests.support.examples import examples


def read(text: str) -> Document:
    (document,) = read_documents(text, "f.yaml")
    assert document.problems == ()
    return document


def problems_of(text: str) -> list[str]:
    return [str(problem) for document in read_documents(text, "f.yaml") for problem in document.problems]


def test_every_field_has_its_line() -> None:
    document = read("a:\n  b:\n  - c: 1\n\n  - d\n'x.y': 2\n")

    assert document.value == {"a": {"b": [{"c": 1}, "d"]}, "x.y": 2}
    lines = {"": 1, "a": 1, "a.b": 2, "a.b[0]": 3, "a.b[0].c": 3, "a.b[1]": 5, '"x.y"': 6}
    assert {field: document.line(field) for field in lines} == lines


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("a.b[0].c", 3),
        ("a.b[0].missing.deeper[5]", 3),
        ("a.b[7]", 2),
        ("a.missing", 1),
        ('a."odd.key"', 1),
        ('a."odd.key".x[0]', 1),
        ("missing", 1),
        ("", 1),
    ],
)
def test_position_of_a_missing_field_is_that_of_its_parent(field: str, line: int) -> None:
    assert read("a:\n  b:\n  - c: 1\n").line(field) == line


def test_documents_keep_their_own_lines() -> None:
    documents = read_documents("---\na: 1\n---\n# nothing\n---\nb: 2\n...\n", "f.yaml")

    assert [document.is_empty for document in documents] == [False, True, False]
    assert [(document.value, document.line("a"), document.line("b")) for document in documents[::2]] == [
        ({"a": 1}, 2, 2),
        ({"b": 2}, 6, 6),
    ]


def test_a_member_can_be_a_document_of_its_own() -> None:
    item = read("items:\n- a: 1\n- a: 2\n  b: 3\n").item("items[1]", {"a": 2, "b": 3})

    assert item.line("b") == 4
    assert item.line("c") == 3
    assert str(item.problem("b", "is wrong", "fix it")) == "f.yaml:4: b: is wrong (fix it)"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("~", None),
        ("", None),
        ("0x10", 16),
        ("1.5", 1.5),
        ("'1.5'", "1.5"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("=", "="),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("!!map {}", {}),
        ("[1, {a: b}]", [1, {"a": "b"}]),
    ],
)
def test_values_are_read_like_kubernetes_reads_them(text: str, value: Any) -> None:
    assert read(f"v: {text}").value == {"v": value}


def test_aliases_repeat_their_anchor() -> None:
    document = read("a: &x {b: [1]}\nc: *x\nd:\n- *x\n")

    assert document.value == {"a": {"b": [1]}, "c": {"b": [1]}, "d": [{"b": [1]}]}
    assert document.line("c.b[0]") == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: a: duplicate key a, first on line 1 (keep one of them)"),
        ("x:\n  a: 1\n  a: {b: 1, b: 2}\n", "f.yaml:3: x.a: duplicate key a, first on line 2 (keep one of them)"),
        ("a: &x {b: *x}\n", "f.yaml:1: a.b: the alias *x has no anchor that ends before it"),
        ("a: &x 1\nb: &x 2\n", "f.yaml:2: b: duplicate anchor &x (give each anchor a unique name)"),
        ("a: &x 1\nb: &x [*x]\n", "f.yaml:2: b[0]: the alias *x has no anchor that ends before it"),
        ("a: &x {b: 1, b: 2}\nc: *x\n", "f.yaml:2: c: the alias *x repeats a value that cannot be read"),
        ("a: *x\n", "f.yaml:1: a: the alias *x has no anchor that ends before it"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "f.yaml:3: c: merge keys (<<) are not read (write the fields out)"),
        (
            "a: !!python/object:os.system x\n",
            "f.yaml:1: a: Kubernetes does not know the tag tag:yaml.org,2002:python/object:os.system",
        ),
        ("a: !!binary aGk=\n", "f.yaml:1: a: Kubernetes does not know the tag tag:yaml.org,2002:binary"),
        ("a: !custom {b: 1}\n", "f.yaml:1: a: Kubernetes does not know the tag !custom (leave it out)"),
        ("a: !!set {b}\n", "f.yaml:1: a: Kubernetes does not know the tag tag:yaml.org,2002:set"),
        ("{a: 1}: 2\n", "f.yaml:1: a key must be text"),
        ("a: !!int x\n", "f.yaml:1: a: x is not a valid number (put it in quotes)"),
        (f"a: {'9' * 5000}\n", f"f.yaml:1: a: {'9' * 64}... is not a valid number"),
        ("a: [1\nb: 2\n", "f.yaml:2: not YAML or JSON: "),
        ("a: b: c\n", "f.yaml:1: not YAML or JSON: mapping values are not allowed"),
        ("a:\n\tb: 1\n", "f.yaml:2: not YAML or JSON: found character that cannot start any token"),
        ("a: \x00\n", "f.yaml: not YAML or JSON: "),
        ("a: '\ud800'\n", "f.yaml: not YAML or JSON: "),
    ],
)
def test_problems_are_reported_with_their_line(text: str, problem: str) -> None:
    assert [found for found in problems_of(text) if found.startswith(problem)]


def test_reading_continues_after_a_problem() -> None:
    documents = read_documents("a: 1\na: 2\nb: !!binary x\n---\nc: 1\nc: 2\n", "f.yaml")

    assert [document.value for document in documents] == [{"a": 1, "b": "x"}, {"c": 1}]
    found = [(problem.line, problem.field) for document in documents for problem in document.problems]
    assert found == [(2, "a"), (3, "b"), (6, "c")]


def test_a_broken_document_does_not_affect_the_others() -> None:
    documents = read_documents("a: 1\n---\nb: [\n---\nc: 1\n", "f.yaml")

    assert [document.value for document in documents] == [{"a": 1}, None, {"c": 1}]
    assert [len(document.problems) for document in documents] == [0, 1, 0]
    assert documents[2].line("c") == 5


def test_a_problem_marks_the_value_that_has_it() -> None:
    (document,) = read_documents("items:\n- {a: 1, a: 2}\n- {b: {c: !x 1}}\n- d\n", "f.yaml")

    first, second, third = (document.position.members["items"].members[index] for index in range(3))
    assert (document.position.problem, document.position.inner_problem) == (None, document.problems[0])
    assert first.problem == first.inner_problem == document.problems[0]
    assert (second.problem, second.inner_problem) == (None, document.problems[1])
    assert (third.problem, third.inner_problem) == (None, None)


def test_merge_keys_are_read_where_they_are_accepted() -> None:
    rules = Rules(max_depth=64, max_values=100, merge_keys=True)
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\n"
    (document,) = read_documents(text, "f.yaml", rules)

    assert document.problems == ()
    assert document.value["c"] == {"x": 3, "y": 1, "z": 2}
    (document,) = read_documents("a: {<<: {x: 1, x: 2}}\n", "f.yaml", rules)
    assert document.position.members["a"].problem == document.problems[0]


def test_json_objects_in_a_row_are_documents_where_they_are_accepted() -> None:
    rules = Rules(max_depth=64, max_values=100, json=True)
    documents = read_documents('{"a": 1}\n{"b": 1,\n\t"b": 2} {"c": 1}\n{]', "f.json", rules)

    assert [document.value for document in documents] == [{"a": 1}, {"b": 1}, {"c": 1}, None]
    assert [document.position.line for document in documents] == [1, 2, 3, 4]
    assert [str(problem) for document in documents for problem in document.problems] == [
        "f.json:3: b: duplicate key b, first on line 2 (keep one of them)",
        "f.json:4: not JSON, after a JSON object",
    ]


@settings(max_examples=examples(300))
@given(st.text("ab:-[]{}&*!|>'\"#%@`,? \n\t<~0", max_size=40))
def test_any_text_is_read_or_is_a_problem(text: str) -> None:
    for document in read_documents(text, "f.yaml"):
        assert document.line("anything") >= 0
        for problem in document.problems:
            assert "\n" not in str(problem)


_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(st.characters(min_codepoint=32, max_codepoint=126))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(min_codepoint=32, max_codepoint=126)), inner, max_size=3),
    ),
    max_leaves=10,
)


@settings(max_examples=examples(200))
@given(st.dictionaries(st.sampled_from("abc"), _VALUES, min_size=1))
def test_json_is_yaml(value: dict[str, Any]) -> None:
    (document,) = read_documents(json.dumps(value, indent=1), "f.json")

    assert document.problems == ()
    assert document.value == value


@pytest.mark.long
def test_documents_of_an_attackers_size_end_the_reading() -> None:
    depth = POLICY_FILES.max_depth
    deep = "[" * (depth + 1) + "]" * (depth + 1)
    wide = f"[{'1,' * (POLICY_FILES.max_values + 1)}]"

    assert problems_of(deep) == [
        f"f.yaml:1: {'[0]' * POLICY_FILES.max_depth}: nested more than {POLICY_FILES.max_depth} deep"
    ]
    assert len(problems_of(f"{{{'a: 1, ' * 2 * MAX_PROBLEMS}}}")) == MAX_PROBLEMS + 1
    (problem,) = problems_of(wide)
    assert f"more than {POLICY_FILES.max_values} values" in problem
