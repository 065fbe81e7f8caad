"""Trusted state: versions never decrease, in memory and in a directory."""

from __future__ import annotations

import fcntl
import json
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.clocks import SystemClock
from sealgate.errors import UnavailableError
from sealgate.reasons import Reason
from sealgate.trusted_state.directory import DirectoryTrustedState
from sealgate.trusted_state.records import TrustKey, TrustRecord, decode_record, encode_record
from sealgate.trusted_state.stores import MemoryTrustedState, TrustedState, UnconfiguredTrustedState
from tests.support.clocks import FakeClock
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = TrustKey("https://dtr.example.org", "dtr.example.org/dev/nginx")
OLD = TrustRecord({"root": 1, "timestamp": 5, "targets": 2}, b"root 1")
NEW = TrustRecord({"root": 2, "timestamp": 4, "snapshot": 3}, b"root 2")
BOTH = TrustRecord({"root": 2, "snapshot": 3, "targets": 2, "timestamp": 5}, b"root 2")


@pytest.fixture(params=["memory", "folder"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> TrustedState:
    return MemoryTrustedState() if request.param == "memory" else DirectoryTrustedState(tmp_path / "state")


def test_unknown_key_has_an_empty_record(state: TrustedState) -> None:
    assert state.load(KEY) == TrustRecord()
    assert state.load(KEY).version("root") == 0


def test_higher_version_is_kept_per_role_in_either_order(state: TrustedState) -> None:
    other = TrustKey("https://dtr.example.org", "dtr.example.org/dev/other")
    state.advance(KEY, OLD)
    assert state.advance(KEY, NEW) == BOTH
    state.advance(other, NEW)
    assert state.advance(other, OLD) == BOTH
    assert state.load(KEY) == state.load(other) == BOTH
    assert state.load(TrustKey("https://elsewhere", KEY.name)) == TrustRecord()


def test_first_root_of_a_version_is_kept(state: TrustedState) -> None:
    state.advance(KEY, TrustRecord({"root": 1}, b"first"))
    assert state.advance(KEY, TrustRecord({"root": 1}, b"second")).root == b"first"


def test_description_names_the_file_of_the_record(tmp_path: Path) -> None:
    state = DirectoryTrustedState(tmp_path)
    state.advance(KEY, OLD)
    (path,) = tmp_path.glob("*.json")
    assert str(path) in state.describe(KEY)
    assert KEY.name in path.read_text()
    assert "memory" in MemoryTrustedState().describe(KEY)


def test_directory_outlives_the_process_and_is_private_to_its_user(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    DirectoryTrustedState(folder).advance(KEY, OLD)
    assert DirectoryTrustedState(folder).load(KEY) == OLD
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".lock"]


def test_unchanged_versions_are_not_written_again(tmp_path: Path) -> None:
    state = DirectoryTrustedState(tmp_path)
    state.advance(KEY, OLD)
    (path,) = tmp_path.glob("*.json")
    before = path.stat()
    assert state.advance(KEY, OLD) == OLD
    assert state.advance(KEY, TrustRecord({"timestamp": 4})) == OLD
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_file_names_do_not_contain_repository_names(tmp_path: Path) -> None:
    state = DirectoryTrustedState(tmp_path / "state")
    state.advance(TrustKey("https://dtr.example.org/../..", "../../../etc/passwd\0"), OLD)
    assert {path.name for path in tmp_path.iterdir()} == {"state"}
    assert all(len(path.stem) == 64 for path in (tmp_path / "state").iterdir())


def test_concurrent_writers_never_lower_a_version(tmp_path: Path) -> None:
    class Patient(SystemClock):
        """No writer times out, even on a slow disk."""

        def monotonic(self) -> float:
            return 0.0

    states: list[TrustedState] = [DirectoryTrustedState(tmp_path, Patient()) for _ in range(4)]
    seen: list[list[int]] = [[] for _ in states]

    def write(number: int) -> None:
        for version in range(1, 13):
            record = TrustRecord({"timestamp": version, f"targets/{number}": version})
            seen[number].append(states[number].advance(KEY, record).version("timestamp"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(states))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(versions == sorted(versions) for versions in seen)
    expected = {f"targets/{number}": 12 for number in range(len(states))} | {"timestamp": 12}
    assert states[0].load(KEY).versions == expected


def test_wait_for_a_hanging_writer_times_out(tmp_path: Path) -> None:
    clock = FakeClock()
    state = DirectoryTrustedState(tmp_path, clock)
    state.advance(KEY, OLD)
    with (tmp_path / f"{KEY.hashed}.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError, match="locked") as caught:
            state.advance(KEY, NEW)
    assert caught.value.reason is Reason.STATE_UNAVAILABLE
    assert 5 <= clock.monotonic() < 6
    assert state.load(KEY) == OLD


def test_a_crash_while_writing_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = DirectoryTrustedState(tmp_path)
    state.advance(KEY, OLD)

    def crash(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            state.advance(KEY, NEW)
    assert DirectoryTrustedState(tmp_path).load(KEY) == OLD
    assert not list(tmp_path.glob("*.tmp"))
    assert DirectoryTrustedState(tmp_path).advance(KEY, NEW) == BOTH


def _change(**members: object) -> Callable[[dict[str, object]], dict[str, object]]:
    return lambda record: {**record, **members}


@pytest.mark.parametrize(
    "change",
    [
        _change(name="dtr.example.org/dev/other"),
        _change(server="https://other"),
        _change(versions=[]),
        _change(versions={"root": 0}),
        _change(versions={"root": True}),
        _change(versions={"root": "1"}),
        _change(versions={"timestamp": 5}),
        _change(root=None),
        _change(root=7),
        _change(root="%%%"),
        _change(more=1),
        lambda record: {key: record[key] for key in record if key != "root"},
    ],
)
def test_damaged_record_is_an_error_and_not_empty(
    tmp_path: Path, change: Callable[[dict[str, object]], dict[str, object]]
) -> None:
    state = DirectoryTrustedState(tmp_path)
    state.advance(KEY, OLD)
    (path,) = tmp_path.glob("*.json")
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UnavailableError, match="damaged") as caught:
        state.load(KEY)
    assert caught.value.reason is Reason.STATE_UNAVAILABLE
    with pytest.raises(UnavailableError, match="damaged"):
        state.advance(KEY, NEW)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"7", b"[" * 100_000, b" " * (16 << 20) + b"{}"])
def test_file_that_is_not_a_record_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / f"{KEY.hashed}.json").write_bytes(data)
    with pytest.raises(UnavailableError, match="damaged"):
        DirectoryTrustedState(tmp_path).load(KEY)


def test_a_record_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / f"{KEY.hashed}.json").mkdir()
    with pytest.raises(UnavailableError, match="cannot be read"):
        DirectoryTrustedState(tmp_path).load(KEY)


