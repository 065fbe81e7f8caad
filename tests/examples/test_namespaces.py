"""The documentation and the examples use the same namespace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NAMESPACE = "sealgate-system"
#: Where the Secrets that sign are.
SIGNING = f"{NAMESPACE}-signing"
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")))
POLICIES = sorted((ROOT / "examples" / "policies").glob("*.yaml"))


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_examples_use_the_namespace_of_the_documentation(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for document in yaml.safe_load_all(text):
        assert document["metadata"].get("namespace", NAMESPACE) in {NAMESPACE, SIGNING}
    assert set(re.findall(r"(?:-n|--namespace) (sealgate\S*)", text)) <= {NAMESPACE, SIGNING}


def test_pages_use_one_namespace() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"(?:-n|--namespace) (sealgate\S*)", text)) <= {NAMESPACE, SIGNING}, page
        without = text.replace("--reset-then-reuse-values", "").replace("`--reuse-values`", "")
        assert not re.findall(r"--reuse-values", without), page
