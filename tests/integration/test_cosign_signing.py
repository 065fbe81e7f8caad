"""sealgate signs into the real docker-registry; the real cosign verifies it, and each extends what the other stored."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.keys.private_keys import public_pem_of
from sealgate.registry.interface import OCI_MANIFEST
from sealgate.signing import runs
from tests.cli.running import sealgate
from tests.data.cosign import generate
from tests.support.real_tools.cosign import Cosign
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.real

#: Key types that cosign verifies, with the options that it needs for their default algorithms, also for its own.
KINDS: dict[str, tuple[str, ...]] = {
    "ecdsa-p256": (),
    "ecdsa-p384": ("--signature-digest-algorithm=sha384",),
    "ecdsa-p521": ("--signature-digest-algorithm=sha512",),
    "rsa-3072": (),
    "ed25519": (),
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
    monkeypatch.setattr(runs, "RECHECK_SECONDS", 0.0)
    home = tmp_path / "cosign"
    home.mkdir()
    return Cosign(home)


def push(registry: DockerRegistry, repository: str) -> str:
    return f"{registry.host}/{repository}@{generate.push_image(registry, repository, '1')}"


def new_key(cosign: Cosign, name: str, kind: str = "ecdsa-p256") -> Path:
    """Make a key pair where cosign looks for it."""
    key, path = generate_key(KeyType(kind)), cosign.private_key(name)
    path.write_bytes(write_private_key(key, b""))
    path.chmod(0o600)
    path.with_suffix(".pub").write_bytes(public_pem_of(key))
    return path


def sign(registry: DockerRegistry, image: str, key: Path, *options: str) -> Result:
    ran = sealgate("sign", image, "--key", key, "--insecure-registry", registry.host, *options)
    assert ran.exit_code == 0, ran.output
    return ran


@pytest.mark.parametrize("kind", KINDS)
def test_cosign_verifies_every_layout(registry: DockerRegistry, cosign: Cosign, kind: str) -> None:
    key = new_key(cosign, "ours", kind)
    for storage in ("tag", "bundle"):
        image, bundle = push(registry, f"team/{storage}"), storage == "bundle"
        sign(registry, image, key, "--storage", storage, "--annotation", "env=prod")
        cosign.verify(image, "ours", "-a", "env=prod", *KINDS[kind], bundle=bundle)
        with pytest.raises(AssertionError):
            cosign.verify(image, "ours", "-a", "env=test", *KINDS[kind], bundle=bundle)


def test_cosign_verifies_classic_referrers(registry: DockerRegistry, cosign: Cosign) -> None:
    key, image = new_key(cosign, "ours"), push(registry, "team/referrers")
    sign(registry, image, key, "--storage", "referrers")
    cosign.verify(image, "ours", "--experimental-oci11", bundle=False)


def test_sealgate_extends_what_cosign_stored_and_the_other_way_round(registry: DockerRegistry, cosign: Cosign) -> None:
    key = new_key(cosign, "ours")
    for name in ("first", "last"):
        cosign.new_key(name)
    for bundle in (False, True):
        image = push(registry, f"team/{'bundle' if bundle else 'tag'}")
        cosign.sign(image, "first", bundle=bundle)
        sign(registry, image, key, "--storage", "bundle" if bundle else "tag")
        cosign.sign(image, "last", bundle=bundle)
        for name in ("first", "ours", "last"):
            cosign.verify(image, name, bundle=bundle)


def test_signature_that_cosign_made_is_left_alone(registry: DockerRegistry, cosign: Cosign) -> None:
    cosign.new_key("shared")
    image = push(registry, "team/app")
    cosign.sign(image, "shared", bundle=False)
    ran = sign(registry, image, cosign.private_key("shared"), "--output", "json")
    assert json.loads(ran.stdout)[0]["outcome"] == "alreadySigned"


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
