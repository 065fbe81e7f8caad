"""The real cosign, run offline: keys without a password, no transparency log, plain HTTP."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: How openssl makes the private keys that cosign imports, by the name that files have.
KINDS = {
    "p384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "p521": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
    "rsa2048": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "ed25519": ("-algorithm", "ED25519"),
}
_OFFLINE = ("--use-signing-config=false", "--tlog-upload=false", "--allow-http-registry", "--yes")


class Cosign:
    """cosign with a home of its own.

    Args:
        home: an empty folder for its keys and state.
    """

    def __init__(self, home: Path) -> None:
        self._program = require_tool("cosign")
        self._home = home

    def new_key(self, name: str, kind: str = "p256", passphrase: str = "") -> str:
        """Make a key pair and return the public half in PEM.

        Args:
            name: to sign with it later.
            kind: "p256" for cosign's own, or one of `KINDS` to be imported.
            passphrase: of the private half.
        """
        prefix, environment = f"--output-key-prefix={name}", {"COSIGN_PASSWORD": passphrase}
        if kind == "p256":
            self._run("generate-key-pair", prefix, environment=environment)
        else:
            private = self._home / f"{name}.pem"
            command = [require_tool("openssl"), "genpkey", *KINDS[kind], "-out", str(private)]
            subprocess.run(command, check=True, capture_output=True)
            self._run("import-key-pair", f"--key={private}", prefix, "--yes", environment=environment)
        return (self._home / f"{name}.pub").read_text()

    def private_key(self, name: str) -> Path:
        """Return the file of a private key."""
        return self._home / f"{name}.key"

    def public_key_of(self, private: Path, passphrase: str) -> str:
        """Return the public half, in PEM, that cosign reads out of a private key's file."""
        self._run("public-key", f"--key={private}", "--outfile=read.pub", environment={"COSIGN_PASSWORD": passphrase})
        return (self._home / "read.pub").read_text()

    def sign(
        self, image: str, key: str, *options: str, bundle: bool, environment: Mapping[str, str] | None = None
    ) -> None:
        """Sign an image by digest: with a bundle as cosign 3 does, or classically."""
        layout = f"--new-bundle-format={'true' if bundle else 'false'}"
        self._run("sign", f"--key={key}.key", layout, *_OFFLINE, *options, image, environment=environment)

    def sign_as_referrer(self, image: str, key: str) -> None:
        """Sign an image classically, as a referrer (OCI 1.1)."""
        options = ("--registry-referrers-mode=oci-1-1",)
        self.sign(image, key, *options, bundle=False, environment={"COSIGN_EXPERIMENTAL": "1"})

    def attest(self, image: str, key: str, predicate_type: str) -> None:
        """Attest something about an image, with an empty predicate."""
        predicate = self._home / "predicate.json"
        predicate.write_text("{}")
        self._run(
            "attest", f"--key={key}.key", f"--type={predicate_type}", f"--predicate={predicate}", *_OFFLINE, image
        )

    def verify(self, image: str, key: str, *options: str, bundle: bool) -> None:
        """Verify an image as cosign does; raise if it does not verify."""
        layout = f"--new-bundle-format={'true' if bundle else 'false'}"
        fixed = ("--insecure-ignore-tlog", "--allow-http-registry")
        self._run("verify", f"--key={key}.pub", layout, *fixed, *options, image)

    def _run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        # Nothing of this machine's user: no credentials, no cached trust roots.
        variables = {"HOME": str(self._home), "COSIGN_PASSWORD": "", "PATH": os.defpath, **(environment or {})}
        done = subprocess.run(
            [self._program, *arguments], cwd=self._home, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"cosign {' '.join(arguments)}: {done.stderr}"
