"""Sign an image with sealgate and OpenPGP keys, and record what gpg and skopeo say about the signatures.

    python -m tests.data.simple_signing.signed_by_sealgate.generate [FOLDER]

Run it from the root of the checkout. The keys are those of `tests/data/openpgp_secret_keys`, which protect nothing.
Into this folder, or the given one, it writes

manifest.json     the image's manifest
KEY.asc, KEY.sig  the public half of a key, and the signature by it, as it is in a lookaside folder
KEY.put.json      what was sent to OpenShift's extension of the registry to store the same signature
verdicts.json     of each key the hash of the signature, when it was made, and what each tool says about it as it is
                  stored and with one changed byte
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pysequoia
from tests.support.changes import change_byte
from tests.support.environments.simple_signing_signer import SigningEnvironment
from tests.support.real_tools.gpg_home import Home, gpg_home
from tests.support.real_tools.required import require_tool
from tests.support.real_tools.verdicts import Judge, Verdict, write_verdicts
from tests.support.signers.replayed import ReplayedOpenPGPKey
from tests.support.simulators.openshift import OpenShiftSimulator

from sealgate.formats.simple_signing.sign import SimpleSigner, parse_identity
from sealgate.formats.simple_signing.stores import FolderStore, OpenShiftStore
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.keys.openpgp.secret_keys import SecretKeyFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.formats.signing import SigningResult
    from sealgate.formats.simple_signing.storing import WritableStore
    from sealgate.keys.openpgp.signing import OpenPGPSigner

HERE = Path(__file__).parent
SECRET_KEYS = HERE.parents[1] / "openpgp_secret_keys"
PASSPHRASE = "correct horse battery staple"
REPOSITORY, TAG = "team/api", "1.4"
#: The name that is signed; the registry of a test has another address.
NAME = f"registry.example.org/{REPOSITORY}:{TAG}"
KEYS = ("rsa-3072", "dsa-2048", "ed25519", "p256", "p521", "encrypted", "two-signing-subkeys")
#: skopeo 1.9 is no referee for subkeys that sign; gpg is.
SUBKEYS = frozenset({"two-signing-subkeys"})
#: Where a byte is changed for the tools: after a text of the payload, or the last byte, which is the signature's own.
CHANGES = {
    "digest in the payload": '"docker-manifest-digest":"sha256:',
    "name in the payload": '"docker-reference":"',
    "signature": None,
}


def main(target: Path = HERE) -> None:
    """Write signatures and verdicts into a folder, replacing what is there of them."""
    recorded = {name: record(target, name) for name in KEYS}
    for name, recording in recorded.items():
        with tempfile.TemporaryDirectory() as folder, gpg_home(Path(folder) / "gnupg") as home:
            recording["verdicts"] = Tools(home, Path(folder), target, name).judge()
    write_verdicts(target / "verdicts.json", recorded)


def record(target: Path, name: str) -> dict[str, Any]:
    """Sign the image with a key, write what is stored, and return its hash and when it was made."""
    secret = (SECRET_KEYS / f"{name}.asc").read_bytes()
    with tempfile.TemporaryDirectory() as folder, SigningEnvironment() as environment:
        (target / "manifest.json").write_bytes(push_image(environment))
        key = SecretKeyFile(secret, name, environment.clock.now(), lambda: PASSPHRASE)
        sign(environment, key, FolderStore(Path(folder)))
        (path,) = Path(folder).glob("**/signature-1")
        message = path.read_bytes()
        put = put_into_extension(environment, ReplayedOpenPGPKey(key.keyring, message))
    (target / f"{name}.sig").write_bytes(message)
    (target / f"{name}.put.json").write_bytes(put)
    (target / f"{name}.asc").write_text(str(pysequoia.Cert.from_bytes(secret)))
    return {"sha256": hashlib.sha256(message).hexdigest(), "time": environment.clock.now().isoformat()}


def push_image(environment: SigningEnvironment) -> bytes:
    """Push the image that is signed, and return its manifest."""
    environment.digest = environment.registry.push_image(REPOSITORY, TAG, content=b"layer")
    return environment.registry.manifest(REPOSITORY, TAG)[1]


def sign(environment: SigningEnvironment, key: OpenPGPSigner, store: WritableStore) -> SigningResult:
    """Sign the image under `NAME`."""
    signer = SimpleSigner(key, store, parse_identity(NAME))
    return signer.sign(environment.here(), environment.context())


def put_into_extension(environment: SigningEnvironment, key: OpenPGPSigner) -> bytes:
    """Sign the image into the registry's extension, and return what was sent to it."""
    sign(environment, key, OpenShiftStore())
    (body,) = (request.body for request in environment.registry.requests if request.method == "PUT")
    return body


