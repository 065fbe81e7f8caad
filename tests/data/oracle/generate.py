"""Makes the signature records beside this file, with real openssl (3.0).

Run `python tests/data/oracle/generate.py`; it replaces `recorded.json`. Private keys are thrown away, so every run
gives other bytes of the same kinds. Messages are written as Oracle's own command line writes them.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KEY_ID = "ocid1.key.oc1.phx.bbqehaq3aadfa.abyh"
VERSION_ID = "ocid1.keyversion.oc1.phx.bbqehaq3aadfa.acy6"
# How long salts are that a vault makes is not documented: as long as the hash, the longest that fits, and others.
SALTS = {"as long as the hash": "-1", "the longest that fits": "-2", "none": "0", "of 20 bytes": "20"}
HASHES = ("224", "256", "384", "512")


def run(*command: str, data: bytes = b"") -> bytes:
    """Run a program and return what it prints."""
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def message(algorithm: str) -> bytes:
    """Return the message that is signed: members in this order, no blanks, escapes for everything but ASCII."""
    said = {
        "description": "Image f\u00fcr UAT",
        "imageDigest": "sha256:" + "4a" * 32,
        "kmsKeyId": KEY_ID,
        "kmsKeyVersionId": VERSION_ID,
        "metadata": '{"buildnumber":"8447"}',
        "region": "us-phoenix-1",
        "repositoryName": "project01/acme-web-app",
        "signingAlgorithm": algorithm,
    }
    return json.dumps(said, separators=(",", ":")).encode()


def record(private: Path, bits: str, salt: str) -> dict[str, Any]:
    """Return a record as the service lists it."""
    algorithm = f"SHA_{bits}_RSA_PKCS_PSS"
    options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", f"rsa_pss_saltlen:{salt}"]
    options += ["-sigopt", f"rsa_mgf1_md:sha{bits}"]
    signature = run("openssl", "dgst", f"-sha{bits}", "-sign", str(private), *options, data=message(algorithm))
    return {
        "compartmentId": "ocid1.compartment.oc1..aaaaaaaa23",
        "displayName": "containersignature",
        "id": f"ocid1.containerimagesignature.oc1.phx.0.ansh81vru1zp.{bits}{salt}",
        "imageId": "ocid1.containerimage.oc1.phx.0.ansh81vru1zp.aaaaaaaalqzj",
        "kmsKeyId": KEY_ID,
        "kmsKeyVersionId": VERSION_ID,
        "lifecycleState": "AVAILABLE",
        "message": b64encode(message(algorithm)).decode(),
        "signature": b64encode(signature).decode(),
        "signingAlgorithm": algorithm,
        "timeCreated": "2026-11-01T10:00:00Z",
    }


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as temporary:
        private = Path(temporary) / "key.pem"
        run(
            "openssl",
            "genpkey",
            "-quiet",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
            str(private),
        )
        pem = run("openssl", "pkey", "-in", str(private), "-pubout").decode()
        records = {
            f"SHA-{bits}, salt {how}": record(private, bits, salt) for bits in HASHES for how, salt in SALTS.items()
        }
    (HERE / "recorded.json").write_text(json.dumps({"pem": pem, "records": records}, indent=1) + "\n")


if __name__ == "__main__":
    main()
