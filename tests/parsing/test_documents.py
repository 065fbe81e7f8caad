"""Reading of YAML with line numbers, and reports of its defects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.parsing.documents import MAX_DEPTH, MAX_VALUES, Document, read_documents


def read(text: str) -> Document:
    documents, problems = read_documents(text, "f.yaml")
    assert problems == ()
    (document,) = documents
    return document


def problems_of(text: str) -> list[str]:
    return [str(problem) for problem in read_documents(text, "f.yaml")[1]]


def test_every_field_has_its_line() -> None:
    document = read("a:\n  b:\n  - c: 1\n\n  - d\n'x.y': 2\n")

    assert document.value == {"a": {"b": [{"c": 1}, "d"]}, "x.y": 2}
    assert document.lines == {
        "": 1,
        "a": 1,
        "a.b": 2,
        "a.b[0]": 3,
        "a.b[0].c": 3,
        "a.b[1]": 5,
        '"x.y"': 6,
    }


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
    documents, problems = read_documents("---\na: 1\n---\n# nothing\n---\nb: 2\n...\n", "f.yaml")

    assert problems == ()
    assert [(document.value, document.line("a"), document.line("b")) for document in documents] == [
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
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: a: duplicate key, first on line 1 (keep one of them)"),
        ("x:\n  a: 1\n  a: {b: 1, b: 2}\n", "f.yaml:3: x.a: duplicate key, first on line 2 (keep one of them)"),
        ("a: &x {b: *x}\n", "f.yaml:1: a.b: the alias *x names nothing that ends before it"),
        ("a: *x\n", "f.yaml:1: a: the alias *x names nothing that ends before it"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "f.yaml:3: c: merge keys (<<) are not read (write the fields out)"),
        ("a: !!python/object:os.system x\n", "f.yaml:1: a: the tag tag:yaml.org,2002:python/object:os.system means"),
        ("a: !!binary aGk=\n", "f.yaml:1: a: the tag tag:yaml.org,2002:binary means nothing to Kubernetes"),
        ("a: !custom {b: 1}\n", "f.yaml:1: a: the tag !custom means nothing to Kubernetes (leave it out)"),
        ("a: !!set {b}\n", "f.yaml:1: a: the tag tag:yaml.org,2002:set means nothing to Kubernetes"),
        ("{a: 1}: 2\n", "f.yaml:1: a key must be text"),
        ("a: !!int x\n", "f.yaml:1: a: x is not a valid number (put it in quotes)"),
        (f"a: {'9' * 5000}\n", f"f.yaml:1: a: {'9' * 64}... is not a valid number"),
        ("a: [1\nb: 2\n", "f.yaml:2: not YAML: "),
        ("a: b: c\n", "f.yaml:1: not YAML: mapping values are not allowed"),
        ("a:\n\tb: 1\n", "f.yaml:2: not YAML: found character that cannot start any token"),
        ("a: \x00\n", "f.yaml: not YAML: "),
        ("a: '\ud800'\n", "f.yaml: not YAML: "),
    ],
)
def test_problems_are_reported_with_their_line(text: str, problem: str) -> None:
    assert [found for found in problems_of(text) if found.startswith(problem)]


def test_reading_continues_after_a_problem() -> None:
    documents, problems = read_documents("a: 1\na: 2\nb: !!binary x\n---\nc: 1\nc: 2\n", "f.yaml")

    assert [document.value for document in documents] == [{"a": 1, "b": "x"}, {"c": 1}]
    assert [(problem.line, problem.field) for problem in problems] == [(2, "a"), (3, "b"), (6, "c")]


def test_documents_before_a_broken_one_are_kept() -> None:
    documents, problems = read_documents("a: 1\n---\nb: [\n", "f.yaml")

    assert [document.value for document in documents] == [{"a": 1}]
    assert len(problems) == 1


@settings(max_examples=300)
@given(st.text("ab:-[]{}&*!|>'\"#%@`,? \n\t<~0", max_size=40))
def test_any_text_is_read_or_is_a_problem(text: str) -> None:
    documents, problems = read_documents(text, "f.yaml")

    for document in documents:
        assert document.line("anything") >= 0
    for problem in problems:
        assert "\n" not in str(problem)


_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(st.characters(min_codepoint=32, max_codepoint=126))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(min_codepoint=32, max_codepoint=126)), inner, max_size=3),
    ),
    max_leaves=10,
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from("abc"), _VALUES, min_size=1))
def test_json_is_yaml(value: dict[str, Any]) -> None:
    documents, problems = read_documents(json.dumps(value, indent=1), "f.json")

    assert problems == ()
    assert documents[0].value == value


def test_documents_of_an_attackers_size_end_the_reading() -> None:
    deep = "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)
    wide = f"[{'1,' * (MAX_VALUES + 1)}]"

    assert problems_of(deep) == [f"f.yaml:1: {'[0]' * MAX_DEPTH}: nested more than {MAX_DEPTH} deep"]
    assert len(problems_of(wide)) == 1
    assert f"more than {MAX_VALUES} values" in problems_of(wide)[0]
