"""Sign images with sealgate in every layout, and record what both versions of cosign, and openssl, say about them.

    python -m tests.data.cosign.signed_by_sealgate.generate [FOLDER]

Run it from the root of the checkout. Into this folder, or the given one, it writes

keys/KIND.pub     the public keys; the private halves are thrown away
layout/           an OCI layout as in `tests/data/cosign`; the repository STORAGE/KIND has one image with one signature
verdicts.json     of each repository the digest of the signature's manifest, and what each tool says about the signature
                  as it is stored and with one changed byte
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.data.cosign.generate import fresh, push_image, save_layout
from tests.support.builders.cosign_layouts import read_blob
from tests.support.builders.stored_signatures import BUNDLE_CHANGES, CLASSIC_CHANGES, read_signature
from tests.support.clocks import FakeClock
from tests.support.real_tools.cosign import PROGRAMS, Cosign
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.real_tools.required import require_tool
from tests.support.real_tools.verdicts import Judge, Verdict, write_verdicts
from tests.support.signers.cosign import SIGN_PREDICATE
from tests.support.simulators.registry import digest_of

from sealgate.clocks import Deadline
from sealgate.formats.cosign.sign import CosignSigner, Storage
from sealgate.formats.interface import Image, Sources
from sealgate.formats.signing import SigningContext, SigningResult
from sealgate.http.settings import HostSettings
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.keys.private_keys import load_private_key, public_pem_of
from sealgate.references import Digest, parse_reference, parse_repository
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sealgate.keys.private_keys import AnyPrivateKey
    from sealgate.keys.signing_keys import SigningKey

HERE = Path(__file__).parent
#: The registry that the signed texts name; the registry that stores them is its mirror.
REGISTRY = "registry.example.org"
PASSPHRASE = "correct horse"
#: A key that cosign has made and encrypted, and one whose signatures have an annotation; both are ECDSA P-256.
ENCRYPTED, ANNOTATED = "encrypted-by-cosign", "annotated"
ANNOTATIONS = {"env": "prod"}
SM2 = KeyType.SM2.value
#: Keys that sign with another hash than the default of their curve: the one that cosign expects unless it is told.
SHORT_HASH = {"ecdsa-p384-sha256": KeyType.ECDSA_P384, "ecdsa-p521-sha256": KeyType.ECDSA_P521}
#: What is signed with, in every layout.
KINDS = (*(kind.value for kind in KeyType if kind is not KeyType.SM2), *SHORT_HASH, ENCRYPTED, ANNOTATED)
#: Everything that is signed; cosign has no SM2 keys.
ALL = (*((storage, kind) for storage in Storage for kind in KINDS), (Storage.TAG, SM2))
#: The hash of signatures, where cosign must be told.
DIGESTS = {"ecdsa-p384": "sha384", "ecdsa-p521": "sha512"}
#: What is changed for the tools, of the places that sealgate's own tests change.
CHANGES = {
    storage: {place: changes[place] for place in places}
    for storage, changes, places in (
        (Storage.TAG, CLASSIC_CHANGES, ("digest in the payload", "annotation", "signature")),
        (Storage.REFERRERS, CLASSIC_CHANGES, ("digest in the payload", "annotation", "signature")),
        (Storage.BUNDLE, BUNDLE_CHANGES, ("digest in the statement", "annotation", "signature")),
    )
}


def main(target: Path = HERE) -> None:
    """Write keys, layout and verdicts into a folder, replacing what is there of them."""
    with tempfile.TemporaryDirectory() as folder:
        write_verdicts(target / "verdicts.json", make(Path(folder), target, ALL))


def make(
    folder: Path,
    target: Path,
    what: Sequence[tuple[Storage, str]],
    generate: Callable[[KeyType], AnyPrivateKey] = generate_key,
) -> dict[str, dict[str, Any]]:
    """Sign images, write keys and layout, and return the digest of each signature with the verdicts about it.

    Args:
        folder: where registry and tools have their files.
        target: where `keys` and `layout` are written.
        what: where signatures are stored, and by which kind of key.
        generate: returns a new private key.
    """
    home = fresh(folder / "home")
    tools = [Cosign(home, program) for program in PROGRAMS]
    keys = {kind: new_key(tools[0], kind, generate) for kind in dict.fromkeys(kind for _, kind in what)}
    public = fresh(target / "keys")
    for kind in keys:
        (public / f"{kind}.pub").write_bytes((home / f"{kind}.pub").read_bytes())
    with DockerRegistry(folder / "registry") as registry:
        for storage, kind in what:
            sign_image(registry, keys[kind], storage, kind)
        save_layout(registry, fresh(target / "layout"))
        return {
            f"{storage}/{kind}": judge_sm2(home, target / "layout")
            if kind == SM2
            else judge(registry, tools, target / "layout", storage, kind)
            for storage, kind in what
        }


def new_key(cosign: Cosign, kind: str, generate: Callable[[KeyType], AnyPrivateKey]) -> SigningKey:
    """Make a key whose public half is where cosign looks for it, and return it as sealgate reads its file."""
    path = cosign.private_key(kind)
    if kind == ENCRYPTED:
        cosign.new_key(kind, passphrase=PASSPHRASE)
    else:
        made = generate(KeyType.ECDSA_P256 if kind == ANNOTATED else SHORT_HASH.get(kind) or KeyType(kind))
        path.write_bytes(write_private_key(made, None))
        path.with_suffix(".pub").write_bytes(public_pem_of(made))
    return load_private_key(path.read_bytes(), "the key file of a test", PASSPHRASE.encode, algorithm_of(kind))


def algorithm_of(kind: str) -> str | None:
    """Return the algorithm that a key signs with; None for the default of its type."""
    return "ECDSA_SHA_256" if kind in SHORT_HASH else None


def sign_image(registry: DockerRegistry, key: SigningKey, storage: Storage, kind: str) -> None:
    """Push an image and sign it."""
    repository = f"{storage}/{kind}"
    sign(registry.host, repository, Digest(push_image(registry, repository, "1")), key, storage, annotations_of(kind))


def sign(
    host: str, repository: str, digest: Digest, key: SigningKey, storage: Storage, annotations: dict[str, str]
) -> SigningResult:
    """Sign an image in a registry under the name that it has in `REGISTRY`; it is always the same time."""
    clock = FakeClock()
    deadline = Deadline.after(clock, 600)
    image = Image(parse_reference(f"{REGISTRY}/{repository}@{digest}"), digest)
    signer = CosignSigner(key, storage, annotations, parse_repository(f"{host}/{repository}"))
    settings = HostSettings(insecure=frozenset({host}), mirrors={REGISTRY: host})
    with RegistryClient(settings, clock=clock) as client:
        sources = Sources(client.session(NoCredentials(), deadline), client.services(deadline), clock, deadline)
        return signer.sign(image, SigningContext(sources, client.writer(NoCredentials(), deadline)))


def annotations_of(kind: str) -> dict[str, str]:
    """Return what is signed besides the image."""
    return ANNOTATIONS if kind == ANNOTATED else {}


def judge(registry: DockerRegistry, tools: list[Cosign], layout: Path, storage: Storage, kind: str) -> dict[str, Any]:
    """Return the digest of a recorded signature, and what every tool says about it in each way that it can be asked.

    With a changed byte each tool is asked in the ways in which it accepted the signature.
    """
    repository = f"{storage}/{kind}"
    stored = read_signature(layout, repository)
    asked = [(tool, way) for tool in tools for way in ways(tool, storage, kind)]
    verdicts = {"unchanged": [ask(registry, repository, kind, *one) for one in asked]}
    accepted = [one for one, verdict in zip(asked, verdicts["unchanged"], strict=True) if verdict.accepted]
    for place, change in CHANGES[storage].items() if kind == ANNOTATED else ():
        changed = f"changed/{storage}-{place.replace(' ', '-')}"
        for part in stored.image_parts:
            registry.push_blob(changed, read_blob(layout, part))
        change(stored).push(registry, changed)
        verdicts[place] = [ask(registry, changed, kind, *one) for one in accepted]
    return {"digest": digest_of(stored.manifest), "verdicts": verdicts}


def ask(registry: DockerRegistry, repository: str, kind: str, tool: Cosign, way: tuple[str, ...]) -> Verdict:
    """Return what a tool says about the image with the tag 1."""
    return tool.judge(f"{registry.host}/{repository}:1", kind, *way, names={registry.host: "REGISTRY"})


def ways(tool: Cosign, storage: Storage, kind: str) -> Iterator[tuple[str, ...]]:
    """Yield the commands, with their options, by which a version of cosign may verify a signature."""
    verify = {
        Storage.TAG: ("verify", "--new-bundle-format=false"),
        Storage.REFERRERS: ("verify", "--new-bundle-format=false", "--experimental-oci11"),
        Storage.BUNDLE: ("verify", "--new-bundle-format"),
    }[storage]
    no_log, private = "--insecure-ignore-tlog", "--private-infrastructure"
    if kind == ANNOTATED:
        yield (*verify, no_log, "--annotations=env=prod")
        yield (*verify, private, "--annotations=env=prod")
        yield (*verify, no_log, "--annotations=env=test")
    else:
        yield (*verify, no_log)
    if kind in DIGESTS:
        yield (*verify, no_log, f"--signature-digest-algorithm={DIGESTS[kind]}")
    if storage is Storage.BUNDLE and tool.major == 2:
        # cosign 2 verifies no bundle as a signature. As an attestation it does, and takes no annotations.
        yield ("verify-attestation", "--new-bundle-format", f"--type={SIGN_PREDICATE}", no_log)


def judge_sm2(folder: Path, layout: Path) -> dict[str, Any]:
    """Return the digest of the signature by the SM2 key, and what openssl says about it."""
    stored = read_signature(layout, f"tag/{SM2}")
    program = require_tool("openssl")
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout.split()[1]
    openssl = Judge(f"openssl {version}", folder, {}, {})
    verdicts = {}
    changes = {name: CLASSIC_CHANGES[name] for name in ("digest in the payload", "signature")}
    for place, changed in {"unchanged": stored, **{name: make(stored) for name, make in changes.items()}}.items():
        (folder / "payload").write_bytes(changed.statement)
        (folder / "signature").write_bytes(changed.signature)
        options = ["-sigopt", "distid:1234567812345678", "-signature", "signature", "payload"]
        verdicts[place] = [openssl.verdict("openssl", "dgst", "-sm3", "-verify", f"{SM2}.pub", *options)]
    return {"digest": digest_of(stored.manifest), "verdicts": verdicts}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
