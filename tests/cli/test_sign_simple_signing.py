"""`sealgate sign --format simpleSigning`: from a key and a store to an image that a policy admits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.signing import runs
from tests.cli.running import sealgate
from tests.formats.simple_signing.test_end_to_end import policies, verify
from tests.support.real_tools.gpg_home import gpg_home
from tests.support.signers.simple_signing import Signer
from tests.support.simulators.lookaside import LookasideSimulator
from tests.support.simulators.openshift import OpenShiftSimulator
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

OPENPGP = Signer()
SECRET_KEYS = Path(__file__).parents[1] / "data" / "openpgp_secret_keys"
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def registry() -> Iterator[OpenShiftSimulator]:
    with OpenShiftSimulator() as registry:
        registry.push_image("team/app", "1")
        yield registry


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RECHECK_SECONDS", 0.0)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "SEALGATE_POLICIES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return key_file(tmp_path, OPENPGP.secret)


def key_file(folder: Path, content: str) -> Path:
    path = folder / "release.asc"
    path.write_text(content)
    path.chmod(0o600)
    return path


def sign(registry: OpenShiftSimulator, *arguments: object, tag: str = "1") -> Result:
    image = f"{registry.host}/team/app:{tag}"
    return sealgate("sign", image, "--format", "simpleSigning", "--insecure-registry", registry.host, *arguments)


def test_signed_image_is_admitted_by_a_policy_with_the_same_key(
    registry: OpenShiftSimulator, key: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sigstore"
    folder.mkdir()
    stores: dict[object, dict[str, Any]] = {
        "openshift": {"openshift": {}},
        folder: {"lookaside": {"url": folder.as_uri()}},
    }
    for store, of_policy in stores.items():
        path = policies(tmp_path, {"inline": OPENPGP.public}, of_policy)
        assert verify(registry, path, "1")[0] == 1
        ran = sign(registry, "--key", key, "--store", store)
        assert ran.exit_code == 0, ran.output
        assert verify(registry, path, "1")[0] == 0
        again = sign(registry, "--key", key, "--store", store, "--output", "json")
        assert json.loads(again.stdout)[0]["outcome"] == "alreadySigned"


def test_file_url_is_the_same_folder(registry: OpenShiftSimulator, key: Path, tmp_path: Path) -> None:
    sign(registry, "--key", key, "--store", tmp_path)
    again = sign(registry, "--key", key, "--store", tmp_path.as_uri(), "--output", "json")
    assert json.loads(again.stdout)[0]["outcome"] == "alreadySigned"


def test_web_server_with_a_private_ca_stores_with_the_credentials_of_the_docker_config(
    registry: OpenShiftSimulator, key: Path, tmp_path: Path
) -> None:
    auth = Auth(mode="basic", users={"robot": "s3cret"})
    with LookasideSimulator(tls=True, auth=auth) as server:
        ca, config = tmp_path / "ca.pem", tmp_path / "config.json"
        ca.write_text(server.ca_pem)
        config.write_text(json.dumps({"auths": {server.host: {"username": "robot", "password": "s3cret"}}}))
        url = f"{server.url}/sigstore"
        trust = ["--registry-ca", f"{server.host}={ca}", "--insecure-registry", server.host]
        ran = sign(registry, "--key", key, "--store", url, *trust)
        assert ran.exit_code == 3
        assert server.files == {}
        ran = sign(registry, "--key", key, "--store", url, *trust, "--docker-config", config)
        assert ran.exit_code == 0, ran.output
        assert len(server.files) == 1


def test_another_identity_is_signed(registry: OpenShiftSimulator, key: Path, tmp_path: Path) -> None:
    identity = "registry.example.org/products/app:1"
    assert sign(registry, "--key", key, "--store", "openshift", "--identity", identity).exit_code == 0
    path = policies(tmp_path, {"inline": OPENPGP.public}, {"openshift": {}})
    image = f"{registry.host}/team/app:1"
    arguments = ["verify", "--policies", path, "--insecure-registry", registry.host, image]
    assert sealgate(*arguments).exit_code == 1
    assert sealgate(*arguments, "--expected-identity", identity).exit_code == 0


def test_passphrase_comes_from_a_file_and_is_never_waited_for(registry: OpenShiftSimulator, tmp_path: Path) -> None:
    key = key_file(tmp_path, (SECRET_KEYS / "encrypted.asc").read_text())
    ran = sign(registry, "--key", key, "--store", "openshift")
    assert ran.exit_code == 1
    assert "protected by a passphrase" in ran.output
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("wrong horse\n")
    ran = sign(registry, "--key", key, "--store", "openshift", "--passphrase-file", passphrase)
    assert ran.exit_code == 1
    assert "the passphrase is not the right one" in ran.output
    assert "wrong horse" not in ran.output
    passphrase.write_text(f"{PASSPHRASE}\n")
    ran = sign(registry, "--key", key, "--store", "openshift", "--passphrase-file", passphrase)
    assert ran.exit_code == 0, ran.output


def test_missing_role_is_reported_for_the_image(registry: OpenShiftSimulator, key: Path) -> None:
    registry.image_signers = False
    ran = sign(registry, "--key", key, "--store", "openshift")
    assert ran.exit_code == 3
    assert "oc adm policy add-cluster-role-to-user system:image-signer" in ran.output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--store", "openshift"], "--key is missing: name the OpenPGP secret key"),
        (["--key", "KEY"], "--store is missing"),
        (["--key", "KEY", "--store", "https://user:secret@a.example.org"], "not the URL of a store"),
        (["--key", "KEY", "--store", "ftp://a.example.org"], "not the URL of a store"),
        (["--key", "KEY", "--store", "https://a.example.org/../b"], "leads elsewhere"),
        (["--key", "KEY", "--store", "openshift", "--identity", "a.example.org/b"], "must have a tag or a digest"),
        (["--key", "KEY", "--store", "openshift", "--algorithm", "ECDSA_SHA_256"], "do not belong to an OpenPGP key"),
        (["--key", "KEY", "--store", "openshift", "--storage", "tag"], "belongs to --format cosign"),
        (["--key", "gpg:DEADBEEF", "--store", "openshift"], "not an OpenPGP fingerprint"),
        (
            ["--key", "alibaba:cn-hongkong/key-1", "--store", "openshift"],
            "is a key of a KMS, and an OpenPGP key is needed",
        ),
        (["--key", "missing.asc", "--store", "openshift"], "cannot read missing.asc"),
    ],
)
def test_wrong_usage_is_named_before_anything_is_asked_for(
    registry: OpenShiftSimulator, key: Path, arguments: list[str], why: str
) -> None:
    ran = sign(registry, *(key if argument == "KEY" else argument for argument in arguments))
    assert ran.exit_code == 2
    assert why in " ".join(ran.output.split())
    assert "user:secret" not in ran.output
    assert registry.requests == []


def test_openpgp_key_with_another_format_is_named(registry: OpenShiftSimulator) -> None:
    ran = sealgate("sign", f"{registry.host}/team/app:1", "--key", f"gpg:{'0' * 40}")
    assert ran.exit_code == 2
    assert "is an OpenPGP key; sign with --format simpleSigning" in " ".join(ran.output.split())


@pytest.mark.real
def test_key_of_gpg_signs_or_is_named_as_locked(
    registry: OpenShiftSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gpg_home(tmp_path / "gnupg") as home:
        monkeypatch.setenv("GNUPGHOME", str(home.path))
        fingerprint = home.key(passphrase=PASSPHRASE)
        home.lock()
        ran = sign(registry, "--key", f"gpg:{fingerprint}", "--store", "openshift")
        assert ran.exit_code == 1
        assert f"gpg:{fingerprint} did not sign: gpg-agent does not have its passphrase" in " ".join(ran.output.split())
        passphrase = tmp_path / "passphrase"
        passphrase.write_text(PASSPHRASE)
        ran = sign(registry, "--key", f"gpg:{fingerprint}", "--store", "openshift", "--passphrase-file", passphrase)
        assert ran.exit_code == 0, ran.output
        path = policies(tmp_path, {"inline": home.export(fingerprint)}, {"openshift": {}})
        assert verify(registry, path, "1")[0] == 0
