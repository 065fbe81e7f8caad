"""Reads SARIF and JUnit as other programs do, and validates them against the schemas in tests/data/reports."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import jsonschema

if TYPE_CHECKING:
    import xmlschema

DATA = Path(__file__).parents[1] / "data/reports"


def read_sarif(text: str) -> dict[str, Any]:
    """Return the one run of a SARIF document; fail if the document is not valid."""
    document: dict[str, Any] = json.loads(text)
    _sarif().validate(document)
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    return dict(run)


def read_junit(text: str) -> ET.Element:
    """Return the root of a JUnit document; fail if the document is not valid or its counts are wrong."""
    _junit().validate(text)
    root = ET.fromstring(text)  # noqa: S314 - written by the code under test
    for element in (root, *root):
        for count, tag in (("tests", ""), ("failures", "/failure"), ("errors", "/error")):
            assert element.get(count) == str(len(element.findall(f".//testcase{tag}")))
    return root


@functools.cache
def _sarif() -> jsonschema.Draft202012Validator:
    schema = json.loads((DATA / "sarif.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@functools.cache
def _junit() -> xmlschema.XMLSchema:
    import xmlschema

    return xmlschema.XMLSchema(DATA / "junit.xsd")
