"""`sealgate attest`: predicates of files, attested with a key file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sealgate.signing import runs
from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.private_keys import fingerprint, new_key, public_pem

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.support.simulators.registry import RegistrySimulator

KEY = new_key("ECDSA P-256", "attest")
VULN = "https://cosign.sigstore.dev/attestation/vuln/v1"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a key, a predicate and policies."""
    monkeypatch.setattr(runs, "RECHECK_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    key = tmp_path / "scanner.key"
    key.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.chmod(0o600)
    (tmp_path / "scan.json").write_text('{"critical": 0}')
    required = {"predicateType": VULN, "conditions": ["predicate.critical == 0"]}
    scanned = authenticator("scanned", public_pem(KEY), attestations=[required], signatures="NotRequired")
    write(tmp_path / "policies.yaml", scanned, policy("production", authenticators=["scanned"]))
    return tmp_path


def attest(registry: RegistrySimulator, *arguments: object, kind: str = "vuln") -> Result:
    image = f"{registry.host}/shop/web:1.0"
    fixed = ("--type", kind, "--key", "scanner.key", "--insecure-registry", registry.host)
    return sealgate("attest", image, *fixed, *arguments)


def verify(registry: RegistrySimulator, *arguments: object) -> Result:
    image = f"{registry.host}/shop/web:1.0"
    return sealgate("verify", image, "--policies", "policies.yaml", "--insecure-registry", registry.host, *arguments)


def test_attested_image_verifies_and_shows_the_attestation(registry: RegistrySimulator, folder: Path) -> None:
    assert folder.is_dir()
    digest = registry.push_image("shop/web", "1.0")
    assert verify(registry).exit_code == 1
    ran = attest(registry, "--predicate", "scan.json", "-o", "json")
    assert ran.exit_code == 0, ran.output
    jsonschema.Draft202012Validator(json.loads(sealgate("sign", "--schema").stdout)).validate(json.loads(ran.stdout))
    (entry,) = json.loads(ran.stdout)
    assert (entry["outcome"], entry["keyFingerprint"]) == ("signed", fingerprint(KEY))
    tag = digest.replace(":", "-") + ".att"
    assert entry["location"] == f"{registry.host}/shop/web:{tag}"
    shown = verify(registry)
    assert shown.exit_code == 0, shown.output
    assert f"tag {tag}, layer 1" in " ".join(shown.stdout.split())
    (document,) = json.loads(verify(registry, "-o", "json").stdout)
    (finding,) = document["policies"][0]["findings"]
    assert (finding["reason"], finding["keyFingerprints"], finding["signatures"]) == ("Verified", [fingerprint(KEY)], 1)


def test_denial_names_the_condition_and_the_value(registry: RegistrySimulator, folder: Path) -> None:
    registry.push_image("shop/web", "1.0")
    (folder / "bad.json").write_text('{"critical": 3}')
    assert attest(registry, "--predicate", "bad.json", "--storage", "bundle").exit_code == 0
    shown = verify(registry)
    assert shown.exit_code == 1
    said = " ".join(shown.stdout.replace("│", " ").split())
    assert "condition 1 is false: predicate.critical == 0; the predicate has predicate.critical = 3" in said


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("scan", "{}", "'scan' is neither a URI nor one of slsaprovenance"),
        ("vuln", "{", "--predicate takes a JSON file"),
        ("vuln", '{"a":1,"a":2}', "--predicate takes a JSON file"),
        ("vuln", None, "cannot read missing.json"),
    ],
)
def test_wrong_input_is_a_usage_error(
    registry: RegistrySimulator, folder: Path, kind: str, content: str | None, said: str
) -> None:
    registry.push_image("shop/web", "1.0")
    if content is not None:
        (folder / "predicate.json").write_text(content)
    path = "missing.json" if content is None else "predicate.json"
    ran = attest(registry, "--predicate", path, kind=kind)
    assert ran.exit_code == 2, ran.output
    assert said.replace("'", "") in ran.stderr.replace("'", "")
