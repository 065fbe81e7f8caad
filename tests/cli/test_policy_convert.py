from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.kritis import allowlist, attestation_policy, authority
from tests.support.signers.simple_signing import armored_key

if TYPE_CHECKING:
    from pathlib import Path

SERVER = "https://grafeas.example.org"
SIGNED_BY = {"type": "signedBy", "keyType": "GPGKeys"}


def policy_json(folder: Path, **requirement: str) -> Path:
    policy = {"default": [{"type": "reject"}], "transports": {"docker": {"quay.io": [{**SIGNED_BY, **requirement}]}}}
    path = folder / "policy.json"
    path.write_text(json.dumps(policy, indent="\t"))
    return path


@pytest.fixture
def kritis(tmp_path: Path) -> Path:
    return write(
        tmp_path / "kritis.yaml", authority(), attestation_policy("signed", "qa"), allowlist("a.example.org@x")
    )


def test_converted_output_is_valid(kritis: Path, tmp_path: Path) -> None:
    ran = sealgate("policy", "convert", kritis, "--grafeas-server", SERVER)
    assert ran.exit_code == 0
    assert "a.example.org@x: not converted" in ran.stderr
    assert "# a.example.org@x: not converted" in ran.stdout
    converted = tmp_path / "converted.yaml"
    converted.write_text(ran.stdout)
    assert sealgate("policy", "check", converted).exit_code == 0


def test_json_is_a_list_for_kubectl(kritis: Path) -> None:
    ran = sealgate("policy", "convert", kritis, "--output", "json")
    document = json.loads(ran.stdout)
    assert (document["kind"], [item["kind"] for item in document["items"]]) == (
        "List",
        ["Authenticator", "VerificationPolicy"],
    )


def test_files_and_standard_input_are_converted_together(tmp_path: Path) -> None:
    path = write(tmp_path / "authority.yaml", authority())
    ran = sealgate("policy", "convert", path, "-", stdin=yaml.safe_dump(attestation_policy("signed", "qa")))
    assert ran.exit_code == 0
    assert [item["kind"] for item in yaml.safe_load_all(ran.stdout)] == ["Authenticator", "VerificationPolicy"]


def test_inconvertible_input_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "kritis.yaml", attestation_policy("signed", "qa"))
    ran = sealgate("policy", "convert", path)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert f"{path}:" in ran.stderr
    assert "no AttestationAuthority qa" in ran.stderr


def test_a_file_that_is_not_there_is_wrong_input() -> None:
    assert sealgate("policy", "convert", "/nonexistent/kritis.yaml").exit_code == 2


def test_key_files_of_a_policy_json_are_read_on_request(tmp_path: Path) -> None:
    key = tmp_path / "key.asc"
    key.write_text(armored_key("ed25519"))
    path = policy_json(tmp_path, keyPath=str(key))
    without = sealgate("policy", "convert", path)
    assert (without.exit_code, "secretRef" in without.stdout) == (0, True)
    read = sealgate("policy", "convert", path, "--read-keys")
    assert (read.exit_code, "BEGIN PGP PUBLIC KEY" in read.stdout) == (0, True)


def test_a_key_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key.asc"
    key.write_bytes(bytes((1 << 20) + 1))
    assert sealgate("policy", "convert", policy_json(tmp_path, keyPath=str(key)), "--read-keys").exit_code == 2


def test_registries_d_locates_signatures(tmp_path: Path) -> None:
    folder = tmp_path / "registries.d"
    folder.mkdir()
    (folder / "default.yaml").write_text("default-docker:\n  lookaside: https://default.example.org\n")
    (folder / "quay.yaml").write_text("docker:\n  quay.io:\n    lookaside: https://sigs.example.org\n")
    (folder / "notes.txt").write_text("[")
    ran = sealgate("policy", "convert", policy_json(tmp_path, keyPath="/key"), "--registries-d", folder)
    assert (ran.exit_code, "https://sigs.example.org" in ran.stdout) == (0, True)


@pytest.mark.parametrize("text", ["[", "- a", "docker: x", "docker: {quay.io: {}}", "default-docker: {}"])
def test_invalid_registries_d_is_refused(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "registries.d"
    folder.mkdir()
    (folder / "a.yaml").write_text("default-docker: {}\ndocker: {quay.io: {}}")
    (folder / "b.yaml").write_text(text)
    ran = sealgate("policy", "convert", policy_json(tmp_path, keyPath="/key"), "--registries-d", folder)
    assert (ran.exit_code, ran.stdout) == (2, "")


def test_registries_d_that_is_not_there_is_refused(tmp_path: Path) -> None:
    ran = sealgate("policy", "convert", policy_json(tmp_path, keyPath="/key"), "--registries-d", tmp_path / "none")
    assert ran.exit_code == 2
