"""Make the fixtures of keyless signatures anew, with a real sigstore and the real cosign 3 and 2.

    SEALGATE_SIGSTORE=PROGRAM python -m tests.data.sigstore.generate [FOLDER]

Run it from the root of the checkout. Into this folder, or the given one, it writes

trusted_root.json     of the sigstore, valid from 2020 on without an end
issuers.json          the issuers of people and of workflows, as the certificates name them
release.pub           a key whose signatures are in the log
recorded/             an OCI layout with an image for each way of signing; its repository says which

The private keys are thrown away. Certificates are verified at the time of the signature, so nothing of it expires.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.data.cosign.generate import fresh, push_image, save_layout
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.real_tools.sigstore import WORKFLOW, SigstoreServices

if TYPE_CHECKING:
    from types import FrameType

HERE = Path(__file__).parent
PERSON = "jane@example.com"


def main(target: Path = HERE) -> None:
    """Write the fixtures into a folder, replacing what is there of them."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        with SigstoreServices(home) as services, DockerRegistry(Path(folder) / "registry") as registry:
            key = services.new_key("release")
            sign_all(registry, services)
            save_layout(registry, fresh(target / "recorded"))
            (target / "trusted_root.json").write_text(services.trusted_root)
            issuers = {kind: services.issuer(kind) for kind in ("user", "ci")}
            (target / "issuers.json").write_text(json.dumps(issuers, indent=2) + "\n")
            (target / "release.pub").write_text(key)


def sign_all(registry: DockerRegistry, services: SigstoreServices) -> None:
    """Push an image for each way of signing, its repository named LAYOUT/WAY."""

    def image(repository: str) -> str:
        return f"{registry.host}/{repository}@{push_image(registry, repository, '1')}"

    for log in (1, 2):
        services.sign(image(f"bundle/rekor{log}"), PERSON, log=log)
        services.sign_with_key(image(f"bundle/key-rekor{log}"), "release", log)
        predicate = ("--type=slsaprovenance1", f"--predicate={_predicate()}")
        services.sign(image(f"attestation/rekor{log}"), WORKFLOW, *predicate, log=log, command="attest")
    services.sign(image("bundle/workflow"), WORKFLOW)
    services.sign(image("bundle/annotated"), PERSON, "-a", "env=prod")
    services.sign_classically(image("classic/rekor1"), PERSON)
    services.sign_classically(image("classic/workflow"), WORKFLOW)
    services.sign_classically(image("classic/timestamp"), PERSON, timestamp=True)
    services.sign_classically(image("classic/key-rekor1"), "--key=release.key")
    predicate = ("--type=slsaprovenance1", f"--predicate={_predicate()}")
    services.sign_classically(image("attestation/classic"), WORKFLOW, *predicate, command="attest")


def _predicate() -> Path:
    """Return the file of a provenance (SLSA 1.0)."""
    return HERE / "predicate.json"


def _end(signal_number: int, _frame: FrameType | None) -> None:
    # timeout(1) sends the signal twice; the second one must not stop the services from being ended.
    signal.signal(signal_number, lambda *_: None)
    sys.exit(128 + signal_number)


if __name__ == "__main__":
    # A time limit ends the program so; the services must end before it, or they would keep their ports.
    signal.signal(signal.SIGTERM, _end)
    main(*map(Path, sys.argv[1:2]))
