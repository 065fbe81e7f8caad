"""Make `vectors.json` anew with openssl: a signature by each algorithm over one message.

    python -m tests.data.keys.generate

Run it from the root of the checkout. The private keys are thrown away.
"""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

VECTORS = Path(__file__).parent / "vectors.json"
MESSAGE = b"What openssl signed, sealgate verifies.\n"
KEYS = {
    "ECDSA P-256": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "ECDSA P-384": ("EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "ECDSA P-521": ("EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
    "RSA 2048": ("RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "RSA 3072": ("RSA", "-pkeyopt", "rsa_keygen_bits:3072"),
    "Ed25519": ("ED25519",),
}
_HASHES = ("224", "256", "384", "512")


def make_vectors(folder: Path) -> list[dict[str, str]]:
    """Return the vectors: kind of key, public key, algorithm, signature, all by openssl in that folder."""
    made = []
    (folder / "message").write_bytes(MESSAGE)
    for kind, options in KEYS.items():
        openssl(folder, "genpkey", "-algorithm", *options, "-out", "private.pem")
        pem = openssl(folder, "pkey", "-in", "private.pem", "-pubout").decode()
        for algorithm, arguments in algorithms(kind):
            openssl(folder, *arguments)
            signature = base64.b64encode((folder / "signature").read_bytes()).decode()
            made.append({"kind": kind, "pem": pem, "algorithm": algorithm, "signature": signature})
    return made


def algorithms(kind: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the algorithms that a kind of key may have, with openssl's arguments for each."""
    if kind == "Ed25519":
        files = ["-inkey", "private.pem", "-in", "message", "-out", "signature"]
        yield "ED25519", ["pkeyutl", "-sign", "-rawin", *files]
        return
    files = ["-sign", "private.pem", "-out", "signature", "message"]
    family, hashes = ("ECDSA", _HASHES[1:]) if kind.startswith("ECDSA") else ("RSA_PKCS1", _HASHES)
    for bits in hashes:
        yield f"{family}_SHA_{bits}", ["dgst", f"-sha{bits}", *files]
    # The salt as long as the hash, which most signers choose, and as long as can be, which openssl chooses.
    for bits, salt in itertools.product(_HASHES if family == "RSA_PKCS1" else (), ("digest", "max")):
        options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", f"rsa_pss_saltlen:{salt}"]
        yield f"RSA_PSS_SHA_{bits}", ["dgst", f"-sha{bits}", *options, *files]


def openssl(folder: Path, *arguments: str) -> bytes:
    """Run openssl in a folder and return what it prints."""
    command = [require_tool("openssl"), *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout


def main() -> None:
    """Write the vectors."""
    with tempfile.TemporaryDirectory() as folder:
        VECTORS.write_text(json.dumps(make_vectors(Path(folder)), indent=1) + "\n")


if __name__ == "__main__":
    main()
