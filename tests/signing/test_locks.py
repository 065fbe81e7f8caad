"""Locks: one writer at a time for each name, among threads and processes, released by the death of the holder."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import ConfigError, DeadlineError
from sealgate.signing.locks import RepositoryLocks, default_lock_directory
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

NAME = "registry.example.org/team/app"
_HOLD = """
import sys
from pathlib import Path
from sealgate.clocks import Deadline, SystemClock
from sealgate.signing.locks import RepositoryLocks
with RepositoryLocks(Path(sys.argv[1])).hold(sys.argv[2], Deadline.after(SystemClock(), 30)):
    print("held", flush=True)
    sys.stdin.read()
"""


def soon() -> Deadline:
    return Deadline.after(FakeClock(), 1)


def test_second_writer_waits_until_its_deadline(tmp_path: Path) -> None:
    locks = RepositoryLocks(tmp_path / "made" / "on demand")
    with locks.hold(NAME, soon()):
        with pytest.raises(DeadlineError, match=f"another sealgate on this machine is still writing to {NAME}"):
            locks.hold(NAME, soon()).__enter__()
        with locks.hold("registry.example.org/team/other", soon()):
            pass
    with locks.hold(NAME, soon()):
        pass


def test_threads_take_turns(tmp_path: Path) -> None:
    locks, inside, most = RepositoryLocks(tmp_path), [0], [0]

    def write() -> None:
        for _ in range(20):
            with locks.hold(NAME, Deadline.after(SystemClock(), 60)):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_death_of_the_holder_releases_the_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path), NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DeadlineError):
            RepositoryLocks(tmp_path).hold(NAME, soon()).__enter__()
        holder.kill()
        holder.wait()
        with RepositoryLocks(tmp_path).hold(NAME, soon()):
            pass


def test_store_without_a_lock_name_needs_no_lock(tmp_path: Path) -> None:
    with RepositoryLocks(tmp_path / "locks").hold("", soon()):
        pass
    assert not list(tmp_path.iterdir())


def test_directory_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="set XDG_CACHE_HOME"):
        RepositoryLocks(tmp_path / "file" / "locks").hold(NAME, soon()).__enter__()


def test_locks_are_those_of_the_user_and_not_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert str(default_lock_directory()) == "/home/ann/.cache/sealgate/locks"
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert str(default_lock_directory()) == "/cache/sealgate/locks"
