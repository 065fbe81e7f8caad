"""Record what the programs of other admission tools say about the images of this folder.

    python -m tests.data.peers.record PEER VERSION PROGRAM

Run it from the root of the checkout. PEER is one of the folders here, PROGRAM the path of its program in that version;
README.md says how each is built. It serves the images, asks the program about every image that a policy could be
about, and writes `PEER/verdicts.json`.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tests.data.peers.programs import connaisseur, containers, kyverno, openshift, policy_controller, portieris, ratify
from tests.support.builders.peers import DATA, PEERS, VERDICTS, Peer, image_digests, serve_images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.data.peers.programs.interface import Program
    from tests.support.builders.peers import PeerRegistry

PROGRAMS: Mapping[str, type[Program]] = {
    "policy-controller": policy_controller.PolicyTester,
    "connaisseur": connaisseur.Connaisseur,
    "containers": containers.Skopeo,
    "containers-sigstore": containers.Skopeo,
    "kyverno": kyverno.Kyverno,
    "kyverno-images": kyverno.Kyverno,
    "openshift": openshift.Node,
    "openshift-team": openshift.TeamNode,
    "portieris": portieris.Portieris,
    "portieris-digests": portieris.Portieris,
    "portieris-notary": portieris.Portieris,
    "ratify": ratify.Ratify,
}
#: The most characters of a message that are recorded.
_MAX_MESSAGE = 120
_IMAGE = re.compile(r"(REGISTRY|registry\.example\.org)/[a-z0-9/-]+(@sha256:[0-9a-f]{64}|:1)")


def main(name: str, version: str, path: str) -> None:
    """Record the verdicts of one peer."""
    peer, kind = PEERS[name], PROGRAMS[name]
    with (
        tempfile.TemporaryDirectory() as folder,
        serve_images(tls=kind.tls) as registry,
        closing(kind(path, Path(folder), registry)) as program,
    ):
        recorded = {
            policy: verdicts(peer, program, file, Path(folder), registry) for policy, file in peer.files.items()
        }
    document = {"tool": f"{name} {version}", "policies": recorded}
    (DATA / name / VERDICTS).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def verdicts(peer: Peer, program: Program, file: Path, folder: Path, registry: PeerRegistry) -> dict[str, str]:
    """Return what a program says about the images that a policy could be about."""
    written = folder / file.name
    written.write_text(peer.policy(file, registry.host, registry.url))
    return {
        repository: _cleaned(program.denial(written, peer.image(repository, registry.host)), str(folder), registry.host)
        for repository in image_digests()
        if is_about(file.read_text(), repository)
    }


def is_about(policy: str, repository: str) -> bool:
    """Whether a policy names the first component of a repository, or all of the registry."""
    return any(f"REGISTRY/{part}" in policy for part in (repository.partition("/")[0], "*"))


def _cleaned(message: str, folder: str, registry: str) -> str:
    """Return a message without what differs from run to run."""
    same = _IMAGE.sub("IMAGE", message.replace(registry, "REGISTRY").replace(folder, "FOLDER"))
    return " ".join(same.split())[:_MAX_MESSAGE]


if __name__ == "__main__":
    main(*sys.argv[1:])
