"""Sign a tag with sealgate in a real notary-server, and record what the real notary client says about it.

    python -m tests.data.notary.signed_by_sealgate.generate [FOLDER]

Run it from the root of the checkout. Private keys are thrown away. Into this folder, or the given one, it writes

NAME.json         a fixture as in `tests/data/notary/recorded`, with the files that the server had before (`before`),
                  the roles that were signed for, and their public key
verdicts.json     what the client says about the files as they are served and with one changed byte
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from tests.data.notary.recording import (
    ADMIN,
    EC,
    GUN,
    PASSPHRASE,
    RELEASES,
    RSA,
    TAG,
    Notary,
    manifest_of,
    root_certificate,
)
from tests.support.changes import change_base64
from tests.support.clocks import FakeClock
from tests.support.environments.notary_signing import FixedPassphrases, only
from tests.support.environments.registry_clients import client_for
from tests.support.real_tools.required import require_tool
from tests.support.real_tools.verdicts import Judge, Verdict, write_verdicts
from tests.support.simulators.notary import NotaryRepository, NotarySimulator
from tests.support.simulators.registry import RegistrySimulator, digest_of

from sealgate.clocks import Deadline
from sealgate.formats.interface import Image, Sources
from sealgate.formats.notary.locations import NotaryServer
from sealgate.formats.notary.pins import FirstUsePin
from sealgate.formats.notary.private_keys.stores import TrustDirectory, read_certificate
from sealgate.formats.notary.publishing.ownership import Owner
from sealgate.formats.notary.publishing.publisher import Publisher
from sealgate.formats.notary.sign import NotarySigner
from sealgate.formats.signing import SigningContext
from sealgate.references import parse_reference, parse_repository
from sealgate.registry.credentials import NoCredentials
from sealgate.registry.interface import DOCKER_MANIFEST
from sealgate.trusted_state.stores import MemoryTrustedState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sealgate.formats.notary.publishing.file_signing import KeyStore
    from sealgate.registry.client import RegistryClient

HERE = Path(__file__).parent
#: The algorithm of the delegate's key; none where the owner signs with the targets key.
NAMES: dict[str, Sequence[str] | None] = {"targets": None, "delegate-ecdsa": EC, "delegate-rsa": RSA}
MANIFEST = manifest_of("layer")
#: The places of a signed role's file where a byte is changed for the client.
PLACES = ("hash of the tag", "signature")


def main(target: Path = HERE) -> None:
    """Write fixtures and verdicts into a folder."""
    verdicts = {}
    for name, algorithm in NAMES.items():
        with tempfile.TemporaryDirectory() as folder, Notary(Path(folder)) as notary, registry_client(notary) as client:
            fixture = record(notary, client, algorithm)
        text = json.dumps(fixture, indent=1, sort_keys=True)
        (target / f"{name}.json").write_text(text + "\n")
        with tempfile.TemporaryDirectory() as folder:
            verdicts[name] = {"verdicts": judge(fixture, Path(folder))}
    write_verdicts(target / "verdicts.json", verdicts)


@contextmanager
def registry_client(notary: Notary) -> Iterator[RegistryClient]:
    """Yield a client of the notary server, and of a registry that has the image."""
    with RegistrySimulator() as registry:
        registry.push_manifest(GUN.partition("/")[2], TAG, MANIFEST, DOCKER_MANIFEST)
        mirrors = {"dtr.example.org": registry.host}
        with client_for(registry, insecure=frozenset({notary.address}), mirrors=mirrors) as client:
            yield client


def record(notary: Notary, client: RegistryClient, algorithm: Sequence[str] | None) -> dict[str, Any]:
    """Let an owner begin a repository, sign the tag, and return the fixture."""
    directory = TrustDirectory(notary.folder / "trust", FixedPassphrases((PASSPHRASE,)))
    # A minute ahead: what the server signs meanwhile is not from the future.
    clock = FakeClock((datetime.now(UTC) + timedelta(minutes=1)).replace(microsecond=0))
    publisher = Publisher(
        parse_repository(GUN), NotaryServer(notary.url), FirstUsePin(), directory, context(client, clock)
    )
    owner = Owner(publisher, directory)
    owner.initialise()
    keys: KeyStore = directory
    if algorithm is not None:
        keys = only(notary.signer("alice", algorithm))
        owner.delegate([RELEASES, ADMIN], [read_certificate(notary.folder / "alice.crt")])
    before = notary.files(GUN)
    sign(client, notary.url, keys, clock)
    files = notary.files(GUN)
    roles = ["targets"] if algorithm is None else [RELEASES, ADMIN]
    public = public_key(files, roles[0])
    required = {} if algorithm is None else {"roles": [{"name": role, "keys": [{"pem": public}]} for role in roles]}
    return {
        "gun": GUN,
        "time": clock.now().isoformat(),
        "tag": TAG,
        "manifest": MANIFEST.decode(),
        "spec": {"root": {"pem": root_certificate(files).decode()}, **required},
        "roles": roles,
        "pem": public,
        "before": texts(before),
        "files": texts(files),
    }


def context(client: RegistryClient, clock: FakeClock) -> SigningContext:
    """Return what a signer may use."""
    deadline = Deadline.after(clock, 600)
    session, services = client.session(NoCredentials(), deadline), client.services(deadline)
    sources = Sources(session, services, clock, deadline, MemoryTrustedState())
    return SigningContext(sources, client.writer(NoCredentials(), deadline))


def sign(client: RegistryClient, server: str, keys: KeyStore, clock: FakeClock) -> None:
    """Sign the tag of the image."""
    image = Image(parse_reference(f"{GUN}:{TAG}"), digest_of(MANIFEST))
    NotarySigner(NotaryServer(server), FirstUsePin(), keys).sign(image, context(client, clock))


def public_key(files: Mapping[str, bytes], role: str) -> str:
    """Return the one public key of a role in PEM; of a delegation, its certificate."""
    if role == "targets":
        root = json.loads(files["root"])["signed"]
        (key_id,) = root["roles"]["targets"]["keyids"]
        der = base64.b64decode(root["keys"][key_id]["keyval"]["public"])
        return load_der_public_key(der).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    (key,) = json.loads(files["targets"])["signed"]["delegations"]["keys"].values()
    return base64.b64decode(key["keyval"]["public"]).decode()


def texts(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return files as they are recorded; metadata is text."""
    return {name: data.decode() for name, data in files.items()}


