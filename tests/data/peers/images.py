"""Make the images anew over which the verdicts of peers are recorded, with the real cosign, gpg and skopeo.

    python -m tests.data.peers.images

Run it from the root of the checkout. It writes

keys/NAME.pub        the keys of the release and of a stranger; the private halves are thrown away
keys/NAME.crt        the CAs of Notation's signers
keys/NAME.asc        the keys of simple signing
keys/NAME-rsa.asc    the same of RSA, as Portieris reads no Ed25519
images/              an OCI layout with an image for each way of signing; its repository says which
simple-signing.json  the signed messages about images of `simple/`

The images of identities are those of `tests/data/sigstore`. Signatures name their images in `registry.example.org`.
After this every verdict must be recorded anew.
"""

from __future__ import annotations

import base64
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.data.cosign.generate import fresh, push_image, push_index, save_layout
from tests.support.real_tools.cosign import Cosign
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.real_tools.gpg_home import gpg_home
from tests.support.signers.cosign import signature_tag
from tests.support.signers.notation import Authority, EnvelopeOf, payload_for, push_envelope
from tests.support.simulators.http_messages import encode

from sealgate.formats.notation.wire.envelope import ARTIFACT_TYPE, COSE_TYPE, JWS_TYPE
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST

HERE = Path(__file__).parent
IMAGES = HERE / "images"
#: Where the signatures of `key/elsewhere` are.
ELSEWHERE = "signatures/shop"
_SIGNED_AS = "--sign-container-identity=registry.example.org"
_PROVENANCE = {"builder": {"id": "https://ci.example.org"}, "buildType": "https://ci.example.org/image"}
_BEGIN, _LIFETIME = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=36500)


