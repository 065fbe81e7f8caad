"""Dockerfiles and scripts: linted, pinned, and the same for both images."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.chart.rendering import ROOT
from tests.support.real_tools.required import require_tool

DOCKERFILES = ("webhook/Dockerfile", "operator/Dockerfile")


@pytest.mark.parametrize("path", DOCKERFILES)
def test_hadolint_finds_nothing(path: str) -> None:
    done = _run(_beside_python("hadolint"), path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", DOCKERFILES)
def test_the_base_is_an_argument_whose_default_is_pinned(path: str) -> None:
    text = (ROOT / path).read_text()
    assert re.search(r"^ARG PYTHON_IMAGE=docker\.io/library/python:\S+@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2


@pytest.mark.parametrize("path", DOCKERFILES)
def test_images_run_as_nobody_in_particular_and_start_the_module(path: str) -> None:
    final = (ROOT / path).read_text().rpartition("FROM ")[2]
    assert "\nUSER 65532:65532\n" in final
    part = path.partition("/")[0]
    assert f'ENTRYPOINT ["python", "-m", "sealgate_{part}"]' in final
    assert not re.search(r"^(RUN|ADD)", final, re.MULTILINE)


@pytest.mark.parametrize("path", DOCKERFILES)
def test_the_dockerfiles_share_their_build_stage(path: str) -> None:
    part = path.partition("/")[0]
    runs = re.findall(r"^RUN (.*)$", (ROOT / path).read_text(), re.MULTILINE)
    assert runs == [f"sh build_image.sh {step} {part}" for step in ("dependencies", "package")]


def test_everything_installed_is_checked_against_a_hash() -> None:
    text = (ROOT / "scripts/build_image.sh").read_text()
    installs = [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if "pip" in line and " install " in line]
    assert len(installs) == 4
    unchecked = [line for line in installs if "--require-hashes" not in line]
    assert len(unchecked) == 1
    assert "/build/dist/*.whl" in unchecked[0]


def test_both_dockerfiles_are_the_same_but_for_their_part() -> None:
    def general(path: str) -> str:
        text = (ROOT / path).read_text()
        text = re.sub(r"\b(The admission webhook|The operator)\b", "PART", text)
        return re.sub(r"webhook|operator", "part", text)

    assert general(DOCKERFILES[0]) == general(DOCKERFILES[1])


def test_the_build_gets_only_what_images_are_made_of() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    for rule in rules[1:]:
        path = rule.removeprefix("!")
        assert rule.startswith("**/") or (ROOT / path).exists(), f"{path} is gone"


def test_the_build_s_own_tools_are_pinned() -> None:
    done = _run(sys.executable, "scripts/locked_requirements.py", "uv")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"uv==\S+( --hash=sha256:[0-9a-f]{64})+\n", done.stdout)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert [name.partition(">")[0] for name in groups["build"]] == ["hatchling"]


def test_a_tool_with_dependencies_is_refused() -> None:
    done = _run(sys.executable, "scripts/locked_requirements.py", "pytest")
    assert done.returncode == 1
    assert "no package pytest without dependencies" in done.stderr


def test_shellcheck_finds_nothing() -> None:
    files = sorted(
        str(path.relative_to(ROOT)) for folder in (".ci", "scripts") for path in (ROOT / folder).glob("*.sh")
    )
    assert ".ci/e2e.sh" in files
    done = _run(_beside_python("shellcheck"), ".ci/run", *files)
    assert done.returncode == 0, done.stdout


@pytest.mark.real
def test_actionlint_finds_nothing() -> None:
    workflow = ".github/workflows/ci.yml"
    done = _run(require_tool("actionlint"), "-shellcheck", _beside_python("shellcheck"), workflow)
    assert done.returncode == 0, done.stdout


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _beside_python(name: str) -> str:
    """The linters are Python packages; they are where the interpreter is, on PATH or not."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else require_tool(name)
