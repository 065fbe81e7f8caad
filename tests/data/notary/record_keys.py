"""Records private key files that the real `notary` writes: python -m tests.data.notary.record_keys.

They protect nothing; the passphrase is `recording.PASSPHRASE`.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.data.notary.recording import EC_384, GUN, HERE, RSA, Notary

KEYS = HERE / "keys" / "private"


def main() -> None:
    """Record the keys of a new repository and of two delegates."""
    with tempfile.TemporaryDirectory() as folder, Notary(Path(folder)) as notary:
        notary.run("init", "-p", GUN)
        notary.signer("alice", EC_384)
        notary.signer("bob", RSA)
        shutil.rmtree(KEYS, ignore_errors=True)
        shutil.copytree(Path(folder) / "trust" / "private", KEYS)


if __name__ == "__main__":
    main()
