"""docs/architecture.md lists the layers and contracts of pyproject.toml, and only existing folders."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]
#: Parents of the packages that the pages name folder by folder.
PARENTS = ("src/sealgate", "webhook", "operator")


def test_contracts_are_those_of_pyproject() -> None:
    rows = _section("Layers").partition("| contract |")[2].splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows if row.startswith("|")] == [
        contract["name"] for contract in CONTRACTS
    ]


def test_layers_are_those_of_pyproject() -> None:
    layers = next(contract["layers"] for contract in CONTRACTS if contract["type"] == "layers")
    (block,) = re.findall(r"```\n(.*?)```", _section("Layers"), re.DOTALL)
    # The lowest layer is the modules beside the folders, which the page names as such.
    assert block.splitlines()[:-1] == layers[:-1]


def test_folders_are_those_of_the_tree() -> None:
    listed = re.findall(r"^\| `([\w/]+)/` \|", _section("Folders"), re.MULTILINE)
    there = [
        path.parent.relative_to(ROOT).as_posix() for parent in PARENTS for path in (ROOT / parent).glob("*/__init__.py")
    ]
    assert sorted(listed) == sorted(there)


def test_folders_of_the_services_are_named() -> None:
    for folder, text in re.findall(r"^\| `((?:webhook|operator)/\w+)/` \| (.*) \|$", _section("Folders"), re.MULTILINE):
        there = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
        assert set(re.findall(r"`(\w+)/`", text)) == there


def test_folders_of_the_contributing_guide_exist() -> None:
    # A path with NAME in it, in capitals, is for what is added.
    folders = re.findall(r"`((?:src|webhook|operator|tests|docs)/[a-z0-9_/]*)`", CONTRIBUTING)
    assert folders
    assert [folder for folder in folders if not (ROOT / folder).exists()] == []


def _section(title: str) -> str:
    """Return the text below a heading of the page, up to the next heading of that level."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
