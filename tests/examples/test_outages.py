"""docs/outages.md names tests that exist, at least one in each line of its table."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_ROW = re.compile(r"^\| (?!---|what is down)(.*) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_each_line_names_tests_that_exist() -> None:
    rows = _ROW.findall((ROOT / "docs/outages.md").read_text())
    assert rows
    for row in rows:
        named = _TEST.findall(row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"
