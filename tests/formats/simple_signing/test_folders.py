"""Signatures as numbered files in a directory; no file outside of it is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import NotFoundError, SigningError, UnavailableError, VerificationError
from sealgate.formats.interface import MAX_SIGNATURE_BYTES, MAX_SIGNATURES
from sealgate.formats.simple_signing.folders import read_below, remove_below, rename_below
from sealgate.reasons import Reason
from tests.support.environments.simple_signing import simple_check
from tests.support.examples import examples
from tests.support.signers.simple_signing import keyring, message, subject

if TYPE_CHECKING:
    from tests.support.environments.simple_signing import SimpleSigningEnvironment

GOOD = message("good-ed25519")
SIGNER = keyring("ed25519").fingerprints


def store(base: Path) -> dict[str, Any]:
    return {"lookaside": {"url": base.as_uri()}}


def put(base: Path, *files: bytes) -> Path:
    folder = base / "team" / f"api@{subject().replace(':', '=')}"
    folder.mkdir(parents=True)
    for number, content in enumerate(files, 1):
        (folder / f"signature-{number}").write_bytes(content)
    return folder


def test_files_are_read_by_number(environment: SimpleSigningEnvironment, tmp_path: Path) -> None:
    put(tmp_path, message("by-stranger"), GOOD)
    found = environment.verify(simple_check(store=store(tmp_path)))
    assert [seen.reason for seen in found.signatures] == [Reason.UNKNOWN_KEY, Reason.VERIFIED]
    assert environment.registry.requests == []


def test_a_folder_with_blanks_in_its_name_is_written_as_a_url(
    environment: SimpleSigningEnvironment, tmp_path: Path
) -> None:
    base = tmp_path / "sig store"
    put(base, GOOD)
    assert environment.verify(simple_check(store=store(base))).fingerprints == SIGNER


def test_missing_file_means_unsigned(environment: SimpleSigningEnvironment, tmp_path: Path) -> None:
    assert environment.refusal(simple_check(store=store(tmp_path))).reason is Reason.NO_SIGNATURE
    (tmp_path / "team").write_text("a file where a folder should be")
    assert environment.refusal(simple_check(store=store(tmp_path))).reason is Reason.NO_SIGNATURE


def test_a_folder_that_is_not_there_makes_it_unavailable(environment: SimpleSigningEnvironment, tmp_path: Path) -> None:
    environment.unavailable(simple_check(store=store(tmp_path / "missing")))
    (tmp_path / "file").write_text("x")
    environment.unavailable(simple_check(store=store(tmp_path / "file")))


def test_links_inside_the_folder_are_followed(environment: SimpleSigningEnvironment, tmp_path: Path) -> None:
    put(tmp_path / "..data", GOOD)
    (tmp_path / "team").symlink_to("..data/team")
    assert environment.verify(simple_check(store=store(tmp_path))).fingerprints == SIGNER


def test_the_folder_itself_may_be_a_link(environment: SimpleSigningEnvironment, tmp_path: Path) -> None:
    put(tmp_path / "real", GOOD)
    (tmp_path / "link").symlink_to("real")
    assert environment.verify(simple_check(store=store(tmp_path / "link"))).fingerprints == SIGNER


@pytest.mark.parametrize("target", ["../../../secret", "{}/secret"])
def test_a_link_that_leads_out_is_not_followed(
    environment: SimpleSigningEnvironment, tmp_path: Path, target: str
) -> None:
    base = tmp_path / "base"
    folder = put(base)
    (tmp_path / "secret").write_bytes(GOOD)
    (folder / "signature-1").symlink_to(target.format(tmp_path))
    error = environment.refusal(simple_check(store=store(base)))
    assert error.reason is Reason.MALFORMED_EVIDENCE
    assert "leads out of its folder" in error.message


def test_a_folder_that_is_a_link_out_is_not_followed(environment: SimpleSigningEnvironment, tmp_path: Path) -> None:
    put(tmp_path / "outside", GOOD)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "team").symlink_to(tmp_path / "outside" / "team")
    # Every path there leads outside, so the list never ends.
    error = environment.refusal(simple_check(store=store(tmp_path / "base")))
    assert error.reason is Reason.EVIDENCE_TOO_LARGE
    assert all("leads out" in seen.message for seen in error.signatures)


def test_links_in_a_circle_are_an_error(environment: SimpleSigningEnvironment, tmp_path: Path) -> None:
    folder = put(tmp_path)
    (folder / "signature-1").symlink_to("signature-1")
    environment.unavailable(simple_check(store=store(tmp_path)))


def test_pipe_or_directory_instead_of_a_file_does_not_hang(
    environment: SimpleSigningEnvironment, tmp_path: Path
) -> None:
    folder = put(tmp_path)
    os.mkfifo(folder / "signature-1")
    (folder / "signature-2").mkdir()
    error = environment.refusal(simple_check(store=store(tmp_path)))
    assert [seen.message for seen in error.signatures] == [
        f"team/api@{subject().replace(':', '=')}/signature-{number} is not a plain file" for number in (1, 2)
    ]


def test_a_file_that_is_too_large_is_refused_unread(environment: SimpleSigningEnvironment, tmp_path: Path) -> None:
    folder = put(tmp_path, b"", GOOD)
    os.truncate(folder / "signature-1", 1 << 40)
    found = environment.verify(simple_check(store=store(tmp_path)))
    assert [seen.reason for seen in found.signatures] == [Reason.EVIDENCE_TOO_LARGE, Reason.VERIFIED]


def test_a_file_of_the_most_bytes_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(MAX_SIGNATURE_BYTES))
    assert len(read_below(tmp_path, "x", MAX_SIGNATURE_BYTES)) == MAX_SIGNATURE_BYTES


def test_more_than_the_most_files_are_refused(environment: SimpleSigningEnvironment, tmp_path: Path) -> None:
    put(tmp_path, *[GOOD] * (MAX_SIGNATURES + 1))
    assert environment.refusal(simple_check(store=store(tmp_path))).reason is Reason.EVIDENCE_TOO_LARGE


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files inside and outside of it, and links that lead out and around."""
    root = tmp_path_factory.mktemp("tree")
    base = root / "base"
    (base / "a" / "b").mkdir(parents=True)
    for file in (base / "x", base / "a" / "x", base / "a" / "b" / "x"):
        file.write_bytes(b"inside")
    for file in (root / "x", root / "a", root / "out"):
        file.write_bytes(b"outside")
    (base / "out").symlink_to(root)
    (base / "a" / "out").symlink_to("../../out")
    (base / "loop").symlink_to("a/loop")
    (base / "a" / "loop").symlink_to("../loop")
    return base


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "a", "b", "x", "out", "loop", ""]), min_size=1, max_size=8))
def test_no_name_reads_a_file_outside_of_the_directory(tree: Path, parts: list[str]) -> None:
    try:
        content = read_below(tree, "/".join(parts), 100)
    except (NotFoundError, VerificationError, UnavailableError):
        return
    assert content == b"inside"


def test_nothing_is_removed_or_renamed_outside_of_the_directory(tree: Path) -> None:
    for name in ("out", "a/out", ".."):
        with pytest.raises(SigningError, match="leads out of"):
            remove_below(tree, name, "x")
        with pytest.raises(SigningError, match="leads out of"):
            rename_below(tree, name, "x", "y", replace=True)
    assert (tree.parent / "x").read_bytes() == b"outside"


def test_folder_in_which_nothing_can_be_removed_is_named() -> None:
    # No user can remove files in /proc, not even root.
    with pytest.raises(SigningError, match=r"/proc/self/fd cannot be written to.*make the folder writable"):
        remove_below(Path("/proc/self"), "fd", "0")


def test_file_takes_the_place_of_another_one_only_if_asked(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        (tmp_path / name).write_text(name)
    rename_below(tmp_path, "", "3", "1", replace=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "3"]
    rename_below(tmp_path, "", "3", "1", replace=True)
    rename_below(tmp_path, "", "2", "4", replace=False)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"1": "3", "4": "2"}
