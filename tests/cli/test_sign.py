"""`sealgate sign`: images signed with a key file, one outcome for each image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from sealgate.signing import runs
from tests.cli.running import sealgate
from tests.support.signers.private_keys import fingerprint, new_key
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from click.testing import Result

    from tests.support.simulators.registry import RegistrySimulator

KEY = new_key("ECDSA P-256", "sign")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for contested signatures once more at once; `tests/signing` has the time."""
    monkeypatch.setattr(runs, "RECHECK_SECONDS", 0.0)
    monkeypatch.delenv("COSIGN_PASSWORD", raising=False)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "release.key"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


def sign(registry: RegistrySimulator, *arguments: object) -> Result:
    return sealgate("sign", "--insecure-registry", registry.host, *arguments)


def documents(ran: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def test_image_is_signed_once(registry: RegistrySimulator, key_file: Path) -> None:
    digest = registry.push_image("shop/web", "1.0")
    image = f"{registry.host}/shop/web:1.0"
    first = sign(registry, image, "--key", key_file)
    assert first.exit_code == 0, first.output
    assert "1 image: 1 signed" in first.stdout
    (entry,) = documents(sign(registry, image, "--key", key_file, "-o", "json"))
    assert entry["outcome"] == "alreadySigned"
    assert (entry["subject"], entry["keyFingerprint"]) == (digest, fingerprint(KEY))
    assert entry["location"] == f"{registry.host}/shop/web:{digest.replace(':', '-')}.sig"


def test_failure_of_one_image_does_not_stop_the_others(registry: RegistrySimulator, key_file: Path) -> None:
    registry.push_image("shop/web", "1.0")
    ran = sign(
        registry, f"{registry.host}/shop/gone:1", f"{registry.host}/shop/web:1.0", "--key", key_file, "-o", "json"
    )
    assert [entry["outcome"] for entry in documents(ran)] == ["unavailable", "signed"]
    assert ran.exit_code == 3
    assert f"Error: {registry.host}/shop/gone:1: " in ran.stderr


def test_json_keeps_to_the_published_schema(registry: RegistrySimulator, key_file: Path) -> None:
    schema = json.loads(sealgate("sign", "--schema").stdout)
    assert json.loads((ROOT / "docs/sign.schema.json").read_text()) == schema
    registry.push_image("shop/web", "1.0")
    ran = sign(
        registry, f"{registry.host}/shop/gone:1", f"{registry.host}/shop/web:1.0", "--key", key_file, "-o", "json"
    )
    jsonschema.Draft202012Validator(schema).validate(documents(ran))


def test_every_platform_is_signed_with_recursive(registry: RegistrySimulator, key_file: Path) -> None:
    children = tuple(registry.push_image("shop/web", content=name.encode()) for name in ("amd64", "arm64"))
    index = registry.push_index("shop/web", "1.0", children)
    image = f"{registry.host}/shop/web:1.0"
    assert [entry["subject"] for entry in documents(sign(registry, image, "--key", key_file, "-o", "json"))] == [index]
    ran = sign(registry, image, "--key", key_file, "--recursive", "-o", "json")
    assert {entry["subject"]: entry["outcome"] for entry in documents(ran)} == {
        index: "alreadySigned",
        **dict.fromkeys(children, "signed"),
    }


def test_immutable_tag_is_refused_with_what_helps(registry: RegistrySimulator, key_file: Path) -> None:
    registry.immutable_tags = r"sha256-.*"
    digest = registry.push_image("shop/web", "1.0")
    image = f"{registry.host}/shop/web:1.0"
    assert sign(registry, image, "--key", key_file).exit_code == 0
    before = registry.manifest("shop/web", f"{digest.replace(':', '-')}.sig")
    ran = sign(registry, image, "--key", key_file, "--annotation", "env=prod")
    assert ran.exit_code == 1
    assert "its tag is immutable" in ran.stderr
    assert "--storage referrers or bundle" in ran.stderr
    assert "--signature-repository" in ran.stderr
    assert registry.manifest("shop/web", f"{digest.replace(':', '-')}.sig") == before
    assert sign(registry, image, "--key", key_file, "--annotation", "env=prod", "--storage", "referrers").exit_code == 0


def test_missing_right_to_push_is_named(registry: RegistrySimulator, key_file: Path, tmp_path: Path) -> None:
    registry.auth = Auth("bearer", users={"robot": "s3cret"}, pull_only={"robot"})
    registry.push_image("shop/web", "1.0")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {registry.host: {"username": "robot", "password": "s3cret"}}}))
    ran = sign(registry, f"{registry.host}/shop/web:1.0", "--key", key_file, "--docker-config", config)
    assert ran.exit_code == 3
    assert "repository:shop/web:pull,push" in ran.stderr
    assert "s3cret" not in ran.output