def change(fixture: dict[str, Any], role: str, place: str) -> dict[str, bytes]:
    """Return a role's file with one changed byte, by its role."""
    document = json.loads(fixture["files"][role])
    if place == "signature":
        (signature,) = document["signatures"]
        old = signature["sig"]
    else:
        old = document["signed"]["targets"][TAG]["hashes"]["sha256"]
    assert fixture["files"][role].count(old) == 1
    return {role: fixture["files"][role].replace(old, change_base64(old)).encode()}


def serve(server: NotarySimulator, fixture: dict[str, Any], changed: Mapping[str, bytes]) -> None:
    """Serve the recorded files; changed ones also under the hash of what they replace, as a server that lies."""
    recorded = {name: text.encode() for name, text in fixture["files"].items()}
    repository = server.host_repository(NotaryRepository.of_files(GUN, {**recorded, **changed}))
    for name, data in changed.items():
        repository.files[f"{name}.{hashlib.sha256(recorded[name]).hexdigest()}"] = data


def judge(fixture: dict[str, Any], folder: Path) -> dict[str, list[Verdict]]:
    """Return what the client says about the tag and the roles that name it, by what is changed."""
    role = fixture["roles"][0]
    changes = {"unchanged": {}, **{place: change(fixture, role, place) for place in PLACES}}
    return {place: list(ask(fixture, folder, place, changed)) for place, changed in changes.items()}


def ask(fixture: dict[str, Any], folder: Path, place: str, changed: Mapping[str, bytes]) -> Iterator[Verdict]:
    """Yield what a client with a new trust directory says."""
    (folder / "manifest.json").write_bytes(MANIFEST)
    with NotarySimulator() as server:
        serve(server, fixture, changed)
        environment = {"HOME": str(folder), "PATH": os.defpath, "LC_ALL": "C"}
        judge = Judge(f"notary {version()}", folder, environment, {server.url: "SERVER"})
        options = ("-s", server.url, "-d", f"trust-{place.replace(' ', '-')}")
        yield judge.verdict("notary", *options, "verify", GUN, TAG, "-i", "manifest.json")
        for role in fixture["roles"]:
            yield judge.verdict("notary", *options, "list", GUN, "-r", role)


def version() -> str:
    """Return the version of Debian's package; the program does not know its own."""
    require_tool("notary")
    command = ["dpkg-query", "--show", "--showformat=${Version}", "notary"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
