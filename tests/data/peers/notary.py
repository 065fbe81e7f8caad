"""Make the images anew that are signed with Notary, with the trust data that a notary server has of them.

    python -m tests.data.peers.notary

Run it from the root of the checkout. It writes

notary/images/      an OCI layout with the images; their repositories say how they are signed
notary/trust.json   the files of each repository, which the simulator of a notary server serves
keys/notary-*.pub   the root keys, and the keys of two signers; the private halves are thrown away

Roots are made out to 127.0.0.1 at any port, where the programs ask. After this the verdicts about these images must be
recorded anew.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.data.cosign.generate import push_image, save_layout
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.signers.notary import Signer, certified, ecdsa_signer
from tests.support.simulators.notary import NotaryRepository

from sealgate.registry.interface import OCI_MANIFEST

HERE = Path(__file__).parent
GUN = "127.0.0.1:*"
BEGINS, NOW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)
ENDS = datetime(2130, 1, 1, tzinfo=UTC)
TARGETS, RELEASES, ALICE, BOB = "targets", "targets/releases", "targets/alice", "targets/bob"
ALL = (RELEASES, ALICE, BOB)
#: The roles that name the image of each repository; those below `targets` exist where one of them is among these.
NAMING = {
    "notary/targets": (TARGETS,),
    "notary/releases": ALL,
    "notary/beside": (TARGETS, ALICE, BOB),
    "notary/alice": (RELEASES, ALICE),
    "notary/unreleased": (ALICE, BOB),
    "notary/moved": ALL,
    "notary/expired": (TARGETS, *ALL),
    "notary/mallory": ALL,
    "notary/stranger": ALL,
    "notary/both": ALL,
}


def main() -> None:
    """Replace the images and the trust data."""
    roots = {name: certified(GUN, begins=BEGINS, ends=ENDS) for name in ("first", "second")}
    signers = {name: ecdsa_signer() for name in ("alice", "bob", "mallory")}
    for name, key in [*roots.items(), ("alice", signers["alice"]), ("bob", signers["bob"])]:
        (HERE / "keys" / f"notary-{name}.pub").write_text(key.public_pem)
    folder = HERE / "notary"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    trust = {}
    with tempfile.TemporaryDirectory() as store, DockerRegistry(Path(store)) as registry:
        for repository in NAMING:
            digest = push_image(registry, repository, "1")
            named = push_image(registry, repository, None, "arm64") if repository == "notary/moved" else digest
            manifest = registry.manifest(repository, named, OCI_MANIFEST)[1]
            files = signed(repository, manifest, roots, signers).files
            trust[repository] = {name: data.decode() for name, data in files.items() if not is_hashed(name)}
        push_image(registry, "notary/unsigned", "1")
        save_layout(registry, folder / "images")
    (folder / "trust.json").write_text(json.dumps(trust, indent=1) + "\n")


def signed(repository: str, manifest: bytes, roots: dict[str, Signer], signers: dict[str, Signer]) -> NotaryRepository:
    """Return the trust data of a repository as its name says."""
    keys = {"notary/stranger": ("second",), "notary/both": ("first", "second")}.get(repository, ("first",))
    made = NotaryRepository(GUN, NOW, roots[keys[0]])
    made.set_keys("root", *(roots[key] for key in keys))
    naming = NAMING[repository]
    if naming != (TARGETS,):
        made.delegate(RELEASES, signers["alice"])
        made.delegate(ALICE, signers["mallory" if repository == "notary/mallory" else "alice"])
        made.delegate(BOB, signers["bob"])
    made.sign_tag("1", manifest, *naming)
    if repository == "notary/expired":
        made.expire(RELEASES, BEGINS)
    return made.publish()


def is_hashed(name: str) -> bool:
    """Return whether a file is there a second time under the name with its hash."""
    return len(name.rpartition(".")[2]) == 64


if __name__ == "__main__":
    main()
