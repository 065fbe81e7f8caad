from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.cli.keys import private_pem
from tests.cli.running import sealgate
from tests.support.builders.key_encodings import explicit_p256
from tests.support.signers.openpgp_certificates import certificates
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.signers.simple_signing import armored_key

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    path = tmp_path / "release.pub"
    path.write_text(public_pem(ec.generate_private_key(ec.SECP256R1())))
    return path


def test_key_has_type_size_fingerprint_and_algorithms(release: Path) -> None:
    shown = sealgate("key", "show", release)
    assert shown.exit_code == 0
    assert "ECDSA, 256 bits" in shown.stdout
    assert "default algorithm   ECDSA_SHA_256" in shown.stdout
    assert "ECDSA_SHA_256, ECDSA_SHA_384, ECDSA_SHA_512" in shown.stdout


@pytest.mark.parametrize(
    ("key", "kind", "size", "default"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "ECDSA", 384, "ECDSA_SHA_384"),
        (ec.generate_private_key(ec.SECP521R1()), "ECDSA", 521, "ECDSA_SHA_512"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519", 256, "ED25519"),
        (new_key("RSA 2048"), "RSA", 2048, "RSA_PKCS1_SHA_256"),
    ],
    ids=["p384", "p521", "ed25519", "rsa2048"],
)
def test_the_json_names_the_fingerprint_that_verdicts_name(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey, kind: str, size: int, default: str
) -> None:
    path = tmp_path / "key.pub"
    path.write_text(public_pem(key))
    shown = sealgate("key", "show", "--output", "json", path)
    (entry,) = json.loads(shown.stdout)
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert entry["fingerprint"] == f"sha256:{hashlib.sha256(der).hexdigest()}"
    assert (entry["type"], entry["size"], entry["defaultAlgorithm"]) == (kind, size, default)
    assert default in entry["algorithms"]
    assert entry["file"] == str(path)


def test_key_is_read_from_standard_input(release: Path) -> None:
    shown = sealgate("key", "show", "-", stdin=release.read_bytes())
    assert shown.exit_code == 0
    assert "sha256:" in shown.stdout


def test_the_good_files_are_shown_beside_the_bad_ones(release: Path, tmp_path: Path) -> None:
    private = tmp_path / "release.key"
    private.write_text(private_pem(ec.generate_private_key(ec.SECP256R1())))
    shown = sealgate("key", "show", release, private, tmp_path / "gone.pub")
    assert shown.exit_code == 2
    assert "sha256:" in shown.stdout
    first, second = shown.stderr.splitlines()
    assert first.startswith(f"Error: {private}: it is a private key, which belongs in no policy")
    assert second == f"Error: cannot read {tmp_path / 'gone.pub'}: No such file or directory"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"\x30\x59\xff\x00", "it is not PEM"),
        (b"hello", "it is not PEM"),
        (b"ssh-ed25519 AAAA", "it is an SSH key"),
        (b"x" * (2 << 20), "larger than the limit of 1048576 bytes"),
    ],
)
def test_input_that_is_not_a_public_key_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "key.pub"
    path.write_bytes(content)
    shown = sealgate("key", "show", path)
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert why in shown.stderr
    assert "Traceback" not in shown.stderr


def test_directory_is_not_a_key(tmp_path: Path) -> None:
    shown = sealgate("key", "show", tmp_path)
    assert shown.exit_code == 2
    assert "Is a directory" in shown.stderr


def test_file_name_with_a_nul_is_refused() -> None:
    shown = sealgate("key", "show", "a\0b")
    assert shown.exit_code == 2
    assert shown.stderr == "Error: cannot read a\\x00b: embedded null byte\n"


def test_standard_output_is_only_json_even_without_keys(tmp_path: Path) -> None:
    shown = sealgate("key", "show", "-o", "json", tmp_path / "gone.pub")
    assert shown.exit_code == 2
    assert json.loads(shown.stdout) == []


def test_several_keys_are_separated(release: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pub"
    other.write_text(public_pem(ed25519.Ed25519PrivateKey.generate()))
    shown = sealgate("key", "show", release, other)
    assert shown.exit_code == 0
    assert shown.stdout.count("\n\n") == 1


def test_the_keys_of_a_keyring_are_shown_with_their_states(tmp_path: Path) -> None:
    path = tmp_path / "keyring.asc"
    path.write_text(armored_key("ed25519") + armored_key("revoked-as-retired"))
    shown = sealgate("key", "show", path)
    assert shown.exit_code == 0
    assert "OpenPGP, Ed25519" in shown.stdout
    assert "in use" in shown.stdout
    assert "is revoked" in shown.stdout
    entries = json.loads(sealgate("key", "show", "--output", "json", path).stdout)
    assert [entry["usable"] for entry in entries] == [True, False]
    assert {entry["type"] for entry in entries} == {"OpenPGP"}


def test_a_keyring_without_a_usable_key_is_wrong_input(tmp_path: Path) -> None:
    path = tmp_path / "keyring.pgp"
    case = certificates()["binding: signature expired since, alone"]
    path.write_bytes(case.certificate)
    shown = sealgate("key", "show", path)
    assert shown.exit_code == 2
    assert "expired at 2024-12-31" in shown.stderr


def test_a_key_with_explicit_curve_parameters_is_wrong_input(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    path.write_text(explicit_p256(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)))
    shown = sealgate("key", "show", path)
    assert shown.exit_code == 2
    assert "RFC 5480" in shown.stderr
