"""openssl as a referee of signatures."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from pathlib import Path


def openssl_verifies(folder: Path, pem: str, algorithm: str, signature: bytes, message: bytes) -> bool:
    """Ask openssl whether a signature fits.

    Args:
        folder: for the files that it reads.
        pem: the public key.
        algorithm: as policies name it; SM2 with the usual distinguishing ID.
        signature: of ECDSA and SM2 in DER.
        message: the exact bytes.
    """
    for name, content in (("key.pem", pem.encode()), ("signature", signature), ("message", message)):
        (folder / name).write_bytes(content)
    command = [require_tool("openssl"), *verification(algorithm)]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=100).returncode == 0


def verification(algorithm: str) -> list[str]:
    """Return openssl's arguments that verify the file `signature` over `message` with `key.pem`.

    Args:
        algorithm: as policies name it; SM2 with the usual distinguishing ID.
    """
    options = ["-rawin"]
    if algorithm != "ED25519":
        options += ["-digest", "sm3" if algorithm == "SM2" else "sha" + algorithm.rpartition("_")[2]]
    if algorithm == "SM2":
        options += ["-pkeyopt", "distid:1234567812345678"]
    if algorithm.startswith("RSA_PSS"):
        options += ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:auto"]
    files = ["-pubin", "-inkey", "key.pem", "-sigfile", "signature", "-in", "message"]
    return ["pkeyutl", "-verify", *files, *options]
