"""Checkpoints of runs over all images of a policy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import ConfigError
from sealgate.signing import checkpoints
from sealgate.signing.checkpoints import Checkpoint, CheckpointFile, default_checkpoint_directory
from tests.support.environments.signing_policies import spec_model

if TYPE_CHECKING:
    from pathlib import Path

NAME = "registry.example.org/shop/web"


@pytest.fixture
def file(tmp_path: Path) -> CheckpointFile:
    return CheckpointFile(tmp_path / "runs", "release", spec_model())


def test_checkpoint_is_read_as_it_was_stored(file: CheckpointFile) -> None:
    checkpoint = Checkpoint((NAME, "v1"), {"signed": 2}, [(f"{NAME}:v0", "the registry is down")])
    file.store(checkpoint)
    assert file.read() == checkpoint
    file.remove()
    assert file.read() is None
    file.remove()


def test_checkpoint_belongs_to_name_and_content_of_the_policy(file: CheckpointFile, tmp_path: Path) -> None:
    file.store(Checkpoint((NAME, "v1")))
    assert CheckpointFile(tmp_path / "runs", "release", spec_model()).read() is not None
    assert CheckpointFile(tmp_path / "runs", "other", spec_model()).read() is None
    assert CheckpointFile(tmp_path / "runs", "release", spec_model(description="changed")).read() is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"after": 5, "counts": {}, "failures": []})])
def test_what_cannot_be_read_is_no_checkpoint(file: CheckpointFile, tmp_path: Path, content: str) -> None:
    file.store(Checkpoint((NAME, "v1")))
    (stored,) = (tmp_path / "runs").iterdir()
    stored.write_text(content)
    assert file.read() is None


def test_bounded_number_of_failures_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "MAX_FAILURES", 2)
    checkpoint = Checkpoint()
    for number in range(3):
        checkpoint.fail(f"{NAME}:v{number}", "why")
    assert len(checkpoint.failures) == 2


def test_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="set XDG_STATE_HOME"):
        CheckpointFile(tmp_path / "file" / "runs", "release", spec_model()).store(Checkpoint())


def test_directory_is_that_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_checkpoint_directory() == tmp_path / "sealgate" / "runs"