def test_unconfigured_store_raises_errors() -> None:
    state = UnconfiguredTrustedState()
    with pytest.raises(UnavailableError, match="no trusted state") as caught:
        state.load(KEY)
    assert caught.value.reason is Reason.STATE_UNAVAILABLE
    with pytest.raises(UnavailableError, match="no trusted state"):
        state.advance(KEY, OLD)
    assert state.describe(KEY) == "nowhere"


VERSIONS = st.dictionaries(st.sampled_from(["timestamp", "snapshot", "targets"]), st.integers(1, 9))
RECORDS = st.builds(
    lambda versions, root: TrustRecord(
        {**versions, "root": root} if root else versions, bytes([root]) if root else None
    ),
    VERSIONS,
    st.integers(0, 9),
)


@given(RECORDS, RECORDS, RECORDS)
@settings(max_examples=examples(100))
def test_merging_is_monotonic_and_commutative(a: TrustRecord, b: TrustRecord, c: TrustRecord) -> None:
    merged = a.merged(b)
    assert all(merged.version(role) >= max(a.version(role), b.version(role)) for role in merged.versions)
    assert merged == b.merged(a)
    assert merged.merged(c) == a.merged(b.merged(c))
    assert merged.merged(a) == merged
    assert decode_record(encode_record(merged, KEY), KEY) == merged


@given(st.binary(max_size=200))
@settings(max_examples=examples(100))
def test_invalid_record_raises_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the tests above check the messages
        decode_record(data, KEY)
