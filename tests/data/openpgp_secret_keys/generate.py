"""Makes the OpenPGP secret keys beside this file, with real gpg (2.2); they sign nothing but tests.

Run `python tests/data/openpgp_secret_keys/generate.py`; it replaces them, so every run gives other keys of the same
kinds. They are from 2024-01-01; what expires does so at 2024-07-01. Each file is named by what is peculiar about it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
MADE, LATER, SPOILT, NEVER = "20240101T000000", "20240102T000000", "20240701T000000", "never"
PASSPHRASE = "correct horse battery staple"
KINDS = {"rsa-3072": "rsa3072", "dsa-2048": "dsa2048", "ed25519": "ed25519", "p256": "nistp256", "p521": "nistp521"}


class GnuPG:
    """gpg in a home of its own, at a given time."""

    def __init__(self, home: str) -> None:
        self.environment = {**os.environ, "GNUPGHOME": home, "LC_ALL": "C"}

    def run(self, *arguments: str, at: str = MADE, passphrase: str = "") -> bytes:
        """Run gpg and return what it prints."""
        fixed = ["gpg", "--batch", "--yes", "--quiet", "--no-tty", "--pinentry-mode=loopback"]
        command = [*fixed, f"--passphrase={passphrase}", f"--faked-system-time={at}!", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr.decode(errors='replace')}")
        return done.stdout

    def make(self, name: str, kind: str, usage: str = "sign", expires: str = NEVER, passphrase: str = "") -> str:
        """Make a key and return its fingerprint."""
        user = f"{name} <{name}@example.org>"
        self.run("--quick-gen-key", user, kind, usage, expires, passphrase=passphrase)
        listing = self.run("--with-colons", "--list-keys", f"{name}@example.org").decode()
        return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))

    def export(self, name: str, *fingerprints: str, what: str = "--export-secret-keys", passphrase: str = "") -> None:
        """Write secret keys, armored."""
        secret = self.run("--armor", what, *fingerprints, passphrase=passphrase)
        (HERE / f"{name}.asc").write_bytes(secret)


def keys(gpg: GnuPG) -> None:
    """Write every key."""
    fingerprints = {name: gpg.make(name, kind) for name, kind in KINDS.items()}
    for name, fingerprint in fingerprints.items():
        gpg.export(name, fingerprint)
    (HERE / "binary.gpg").write_bytes(gpg.run("--export-secret-keys", fingerprints["ed25519"]))
    gpg.export("two-keys", fingerprints["ed25519"], fingerprints["p256"])
    (HERE / "public.asc").write_bytes(gpg.run("--armor", "--export", fingerprints["ed25519"]))
    encrypted = gpg.make("encrypted", "rsa2048", passphrase=PASSPHRASE)
    gpg.export("encrypted", encrypted, passphrase=PASSPHRASE)
    gpg.export("expired", gpg.make("expired", "ed25519", expires=SPOILT))
    gpg.export("rsa-1024-too-short", gpg.make("short", "rsa1024"))
    subkeys(gpg)


def subkeys(gpg: GnuPG) -> None:
    """Write keys whose subkeys sign."""
    primary = gpg.make("subkeys", "ed25519", "sign")
    gpg.run("--quick-add-key", primary, "cv25519", "encr", NEVER)
    gpg.run("--quick-add-key", primary, "ed25519", "sign", NEVER)
    gpg.run("--quick-add-key", primary, "rsa2048", "sign", NEVER, at=LATER)
    gpg.export("two-signing-subkeys", primary)
    gpg.export("without-primary", primary, what="--export-secret-subkeys")
    listing = gpg.run("--with-colons", "--list-keys", primary).decode()
    encrypting = [line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:")][1]
    gpg.export("without-a-key-that-signs", f"{encrypting}!", what="--export-secret-subkeys")


def main() -> None:
    """Replace everything beside this file."""
    for path in (*HERE.glob("*.asc"), *HERE.glob("*.gpg")):
        path.unlink()
    with tempfile.TemporaryDirectory() as home:
        gpg = GnuPG(home)
        try:
            keys(gpg)
        finally:
            subprocess.run(["gpgconf", "--kill", "all"], env=gpg.environment, check=False)


if __name__ == "__main__":
    main()
