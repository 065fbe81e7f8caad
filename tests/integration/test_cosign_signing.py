"""sealgate signs into the real docker-registry; the real cosign verifies it, and each extends what the other stored."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.formats.cosign.sign import Storage
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.keys.private_keys import public_pem_of
from sealgate.keys.public_keys import load_public_key
from sealgate.registry.interface import OCI_MANIFEST
from sealgate.signing import deleting, runs
from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.data.cosign import generate
from tests.data.cosign.signed_by_sealgate import generate as signed_by_sealgate
from tests.support.builders.objects import authenticator
from tests.support.real_tools.cosign import PROGRAMS, Cosign
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.real_tools.required import require_tool
from tests.support.real_tools.verdicts import read_verdicts
from tests.support.signers.cosign import SIGN_PREDICATE
from tests.support.signers.kept_keys import kept_rsa_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from sealgate.keys.private_keys import AnyPrivateKey

pytestmark = pytest.mark.real

#: How each version verifies a bundle: cosign 2 as an attestation only.
BUNDLE_COMMANDS = {
    "cosign": ("verify", "--new-bundle-format"),
    "cosign2": ("verify-attestation", "--new-bundle-format", f"--type={SIGN_PREDICATE}"),
}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def cosign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cosign:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    for module in (runs, deleting):
        monkeypatch.setattr(module, "RECHECK_SECONDS", 0.0)
    home = tmp_path / "cosign"
    home.mkdir()
    return Cosign(home)


def push(registry: DockerRegistry, repository: str) -> str:
    return f"{registry.host}/{repository}@{generate.push_image(registry, repository, '1')}"


def new_key(cosign: Cosign, name: str, kind: str = "ecdsa-p256", passphrase: bytes | None = None) -> Path:
    """Make a key pair where cosign looks for it; cosign reads the private half only with a passphrase."""
    key, path = generate_key(KeyType(kind)), cosign.private_key(name)
    path.write_bytes(write_private_key(key, passphrase))
    path.chmod(0o600)
    path.with_suffix(".pub").write_bytes(public_pem_of(key))
    return path


def kept_key(kind: KeyType) -> AnyPrivateKey:
    """Return a new key, or an RSA key that is kept."""
    family, _, bits = kind.partition("-")
    return kept_rsa_key(int(bits), "signed by sealgate") if family == "rsa" else generate_key(kind)


def sign(registry: DockerRegistry, image: str, key: Path, *options: str) -> Result:
    ran = sealgate("sign", image, "--key", key, "--insecure-registry", registry.host, *options)
    assert ran.exit_code == 0, ran.output
    return ran


def signatures(registry: DockerRegistry, image: str) -> list[dict[str, Any]]:
    ran = sealgate("signatures", image, "--insecure-registry", registry.host, "-o", "json")
    found: list[dict[str, Any]] = json.loads(ran.stdout)[0]["signatures"]
    return found


def delete(registry: DockerRegistry, image: str, *arguments: object, code: int = 0) -> Result:
    ran = sealgate("signatures", "delete", image, *arguments, "--yes", "--insecure-registry", registry.host)
    assert ran.exit_code == code, ran.output
    return ran


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("storage", Storage)
def test_both_versions_say_what_is_recorded(tmp_path: Path, storage: Storage) -> None:
    # The tests of the recordings say of what that is: every key type, what is taken, what is not and what is printed.
    what = [(storage, kind) for kind in signed_by_sealgate.KINDS]
    made = signed_by_sealgate.make(tmp_path / "tools", tmp_path, what, kept_key)
    recorded = read_verdicts(signed_by_sealgate.HERE / "verdicts.json")
    for name, recording in made.items():
        assert recording["verdicts"] == recorded[name]["verdicts"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_both_versions_verify_what_the_command_signs(registry: DockerRegistry, cosign: Cosign, program: str) -> None:
    key, judge = new_key(cosign, "ours"), cosign.of_version(program)
    for storage, options in {
        "tag": ("verify", "--new-bundle-format=false"),
        "referrers": ("verify", "--new-bundle-format=false", "--experimental-oci11"),
        "bundle": BUNDLE_COMMANDS[program],
    }.items():
        image = push(registry, f"team/{storage}")
        assert not judge.judge(image, "ours", *options, "--insecure-ignore-tlog").accepted
        sign(registry, image, key, "--storage", storage)
        assert judge.judge(image, "ours", *options, "--insecure-ignore-tlog").accepted


@pytest.mark.parametrize(("program", "bundle"), [("cosign", False), ("cosign", True), ("cosign2", False)])
def test_sealgate_extends_what_cosign_stored_and_the_other_way_round(
    registry: DockerRegistry, cosign: Cosign, program: str, *, bundle: bool
) -> None:
    theirs, key = cosign.of_version(program), new_key(cosign, "ours")
    for name in ("first", "last"):
        theirs.add_key(name)
    image = push(registry, "team/app")
    theirs.sign(image, "first", bundle=bundle)
    sign(registry, image, key, "--storage", "bundle" if bundle else "tag")
    theirs.sign(image, "last", bundle=bundle)
    for name in ("first", "ours", "last"):
        theirs.verify(image, name, bundle=bundle)


@pytest.mark.parametrize("layout", ["tag", "bundle"])
def test_cosign_no_longer_verifies_what_was_deleted(
    registry: DockerRegistry, cosign: Cosign, tmp_path: Path, layout: str
) -> None:
    bundle, image = layout == "bundle", push(registry, "team/app")
    keys = {name: cosign.add_key(name) for name in ("first", "last")}
    policies = write(tmp_path / "keys.yaml", *(authenticator(name, pem) for name, pem in keys.items()))
    for name in ("first", "last", "first"):
        cosign.sign(image, name, bundle=bundle)
    delete(registry, image, "--key", load_public_key(keys["first"].encode()).fingerprint, "--policies", policies)
    with pytest.raises(AssertionError):
        cosign.verify(image, "first", bundle=bundle)
    cosign.verify(image, "last", bundle=bundle)
    cosign.sign(image, "first", bundle=bundle)
    cosign.verify(image, "first", bundle=bundle)
    for each in signatures(registry, image):
        delete(registry, image, "--id", each["id"])
    for name in keys:
        with pytest.raises(AssertionError):
            cosign.verify(image, name, bundle=bundle)


def test_registry_that_deletes_nothing_keeps_the_last_signature(tmp_path: Path, cosign: Cosign) -> None:
    with DockerRegistry(tmp_path / "kept", deletes=False) as registry:
        image = push(registry, "team/app")
        for name in ("first", "last"):
            cosign.add_key(name)
            cosign.sign(image, name, bundle=False)
        first, last = (entry["id"] for entry in signatures(registry, image))
        delete(registry, image, "--id", first)
        ran = delete(registry, image, "--id", last, code=1)
        assert "allow deletes there (docker-registry: storage.delete.enabled)" in ran.stderr
        cosign.verify(image, "last", bundle=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_signature_that_cosign_made_is_left_alone(registry: DockerRegistry, cosign: Cosign, program: str) -> None:
    key, image = new_key(cosign, "ours", passphrase=b""), push(registry, "team/app")
    # A key file of sealgate signs with cosign, and the other way round.
    for name in ("ours", "theirs"):
        if name == "theirs":
            cosign.new_key(name)
        cosign.of_version(program).sign(image, name, bundle=False)
        ran = sign(registry, image, cosign.private_key(name), "--output", "json")
        assert json.loads(ran.stdout)[0]["outcome"] == "alreadySigned"
    assert key == cosign.private_key("ours")


def test_openssl_verifies_the_signature_of_an_sm2_key(registry: DockerRegistry, cosign: Cosign, tmp_path: Path) -> None:
    key, image = new_key(cosign, "sm2", "sm2"), push(registry, "team/app")
    sign(registry, image, key)
    digest = image.partition("@")[2]
    tag = digest.replace(":", "-") + ".sig"
    (layer,) = json.loads(registry.manifest("team/app", tag, OCI_MANIFEST)[1])["layers"]
    (tmp_path / "payload").write_bytes(registry.blob("team/app", layer["digest"]))
    signature = base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
    (tmp_path / "signature").write_bytes(signature)
    command = [require_tool("openssl"), "dgst", "-sm3", "-verify", str(key.with_suffix(".pub"))]
    options = ["-signature", str(tmp_path / "signature"), "-sigopt", "distid:1234567812345678"]
    subprocess.run([*command, *options, str(tmp_path / "payload")], check=True, capture_output=True)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("storage", ["tag", "bundle"])
def test_cosign_verifies_the_attestations_of_sealgate(
    registry: DockerRegistry, cosign: Cosign, tmp_path: Path, storage: str, program: str
) -> None:
    image, key = push(registry, f"attested/{storage}"), new_key(cosign, "ours")
    predicate = tmp_path / "predicate.json"
    predicate.write_text('{"builder": {"id": "https://builder.example.org"}, "buildType": "t"}')
    options = ("--predicate", predicate, "--type", "slsaprovenance", "--storage", storage, "--key", key)
    for outcome in ("1 signed", "1 already signed"):
        ran = sealgate("attest", image, *options, "--insecure-registry", registry.host)
        assert (ran.exit_code, outcome in ran.stdout) == (0, True), ran.output
    version = cosign.of_version(program)
    version.verify_attestation(image, "ours", "slsaprovenance", bundle=storage == "bundle")
    with pytest.raises(AssertionError):
        version.verify_attestation(image, "ours", "spdxjson", bundle=storage == "bundle")


def test_sealgate_and_cosign_extend_the_same_attestations(
    registry: DockerRegistry, cosign: Cosign, tmp_path: Path
) -> None:
    image, key = push(registry, "attested/both"), new_key(cosign, "ours")
    cosign.add_key("theirs")
    predicate = tmp_path / "predicate.json"
    predicate.write_text("{}")
    cosign.attest(image, "theirs", "openvex", {"by": "cosign"}, bundle=False)
    for _ in range(2):
        options = ("--predicate", predicate, "--type", "cyclonedx", "--key", key)
        ran = sealgate("attest", image, *options, "--insecure-registry", registry.host)
        assert ran.exit_code == 0, ran.output
    cosign.attest(image, "theirs", "openvex", {"by": "cosign again"}, bundle=False)
    cosign.verify_attestation(image, "theirs", "openvex", bundle=False)
    cosign.verify_attestation(image, "ours", "cyclonedx", bundle=False)
