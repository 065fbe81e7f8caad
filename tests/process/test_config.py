from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from sealgate.errors import ConfigError
from sealgate.process.config import MAX_CONFIG_BYTES, read_config

if TYPE_CHECKING:
    from pathlib import Path


class Settings(BaseModel):
    name: str
    count: int


def problem_of(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(path, Settings)
    assert "config.yaml" in caught.value.message
    return caught.value.message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_a_valid_file_is_read(path: Path) -> None:
    path.write_text("name: a\ncount: 1\n")
    assert read_config(path, Settings) == Settings(name="a", count=1)


def test_every_wrong_field_is_named(path: Path) -> None:
    path.write_text("count: many\n")
    problem = problem_of(path)
    assert "name: Field required" in problem
    assert "count: Input should be" in problem


def test_a_file_over_the_limit_is_refused(path: Path) -> None:
    path.write_bytes(b"name: a\ncount: 1\n".ljust(MAX_CONFIG_BYTES))
    assert read_config(path, Settings).count == 1
    path.write_bytes(b"name: a\ncount: 1\n".ljust(MAX_CONFIG_BYTES + 1))
    assert f"larger than the limit of {MAX_CONFIG_BYTES} bytes" in problem_of(path)


@pytest.mark.parametrize("text", [b"name: secret\n[", b"\xff", b"name: \0"])
def test_a_file_that_is_not_yaml_is_refused_without_its_content(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    problem = problem_of(path)
    assert "is not YAML" in problem
    assert "secret" not in problem


def test_a_missing_file_is_reported(path: Path) -> None:
    assert "cannot be read: No such file" in problem_of(path)