def test_passphrase_comes_from_the_variable_or_a_file(
    registry: RegistrySimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "encrypted.key"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")))
    path.chmod(0o600)
    registry.push_image("shop/web", "1.0")
    image = f"{registry.host}/shop/web:1.0"
    without = sign(registry, image, "--key", path)
    assert without.exit_code == 2
    assert "no terminal to ask on; set COSIGN_PASSWORD, or use --passphrase-file" in without.stderr
    wrong = tmp_path / "passphrase"
    wrong.write_text("open barley\n")
    refused = sign(registry, image, "--key", path, "--passphrase-file", wrong)
    assert (refused.exit_code, "the passphrase is wrong" in refused.stderr, "barley" in refused.output) == (
        2,
        True,
        False,
    )
    monkeypatch.setenv("COSIGN_PASSWORD", "open sesame")
    assert sign(registry, image, "--key", path).exit_code == 0
    wrong.write_text("open sesame\nnot this line")
    monkeypatch.setenv("COSIGN_PASSWORD", "something else")
    assert sign(registry, image, "--key", path, "--passphrase-file", wrong).exit_code == 0


def test_key_file_that_others_can_read_is_warned_of(registry: RegistrySimulator, key_file: Path) -> None:
    key_file.chmod(0o644)
    registry.push_image("shop/web", "1.0")
    ran = sign(registry, f"{registry.host}/shop/web:1.0", "--key", key_file)
    assert ran.exit_code == 0
    assert "can be read by others; protect it: chmod 600" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--key is missing"),
        (("--key", "gone.key"), "cannot read gone.key"),
        (("--key", "KEY", "--algorithm", "RSA_PSS_SHA_256"), "does not fit this ECDSA P-256 key"),
        (("--key", "KEY", "--distinguishing-id", "x"), "only SM2 keys have a distinguishing id"),
        (("--key", "KEY", "--annotation", "prod"), "must have the form KEY=VALUE"),
        (("--key", "KEY", "--signature-repository", "No/Such"), "No/Such"),
    ],
)
def test_wrong_usage_is_explained(
    registry: RegistrySimulator, key_file: Path, arguments: tuple[str, ...], message: str
) -> None:
    given = [key_file if argument == "KEY" else argument for argument in arguments]
    ran = sign(registry, f"{registry.host}/shop/web:1.0", *given)
    assert ran.exit_code == 2
    assert message in ran.stderr
    assert not registry.requests


def test_signature_repository_holds_what_the_image_does_not(registry: RegistrySimulator, key_file: Path) -> None:
    digest = registry.push_image("shop/web", "1.0")
    where = f"{registry.host}/signatures"
    ran = sign(registry, f"{registry.host}/shop/web:1.0", "--key", key_file, "--signature-repository", where)
    assert ran.exit_code == 0, ran.output
    assert registry.repositories["signatures"].tags.keys() == {f"{digest.replace(':', '-')}.sig"}
    assert registry.repositories["shop/web"].tags.keys() == {"1.0"}


@pytest.mark.parametrize("command", [("sign",), ("notary", "init"), ("notary", "delegation", "add")], ids=" ".join)
def test_writers_have_no_option_for_mirrors(command: tuple[str, ...]) -> None:
    shown = sealgate(*command, "--help").stdout
    assert "--registry-mirror" not in shown
    assert "verdict" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--state", "state"), "--state belongs to --format notary, and the format is cosign"),
        (("--kms-endpoint", "https://kms.example.org"), "--kms-endpoint belongs to a key in a KMS"),
        (("--annotation", "env=prod", "--annotation", "env=dev"), "env is given more than once"),
    ],
)
def test_options_without_effect_are_refused(key_file: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = sealgate("sign", "registry.example.org/shop/web:1.0", "--key", key_file, *arguments)
    assert ran.exit_code == 2
    assert message in ran.stderr
