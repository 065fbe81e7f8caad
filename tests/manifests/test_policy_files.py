"""Discovery of policy files in directories, checkouts and mounted ConfigMaps."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import yaml

from sealgate.errors import PolicyError
from sealgate.manifests import files as policy_files
from sealgate.manifests.loading import PolicyFiles, load_policy_files
from tests.support.builders.objects import authenticator, policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write(path: Path, *names: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("---\n".join(yaml.safe_dump(policy(name)) for name in names))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys.yaml").write_text(yaml.safe_dump(authenticator()))
    return tmp_path


def names(files: PolicyFiles) -> list[str]:
    return [policy.metadata.name for policy in files.policies]


def problems(*paths: Path | str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load_policy_files(list(paths))
    return [str(problem) for problem in caught.value.problems]


def test_folders_are_searched_for_yaml_and_json(folder: Path) -> None:
    write(folder / "b.yml", "b")
    write(folder / "sub" / "deeper" / "c.YAML", "c1", "c2")
    write(folder / "README.md", "not-read")
    write(folder / "a.yaml.bak", "not-read")

    files = load_policy_files([folder])

    assert names(files) == ["b", "c1", "c2"]
    assert files.files == tuple(str(folder / name) for name in ("b.yml", "keys.yaml", "sub/deeper/c.YAML"))


def test_named_file_is_read_with_any_suffix(folder: Path) -> None:
    write(folder / ".hidden" / "policies.txt", "p")

    assert names(load_policy_files([str(folder / ".hidden" / "policies.txt"), folder])) == ["p"]


def test_hidden_files_and_folders_are_left_out(folder: Path) -> None:
    write(folder / ".git" / "a.yaml", "not-read")
    write(folder / ".a.yaml", "not-read")
    write(folder / "p.yaml", "p")

    assert names(load_policy_files([folder])) == ["p"]


def test_a_mounted_config_map_is_read_once(tmp_path: Path) -> None:
    """The kubelet keeps the files in a hidden folder and changes them all with one link."""
    write(tmp_path / "..2026_01_01" / "p.yaml", "p")
    (tmp_path / "..2026_01_01" / "sub").mkdir()
    (tmp_path / "..2026_01_01" / "sub" / "keys.yaml").write_text(yaml.safe_dump(authenticator()))
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "p.yaml").symlink_to("..data/p.yaml")
    (tmp_path / "sub").symlink_to("..data/sub")

    files = load_policy_files([tmp_path])

    assert names(files) == ["p"]
    assert files.files == (str(tmp_path / "p.yaml"), str(tmp_path / "sub" / "keys.yaml"))


def test_a_file_that_is_reached_twice_is_read_once(folder: Path) -> None:
    write(folder / "p.yaml", "p")
    (folder / "again.yaml").symlink_to("p.yaml")

    assert names(load_policy_files([folder / "p.yaml", folder, folder, folder / "again.yaml"])) == ["p"]


def test_links_in_a_circle_end(folder: Path) -> None:
    write(folder / "a" / "p.yaml", "p")
    (folder / "a" / "up").symlink_to(folder)
    (folder / "a" / "self").symlink_to(".")

    assert names(load_policy_files([folder])) == ["p"]


def test_a_path_that_is_not_there_is_a_problem(folder: Path) -> None:
    assert problems(folder / "missing.yaml", folder) == [
        f"{folder / 'missing.yaml'}: cannot be read: No such file or directory (check the path)"
    ]


def test_dangling_link_is_a_problem(folder: Path) -> None:
    (folder / "p.yaml").symlink_to("nowhere")

    assert "p.yaml: cannot be read" in problems(folder)[0]


def test_an_empty_folder_is_a_problem_that_names_it(tmp_path: Path) -> None:
    (found,) = problems(tmp_path)

    assert (
        f"no Authenticator, SigningPolicy, VerificationException or VerificationPolicy in {tmp_path} (0 files read)"
        in found
    )


def test_several_paths_without_policies_are_all_named(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.txt", "p")
    (tmp_path / "b").mkdir()

    (found,) = problems(tmp_path / "a", tmp_path / "b")

    assert f"{tmp_path / 'a'}, {tmp_path / 'b'}" in found


@contextmanager
def without_privileges() -> Iterator[None]:
    """Drop the right to read every file, also if the tests run as root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_folder_that_may_not_be_read_is_a_problem(folder: Path) -> None:
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(0)

    with without_privileges():
        found = problems(locked)

    assert found[0] == f"{locked}: cannot be read: Permission denied"


def test_impossible_path_is_a_problem() -> None:
    assert "a path must not contain a NUL" in problems("a\0b")[0]


def test_a_file_that_is_not_text_is_a_problem(folder: Path) -> None:
    (folder / "p.yaml").write_bytes(b"a: \xff\n")

    assert problems(folder) == [f"{folder / 'p.yaml'}: not UTF-8: byte 3 (save it as UTF-8 text)"]


def test_byte_order_mark_is_ignored(folder: Path) -> None:
    write(folder / "p.yaml", "p")
    (folder / "p.yaml").write_bytes(b"\xef\xbb\xbf" + (folder / "p.yaml").read_bytes())

    assert names(load_policy_files([folder])) == ["p"]


def test_a_file_that_is_too_large_is_a_problem(folder: Path) -> None:
    with (folder / "p.yaml").open("wb") as stream:
        stream.truncate(policy_files.MAX_BYTES + 1)

    assert "larger than 32 MiB" in problems(folder)[0]


def test_an_endless_file_ends() -> None:
    assert "larger than 32 MiB" in problems("/dev/zero")[0]


def test_too_many_files_are_a_problem(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_files, "MAX_FILES", 2)
    for name in "abc":
        write(folder / f"{name}.yaml", name)

    assert "more than 2 files (name a smaller directory)" in problems(folder)[0]


def test_problems_of_several_files_have_file_names(folder: Path) -> None:
    write(folder / "a.yaml", "p")
    write(folder / "b.yaml", "p")

    (found,) = problems(folder)

    assert found.startswith(f"{folder / 'b.yaml'}:")
    assert f"in {folder / 'a.yaml'}:1" in found
