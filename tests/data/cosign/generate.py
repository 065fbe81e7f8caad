"""Make the cosign fixtures anew, from nothing but the real cosign, openssl and docker-registry.

    python -m tests.data.cosign.generate [FOLDER]

Run it from the root of the checkout. Into this folder, or the given one, it writes

keys/NAME.pub     public keys that cosign made or imported; the private halves are thrown away
layout/           the images of the demo, signed classically
recorded/         an image for each way of signing; its repository says which

The two layouts are OCI image layouts with several repositories each: `index.json` names every manifest
`repository:tag`, signature tags and fallback tags of referrers included. Images are one file of a few bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.support.builders.cosign_layouts import DATA, REF_NAME
from tests.support.real_tools.cosign import KINDS, Cosign
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.signers.cosign import CONFIG_TYPE, descriptor, signature_tag
from tests.support.simulators.http_messages import encode

from sealgate.registry.interface import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
SLSA = "slsaprovenance1"
_ACCEPT = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_LIST}, {DOCKER_MANIFEST}"


def main(target: Path = DATA) -> None:
    """Write keys and layouts into a folder, replacing what is there of them."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "home").mkdir()
        cosign = Cosign(work / "home")
        keys = {name: cosign.new_key(name) for name in ("release", "stranger", "p256")}
        keys |= {kind: cosign.new_key(kind, kind) for kind in KINDS}
        with DockerRegistry(work / "demo") as registry:
            make_demo(registry, cosign)
            save_layout(registry, fresh(target / "layout"))
        with DockerRegistry(work / "recorded") as registry:
            make_recorded(registry, cosign)
            save_layout(registry, fresh(target / "recorded"))
    folder_of_keys = fresh(target / "keys")
    for name, pem in keys.items():
        (folder_of_keys / f"{name}.pub").write_text(pem)


def make_demo(registry: DockerRegistry, cosign: Cosign) -> None:
    """Push the demo's four images: signed, unsigned, signed by a stranger, with a signature of another image."""
    signed = push_image(registry, "demo/signed", "1")
    push_image(registry, "demo/unsigned", "1")
    stranger = push_image(registry, "demo/stranger", "1")
    copied = push_image(registry, "demo/copied", "1")
    identity = "--sign-container-identity=registry.example.org/demo/"
    cosign.sign(f"{registry.host}/demo/signed@{signed}", "release", f"{identity}signed", bundle=False)
    cosign.sign(f"{registry.host}/demo/stranger@{stranger}", "stranger", f"{identity}stranger", bundle=False)
    media_type, body = registry.manifest("demo/signed", signature_tag(signed), _ACCEPT)
    document = json.loads(body)
    for blob in (document["config"], *document["layers"]):
        registry.push_blob("demo/copied", registry.blob("demo/signed", blob["digest"]))
    registry.push_manifest("demo/copied", signature_tag(copied), body, media_type)


def make_recorded(registry: DockerRegistry, cosign: Cosign) -> None:
    """Push an image for each way of signing, its repository named LAYOUT/WAY."""

    def image(repository: str) -> str:
        return f"{registry.host}/{repository}@{push_image(registry, repository, '1')}"

    for kind in ("p256", *KINDS):
        name = f"classic/{kind}"
        cosign.sign(image(name), kind, f"--sign-container-identity=registry.example.org/{name}", bundle=False)
    for kind in KINDS:
        cosign.sign(image(f"bundle/{kind}"), kind, bundle=True)
    annotations = ("-a", "env=prod", "-a", "team=payments")
    cosign.sign(image("classic/annotated"), "p256", *annotations, bundle=False)
    cosign.sign(image("bundle/annotated"), "p256", *annotations, bundle=True)
    cosign.sign_as_referrer(image("referrer/p256"), "p256")
    docker = {"COSIGN_DOCKER_MEDIA_TYPES": "1"}
    cosign.sign(image("classic/docker-media-types"), "p256", bundle=False, environment=docker)
    cosign.attest(image("attestation/p256"), "p256", SLSA)
    both = image("bundle/attested")
    cosign.attest(both, "p256", SLSA)
    # One process signs all that it can: it decrypts its key once.
    for layout, more in (("classic", ()), ("bundle", (both, image("bundle/p256")))):
        twice = image(f"{layout}/two-keys")
        index = f"{registry.host}/{layout}/index@{push_index(registry, f'{layout}/index')}"
        cosign.sign((twice, index, *more), "p256", bundle=layout == "bundle")
        cosign.sign(twice, "p384", bundle=layout == "bundle")


def push_image(registry: DockerRegistry, repository: str, tag: str | None, architecture: str = "amd64") -> str:
    """Push an image of one layer with one file, always the same for the same arguments."""
    content = f"{repository} for {architecture}\n".encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT, bufsize=512) as archive:
        member = tarfile.TarInfo("hello")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    # Two blocks of zeros end an archive; Python pads it to ten kilobytes.
    layer = packed.getvalue()[: 4 * 512]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(registry, repository, encode(config), CONFIG_TYPE),
        "layers": [descriptor(registry, repository, layer, LAYER_TYPE)],
    }
    return registry.push_manifest(repository, tag, encode(manifest), OCI_MANIFEST)


def push_index(registry: DockerRegistry, repository: str) -> str:
    """Push an image for two platforms and return the digest of its index."""
    listed = []
    for architecture in ("amd64", "arm64"):
        digest = push_image(registry, repository, architecture, architecture)
        size = len(registry.manifest(repository, digest, _ACCEPT)[1])
        platform = {"architecture": architecture, "os": "linux"}
        listed.append({"mediaType": OCI_MANIFEST, "digest": digest, "size": size, "platform": platform})
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    return registry.push_manifest(repository, "1", encode(index), OCI_INDEX)


def save_layout(registry: DockerRegistry, folder: Path) -> None:
    """Write everything that a registry holds as one OCI layout."""
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}\n')
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    listed = []
    for repository in registry.repositories():
        for tag in registry.tags(repository):
            entry = save_manifest(registry, repository, tag, blobs)
            listed.append({**entry, "annotations": {REF_NAME: f"{repository}:{tag}"}})
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n")


def save_manifest(registry: DockerRegistry, repository: str, reference: str, blobs: Path) -> dict[str, Any]:
    """Write a manifest and all that it names, and return its descriptor."""
    media_type, body = registry.manifest(repository, reference, _ACCEPT)
    document = json.loads(body)
    for child in document.get("manifests", ()):
        save_manifest(registry, repository, child["digest"], blobs)
    for blob in (document.get("config"), *document.get("layers", ())):
        if blob is not None:
            save_blob(blobs, registry.blob(repository, blob["digest"]))
    return {"mediaType": media_type, "digest": save_blob(blobs, body), "size": len(body)}


def save_blob(blobs: Path, data: bytes) -> str:
    """Write a blob under its digest and return that."""
    name = hashlib.sha256(data).hexdigest()
    (blobs / name).write_bytes(data)
    return f"sha256:{name}"


def fresh(folder: Path) -> Path:
    """Return a folder, emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