def main() -> None:
    """Replace the keys and the images."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        cosign = Cosign(home)
        keys = fresh(HERE / "keys")
        for name in ("release", "stranger"):
            (keys / f"{name}.pub").write_text(cosign.new_key(name))
        with DockerRegistry(Path(folder) / "registry") as registry:
            sign_with_keys(registry, cosign)
            attest_with_keys(registry, cosign)
            sign_simply(registry, Path(folder))
            for name in ("release", "stranger"):
                authority = Authority(f"{name} root", _BEGIN, _LIFETIME)
                (keys / f"{name}.crt").write_text(authority.pem)
                sign_with_notation(registry, f"notation/{name}", authority, JWS_TYPE)
                if name == "release":
                    sign_with_notation(registry, "notation/cose", authority, COSE_TYPE)
            save_layout(registry, fresh(IMAGES))


def sign_with_keys(registry: DockerRegistry, cosign: Cosign) -> None:
    """Push images with cosign signatures by keys, without log entries."""

    def sign(repository: str, key: str, *options: str, bundle: bool = False, **environment: str) -> str:
        image = f"{registry.host}/{repository}@{push_image(registry, repository, '1')}"
        identity = () if bundle else (f"{_SIGNED_AS}/{repository}",)
        cosign.sign(image, key, *identity, *options, bundle=bundle, environment=environment)
        return image.partition("@")[2]

    signed = sign("key/classic", "release")
    sign("key/bundle", "release", bundle=True)
    sign("key/stranger", "stranger")
    sign("key/both", "release")
    sign("key/both", "stranger")
    sign("key/annotated", "release", "-a", "env=prod")
    sign("key/elsewhere", "release", COSIGN_REPOSITORY=f"{registry.host}/{ELSEWHERE}")
    push_image(registry, "key/unsigned", "1")
    renamed = push_image(registry, "key/renamed", "1")
    cosign.sign(f"{registry.host}/key/renamed@{renamed}", "release", f"{_SIGNED_AS}/key/classic", bundle=False)
    index = push_index(registry, "key/index")
    cosign.sign(f"{registry.host}/key/index@{index}", "release", f"{_SIGNED_AS}/key/index", bundle=False)
    copied = push_image(registry, "key/copied", "1")
    media_type, body = registry.manifest("key/classic", signature_tag(signed), OCI_MANIFEST)
    document = json.loads(body)
    for blob in (document["config"], *document["layers"]):
        registry.push_blob("key/copied", registry.blob("key/classic", blob["digest"]))
    registry.push_manifest("key/copied", signature_tag(copied), body, media_type)


def attest_with_keys(registry: DockerRegistry, cosign: Cosign) -> None:
    """Push images with attestations by keys, without log entries; one is signed as well."""
    classic = cosign.of_version("cosign2")
    for repository, key, predicate_type in (
        ("attested/slsa", "release", "slsaprovenance"),
        ("attested/spdx", "release", "spdxjson"),
        ("attested/stranger", "stranger", "slsaprovenance"),
        ("attested/signed", "release", "slsaprovenance"),
    ):
        image = f"{registry.host}/{repository}@{push_image(registry, repository, '1')}"
        classic.attest(image, key, predicate_type, _PROVENANCE)
        if repository == "attested/signed":
            classic.sign(image, key, f"{_SIGNED_AS}/{repository}", bundle=False)
    image = f"{registry.host}/attested/bundle@{push_image(registry, 'attested/bundle', '1')}"
    cosign.attest(image, "release", "slsaprovenance", _PROVENANCE)


def sign_simply(registry: DockerRegistry, folder: Path) -> None:
    """Push images with simple signing: by whom, and for which name, is in their repositories."""
    messages: dict[str, list[str]] = {}
    with gpg_home(folder / "gnupg") as gpg:
        for name, algorithm in (
            *(("release", "ed25519"), ("stranger", "ed25519")),
            *(("release-rsa", "rsa2048"), ("stranger-rsa", "rsa2048")),
        ):
            gpg.run("--quick-gen-key", f"{name}@example.org", algorithm, "sign", "never")
            (HERE / "keys" / f"{name}.asc").write_text(gpg.export(f"{name}@example.org"))
        for repository, key, signed_as in (
            ("simple/release", "release", "registry.example.org/simple/release:1"),
            ("simple/stranger", "stranger", "registry.example.org/simple/stranger:1"),
            ("simple/renamed", "release", "registry.example.org/simple/release:1"),
            ("simple/other-tag", "release", "registry.example.org/simple/other-tag:2"),
            ("simple/mirrored", "release", "vendor.example.com/simple/mirrored:1"),
        ):
            digest = push_image(registry, repository, "1")
            manifest, message = folder / "manifest", folder / "message"
            manifest.write_bytes(registry.manifest(repository, digest, OCI_MANIFEST)[1])
            messages[repository] = []
            for name in (key, f"{key}-rsa"):
                gpg.skopeo("standalone-sign", str(manifest), signed_as, f"{name}@example.org", "-o", str(message))
                messages[repository].append(base64.b64encode(message.read_bytes()).decode())
    push_image(registry, "simple/unsigned", "1")
    (HERE / "simple-signing.json").write_text(json.dumps(messages, indent=1) + "\n")


def sign_with_notation(registry: DockerRegistry, repository: str, authority: Authority, media_type: str) -> None:
    """Push an image with a Notation signature, found by the fallback tag of its referrers."""
    digest = push_image(registry, repository, "1")
    body = registry.manifest(repository, digest, OCI_MANIFEST)[1]
    key, chain = authority.issue()
    envelope = EnvelopeOf(key, chain, payload_for(body, digest), time=_BEGIN + timedelta(days=1))
    subject = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(body)}
    signature = push_envelope(
        registry, repository, digest, envelope.of(media_type), media_type, changes={"subject": subject}
    )
    size = len(registry.manifest(repository, signature, OCI_MANIFEST)[1])
    entry = {"mediaType": OCI_MANIFEST, "artifactType": ARTIFACT_TYPE, "digest": signature, "size": size}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    registry.push_manifest(repository, digest.replace(":", "-"), encode(index), OCI_INDEX)


if __name__ == "__main__":
    main()
