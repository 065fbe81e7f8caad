"""Makes the attestations beside this file, with real openssl (3.0) and gpg (2.2).

Run `python tests/data/grafeas/generate.py`; it replaces `recorded.json`. Private keys are thrown away, so every run
gives other bytes of the same kinds. Each attestation is an occurrence of the API v1, with its key and algorithm.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NOTE = "projects/prod/notes/qa"
REPOSITORY = "demo-registry.example.org/ns/app"
DIGEST = "sha256:" + "4a" * 32
CRITICAL = {
    "identity": {"docker-reference": REPOSITORY},
    "image": {"docker-manifest-digest": DIGEST},
    "type": "atomic container signature",
}
PAYLOAD = json.dumps({"critical": CRITICAL}, separators=(",", ":")).encode()

_RSA = ["-algorithm", "RSA", "-pkeyopt"]
_EC = ["-algorithm", "EC", "-pkeyopt"]
# Alibaba's own line for PSS salts as long as the hash (-1); Go's default is the longest that fits (-2).
_PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt"]
KINDS: dict[str, tuple[str, list[str], str, list[str]]] = {
    "RSA 2048, PSS, salt as long as the hash": (
        "RSA_PSS_SHA_256",
        [*_RSA, "rsa_keygen_bits:2048"],
        "sha256",
        [*_PSS, "rsa_pss_saltlen:-1"],
    ),
    "RSA 3072, PSS, longest salt": (
        "RSA_PSS_SHA_256",
        [*_RSA, "rsa_keygen_bits:3072"],
        "sha256",
        [*_PSS, "rsa_pss_saltlen:-2"],
    ),
    "RSA 4096, PSS with SHA-512": (
        "RSA_PSS_SHA_512",
        [*_RSA, "rsa_keygen_bits:4096"],
        "sha512",
        [*_PSS, "rsa_pss_saltlen:-1"],
    ),
    "RSA 2048, PKCS1": ("RSA_PKCS1_SHA_256", [*_RSA, "rsa_keygen_bits:2048"], "sha256", []),
    "RSA 4096, PKCS1 with SHA-512": ("RSA_PKCS1_SHA_512", [*_RSA, "rsa_keygen_bits:4096"], "sha512", []),
    "ECDSA P-256": ("ECDSA_SHA_256", [*_EC, "ec_paramgen_curve:P-256"], "sha256", []),
    "ECDSA P-384": ("ECDSA_SHA_384", [*_EC, "ec_paramgen_curve:P-384"], "sha384", []),
    "ECDSA P-521": ("ECDSA_SHA_512", [*_EC, "ec_paramgen_curve:P-521"], "sha512", []),
}


def run(*command: str, data: bytes = b"", **environment: str) -> bytes:
    """Run a program and return what it prints."""
    found = {**os.environ, **environment}
    return subprocess.run(command, input=data, env=found, stdout=subprocess.PIPE, check=True).stdout


def occurrence(number: int, attestation: dict[str, Any]) -> dict[str, Any]:
    """Return an occurrence as Grafeas serves it."""
    return {
        "name": f"projects/prod/occurrences/{number}",
        "resourceUri": f"https://{REPOSITORY}@{DIGEST}",
        "noteName": NOTE,
        "kind": "ATTESTATION",
        "attestation": attestation,
    }


def by_openssl(folder: Path, number: int, name: str) -> dict[str, Any]:
    """Return a key and an attestation by it."""
    algorithm, kind, digest, options = KINDS[name]
    private = folder / "key.pem"
    run("openssl", "genpkey", "-quiet", *kind, "-out", str(private))
    pem = run("openssl", "pkey", "-in", str(private), "-pubout").decode()
    signature = run("openssl", "dgst", f"-{digest}", "-sign", str(private), *options, data=PAYLOAD)
    signed = {"signature": b64encode(signature).decode(), "publicKeyId": "kms-key"}
    attestation = {"serializedPayload": b64encode(PAYLOAD).decode(), "signatures": [signed]}
    key = {"id": "kms-key", "pem": pem, "algorithm": algorithm}
    return {"key": key, "occurrence": occurrence(number, attestation)}


def by_gpg(folder: Path, number: int, kind: str) -> dict[str, Any]:
    """Return an OpenPGP key and an attestation by it, the armored message that `gpg --armor --sign` makes."""
    home = folder / f"gnupg-{kind}"
    home.mkdir(mode=0o700)
    fixed = ["gpg", "--batch", "--quiet", "--no-tty", "--pinentry-mode=loopback", "--passphrase="]
    fixed.append("--faked-system-time=20240101T000000!")
    run(*fixed, "--quick-gen-key", "qa <qa@example.org>", kind, "sign", "never", GNUPGHOME=str(home))
    listing = run(*fixed, "--with-colons", "--list-keys", GNUPGHOME=str(home)).decode()
    fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
    armored = run(*fixed, "--armor", "--export", fingerprint, GNUPGHOME=str(home)).decode()
    message = run(*fixed, "--armor", "--sign", GNUPGHOME=str(home), data=PAYLOAD)
    signed = {"signature": b64encode(message).decode(), "publicKeyId": fingerprint}
    key = {"id": fingerprint, "pgp": armored}
    return {"key": key, "occurrence": occurrence(number, {"signatures": [signed]})}


def main() -> None:
    """Write the file."""
    recorded: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in KINDS:
            recorded[name] = by_openssl(folder, len(recorded) + 1, name)
        for kind in ("rsa2048", "ed25519", "nistp256"):
            recorded[f"OpenPGP {kind}"] = by_gpg(folder, len(recorded) + 1, kind)
    (HERE / "recorded.json").write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
