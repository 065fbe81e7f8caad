from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from sealgate.api.crds import render_crds
from tests.cli.running import sealgate

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [f"{plural}.sealgate.dev" for plural in ("authenticators", "verificationpolicies", "verificationexceptions")]


def test_crd_output_is_valid_for_kubectl() -> None:
    ran = sealgate("crd")
    assert ran.exit_code == 0
    assert [document["metadata"]["name"] for document in yaml.safe_load_all(ran.stdout)] == NAMES


def test_crd_prints_a_list_in_json() -> None:
    listed = json.loads(sealgate("crd", "--output", "json").stdout)
    assert listed["kind"] == "List"
    assert [item["metadata"]["name"] for item in listed["items"]] == NAMES


def test_crd_writes_one_file_a_kind(tmp_path: Path) -> None:
    ran = sealgate("crd", "--directory", str(tmp_path))
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == render_crds()


def test_unwritable_directory_is_reported(tmp_path: Path) -> None:
    ran = sealgate("crd", "--directory", str(tmp_path / "none"))
    assert ran.exit_code == 2
    assert "cannot write" in ran.stderr
