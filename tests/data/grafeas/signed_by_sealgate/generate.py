"""Attest an image with sealgate and keys of every kind, and record what openssl and gpg say about the attestations.

    python -m tests.data.grafeas.signed_by_sealgate.generate [FOLDER]

Run it from the root of the checkout. Private keys are thrown away, except for the OpenPGP keys: they are those of
`tests/data/openpgp_secret_keys`, which protect nothing. Into this folder, or the given one, it writes

recorded.json     of each kind the API's version, the key as an Authenticator has it, and the occurrence as the server
                  (a simulator: no Grafeas is packaged) has it
verdicts.json     of each kind what a tool says about the attestation as it is stored and with one changed byte
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pysequoia
from tests.support.changes import change_byte
from tests.support.environments.grafeas import GrafeasEnvironment
from tests.support.real_tools.gpg_home import gpg_home
from tests.support.real_tools.openssl import verification
from tests.support.real_tools.verdicts import Judge, Verdict, write_verdicts
from tests.support.simulators.grafeas import NOTE

from sealgate.formats.grafeas.attestors import DetachedAttestor, OpenPGPAttestor
from sealgate.formats.grafeas.sign import GrafeasSigner
from sealgate.formats.grafeas.stores import GrafeasServer
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.keys.openpgp.packets import armored_blocks
from sealgate.keys.openpgp.secret_keys import SecretKeyFile
from sealgate.keys.private_keys import load_private_key, public_pem_of

if TYPE_CHECKING:
    from sealgate.formats.grafeas.attestors import Attestor
    from sealgate.formats.signing import SigningResult

HERE = Path(__file__).parent
SECRET_KEYS = HERE.parents[1] / "openpgp_secret_keys"
ID = "the-key-of-qa"
#: The type and algorithm of a key, by what the recording is called.
KINDS = {
    "RSA-3072, PSS": ("rsa-3072", "RSA_PSS_SHA_256"),
    "RSA-3072, PKCS1": ("rsa-3072", "RSA_PKCS1_SHA_256"),
    "RSA-4096, PSS with SHA-512": ("rsa-4096", "RSA_PSS_SHA_512"),
    "ECDSA P-256": ("ecdsa-p256", "ECDSA_SHA_256"),
    "ECDSA P-256, v1beta1": ("ecdsa-p256", "ECDSA_SHA_256"),
    "ECDSA P-384": ("ecdsa-p384", "ECDSA_SHA_384"),
    "ECDSA P-521": ("ecdsa-p521", "ECDSA_SHA_512"),
    "Ed25519": ("ed25519", "ED25519"),
    "SM2": ("sm2", "SM2"),
}
#: The file of an OpenPGP key, likewise.
OPENPGP = {
    "OpenPGP RSA-3072": "rsa-3072.asc",
    "OpenPGP Ed25519": "ed25519.asc",
    "OpenPGP Ed25519, v1beta1": "ed25519.asc",
    "OpenPGP subkey": "two-signing-subkeys.asc",
}


def main(target: Path = HERE) -> None:
    """Write recordings and verdicts into a folder."""
    recorded = {name: attest(name) for name in (*KINDS, *OPENPGP)}
    (target / "recorded.json").write_text(json.dumps(recorded, indent=1) + "\n")
    verdicts = {}
    for name, recording in recorded.items():
        with tempfile.TemporaryDirectory() as folder:
            verdicts[name] = {"verdicts": judge(name, recording, Path(folder))}
    write_verdicts(target / "verdicts.json", verdicts)


def attest(name: str) -> dict[str, Any]:
    """Attest the image with a new key, or with a recorded one of OpenPGP, and return the recording."""
    if name in KINDS:
        kind, algorithm = KINDS[name]
        private = generate_key(KeyType(kind))
        key = {"id": ID, "pem": public_pem_of(private).decode(), "algorithm": algorithm}
        loaded = load_private_key(write_private_key(private, None), "the key file of a test", bytes, algorithm)
        attestor: Attestor = DetachedAttestor(loaded, ID)
    else:
        secret = (SECRET_KEYS / OPENPGP[name]).read_bytes()
        key = {"pgp": str(pysequoia.Cert.from_bytes(secret))}
        attestor = OpenPGPAttestor(SecretKeyFile(secret, OPENPGP[name], datetime.now(UTC), lambda: None))
    version = "v1beta1" if name.endswith("v1beta1") else "v1"
    with GrafeasEnvironment(version) as environment:
        sign(environment, attestor)
        (occurrence,) = environment.server.occurrences
    return {"apiVersion": version, "key": key, "occurrence": occurrence}


def sign(environment: GrafeasEnvironment, attestor: Attestor) -> SigningResult:
    """Attest the image of an environment."""
    version = environment.server.version
    server = GrafeasServer(
        url=environment.server.url,
        ca=None,
        api_version=version,
        note=NOTE,
        parent=NOTE,
        filter="resourceUrl" if version == "v1" else "resource_url",
        credentials=None,
    )
    return GrafeasSigner(server, "projects/prod", attestor).sign(environment.image(), environment.context())


def signed(recording: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return what is signed and the signature; of OpenPGP nothing and the binary message."""
    attestation = recording["occurrence"]["attestation"]
    if recording["apiVersion"] == "v1beta1":
        (attestation,) = attestation["attestation"].values()
    if "pgp" not in recording["key"]:
        (signature,) = attestation["signatures"]
        return b64decode(attestation["serializedPayload"]), b64decode(signature["signature"])
    armored = attestation.get("signature") or b64decode(attestation["signatures"][0]["signature"]).decode()
    ((_, message),) = armored_blocks(armored.encode())
    return b"", message


def judge(name: str, recording: dict[str, Any], folder: Path) -> dict[str, list[Verdict]]:
    """Return what openssl, or gpg, says about an attestation."""
    payload, signature = signed(recording)
    spoilt = signature[:-1] + change_byte(signature[-1:])
    if name in OPENPGP:
        messages = {"unchanged": signature, "payload": change_byte(signature, '"critical":'), "signature": spoilt}
        return {place: [judge_message(folder, recording["key"]["pgp"], found)] for place, found in messages.items()}
    (folder / "key.pem").write_text(recording["key"]["pem"])
    openssl = Judge(f"openssl {_version('openssl', 'version')}", folder, {}, {})
    places = {
        "unchanged": (payload, signature),
        "payload": (change_byte(payload), signature),
        "signature": (payload, spoilt),
    }
    verdicts = {}
    for place, (message, value) in places.items():
        (folder / "message").write_bytes(message)
        (folder / "signature").write_bytes(value)
        verdicts[place] = [openssl.verdict("openssl", *verification(recording["key"]["algorithm"]))]
    return verdicts


def judge_message(folder: Path, public: str, message: bytes) -> Verdict:
    """Return what gpg says about an OpenPGP message."""
    (folder / "message").write_bytes(message)
    with tempfile.TemporaryDirectory() as name, gpg_home(Path(name) / "gnupg") as home:
        home.run("--import", data=public.encode())
        variables = {"GNUPGHOME": str(home.path), "LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
        gpg = Judge(f"gpg {_version('gpg', '--version')}", folder, variables, {})
        return gpg.verdict("gpg", "--batch", "--status-fd=1", "--output=/dev/null", "--decrypt", "message")


def _version(tool: str, option: str) -> str:
    printed = subprocess.run([tool, option], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    return next(word for word in printed.split() if word[0].isdigit())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
