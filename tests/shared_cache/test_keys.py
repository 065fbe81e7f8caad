"""Keys are read from files, and again after a rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.shared_cache.keys import REREAD_SECONDS, KeyFiles
from sealgate.shared_cache.sealing import SealingKey
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = b"o" * 32, b"n" * 32


def _names(files: KeyFiles) -> list[str]:
    return [key.name("tag", []) for key in files.keys()]  # noqa: SIM118 - not a dictionary


def _expected(*secrets: bytes) -> list[str]:
    return [SealingKey(secret, "v1").name("tag", []) for secret in secrets]


def test_keys_appear_once_the_secret_is_mounted(tmp_path: Path) -> None:
    clock = FakeClock()
    files = KeyFiles(tmp_path / "absent", "v1", clock)
    assert _names(files) == []
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "current").write_bytes(OLD)
    assert _names(files) == []
    clock.advance(REREAD_SECONDS)
    assert _names(files) == _expected(OLD)


def test_rotated_key_is_used_and_the_previous_one_accepted(tmp_path: Path) -> None:
    clock, counts = FakeClock(), list[int]()
    (tmp_path / "current").write_bytes(OLD)
    files = KeyFiles(tmp_path, "v1", clock, counts.append)
    assert _names(files) == _expected(OLD)
    (tmp_path / "previous").write_bytes(OLD)
    (tmp_path / "current").write_bytes(NEW)
    clock.advance(REREAD_SECONDS)
    assert _names(files) == _expected(NEW, OLD)
    assert counts == [1, 2]


def test_unusable_keys_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "current").write_bytes(OLD)
    (tmp_path / "previous").write_bytes(b"short")
    assert _names(KeyFiles(tmp_path, "v1", FakeClock())) == _expected(OLD)
    (tmp_path / "current").write_bytes(b"x" * 2000)
    (tmp_path / "previous").write_bytes(OLD)
    assert _names(KeyFiles(tmp_path, "v1", FakeClock())) == []