def change(message: bytes, place: str) -> bytes:
    """Return a signed message with one changed byte; see `CHANGES`."""
    text = CHANGES[place]
    return message[:-1] + change_byte(message[-1:]) if text is None else change_byte(message, text)


class Tools:
    """gpg and skopeo, with the public half of one key.

    Args:
        home: of gpg.
        folder: where the tools run.
        recorded: the folder with the recordings.
        name: of the key.
    """

    def __init__(self, home: Home, folder: Path, recorded: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._message = (recorded / f"{name}.sig").read_bytes()
        public = (recorded / f"{name}.asc").read_bytes()
        home.run("--import", data=public)
        (folder / "key.asc").write_bytes(public)
        (folder / "manifest.json").write_bytes((recorded / "manifest.json").read_bytes())
        self._fingerprint = load_keyring(public.decode()).verify(self._message, datetime.now(UTC)).signing_fingerprint
        variables = {"GNUPGHOME": str(home.path), "HOME": str(folder), "LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
        self._gpg, self._skopeo = (
            Judge(f"{tool} {version_of(tool)}", folder, variables, {}) for tool in ("gpg", "skopeo")
        )

    def judge(self) -> dict[str, list[Verdict]]:
        """Return what the tools say about the signature, as it is stored and changed."""
        changed = {place: change(self._message, place) for place in CHANGES}
        return {place: list(self._ask(message)) for place, message in {"unchanged": self._message, **changed}.items()}

    def _ask(self, message: bytes) -> Iterator[Verdict]:
        (self._folder / "signature").write_bytes(message)
        yield self._gpg.verdict("gpg", "--batch", "--status-fd=1", "--output=/dev/null", "--decrypt", "signature")
        if self._name not in SUBKEYS:
            arguments = ("manifest.json", NAME, self._fingerprint, "signature")
            yield self._skopeo.verdict("skopeo", "standalone-verify", *arguments)
            yield self._pull(message, "extension")
            yield self._pull(message, "folder")

    def _pull(self, message: bytes, store: str) -> Verdict:
        """Let skopeo copy the image, under a policy that wants a signature by the key, from a registry."""
        with OpenShiftSimulator() as registry:
            digest = registry.push_image(REPOSITORY, TAG, content=b"layer")
            if store == "extension":
                registry.sign(digest, message)
            else:
                registry.faults.header("^/v2/$", "X-Registry-Supports-Signatures", None)
            self._configure(registry.host, digest, message)
            judge = replace(self._skopeo, names={registry.host: "REGISTRY"})
            source = f"docker://{registry.host}/{REPOSITORY}:{TAG}"
            options = ("--policy=policy.json", f"--registries.d={store}", "copy", "--src-tls-verify=false")
            return judge.verdict("skopeo", *options, source, "dir:pulled")

    def _configure(self, host: str, digest: str, message: bytes) -> None:
        signed = {"type": "exactReference", "dockerReference": NAME}
        rule = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "key.asc", "signedIdentity": signed}
        (self._folder / "policy.json").write_text(json.dumps({"default": [rule]}))
        file = self._folder / "lookaside" / f"{REPOSITORY}@{digest.replace(':', '=')}" / "signature-1"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(message)
        for store, location in {"extension": {}, "folder": {"sigstore": (self._folder / "lookaside").as_uri()}}.items():
            (self._folder / store).mkdir(exist_ok=True)
            (self._folder / store / "default.yaml").write_text(json.dumps({"docker": {host: location}}))


def version_of(tool: str) -> str:
    """Return a tool's version."""
    printed = subprocess.run([require_tool(tool), "--version"], capture_output=True, text=True, check=True).stdout
    return printed.splitlines()[0].split()[-1]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
