from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

import pytest

from sealgate.manifests.policies import load_standalone

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
INDEX = ROOT / "docs" / "README.md"
FOLDERS = ("docs", "examples", "charts", "tests")
PAGES = sorted((*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))))


def test_readme_policies_are_valid(tmp_path: Path) -> None:
    (yaml,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "policies.yaml").write_text(yaml)
    files = load_standalone([tmp_path])
    assert [policy.metadata.name for policy in files.policies] == ["production"]


@pytest.mark.parametrize("target", re.findall(r"^\$ make (\w+)", README, re.MULTILINE))
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_link_to_a_file_resolves() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), (page, target)


def test_every_link_to_a_section_resolves() -> None:
    for page in PAGES:
        for target, section in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                there = (page.parent / target) if target else page
                assert section in anchors(there.read_text(encoding="utf-8")), (page, f"{target}#{section}")


@functools.cache
def anchors(text: str) -> set[str]:
    """Return what GitHub makes of the headings of a page."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_readme_links_to_the_index() -> None:
    assert INDEX.resolve() in _linked(ROOT / "README.md")


def test_index_links_to_every_page() -> None:
    pages = {path.resolve() for path in (*ROOT.glob("docs/*.md"), *ROOT.glob("docs/formats/*.md"), *ROOT.glob("*.md"))}
    assert sorted(path.name for path in pages - _linked(INDEX) - {INDEX, ROOT / "README.md"}) == []


def _linked(page: Path) -> set[Path]:
    """Return the files that a page links to."""
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    return {(page.parent / target).resolve() for target in targets if "://" not in target}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 100


def test_every_python_file_that_a_page_names_exists() -> None:
    there = [f"/{path.relative_to(ROOT).as_posix()}" for path in _sources()]
    for page in PAGES:
        named = set(re.findall(r"`((?:[\w-]+/)*\w+\.py)`", page.read_text(encoding="utf-8")))
        # A name with NAME in it is a placeholder for what a reader adds.
        missing = {name for name in named if not any(path.endswith(f"/{name}") for path in there)}
        assert sorted(name for name in missing if "NAME" not in name) == [], page


def test_every_module_that_a_page_names_exists() -> None:
    there = {
        path.relative_to(ROOT / parent).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for parent in ("src", "webhook", "operator")
        for path in (ROOT / parent).rglob("*.py")
    }
    for page in PAGES:
        named = set(re.findall(r"`(sealgate\w*(?:\.\w+)+)`", page.read_text(encoding="utf-8"))) - {"sealgate.dev"}
        assert sorted(named - there) == [], page


def _sources() -> list[Path]:
    """Return the project's Python files."""
    parents = ("src", "webhook", "operator", "tests", "bench", "examples", "scripts")
    return [path for parent in parents for path in (ROOT / parent).rglob("*.py")]
