"""The real cosign, version 3 or 2, run offline: keys without a password, no transparency log, plain HTTP."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from tests.support.real_tools.required import require_tool
from tests.support.real_tools.verdicts import Judge, Verdict
from tests.support.signers import private_keys
from tests.support.signers.cosign_keys import cosign_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: How openssl makes the private keys that cosign imports, by the name that files have.
KINDS = {
    "p384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "p521": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
    "rsa2048": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "ed25519": ("-algorithm", "ED25519"),
}
#: The programs of the versions that people run, as `.ci/tools.sh` names them.
PROGRAMS = ("cosign", "cosign2")
#: A trusted root of nothing: no certificate authority, no log. With it cosign asks no server for its own.
_NO_ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
#: A fifth of its CPU time would be garbage collection, threads for that, and the CAs of this machine.
_CHEAP = {"GOGC": "400", "GOMAXPROCS": "1", "SSL_CERT_FILE": os.devnull}
_OFFLINE = ("--tlog-upload=false", "--allow-http-registry", "--yes")


class Cosign:
    """cosign with a home of its own.

    Args:
        home: a folder for its keys and state.
        program: one of `PROGRAMS`.
    """

    def __init__(self, home: Path, program: str = "cosign") -> None:
        self._program = require_tool(program)
        self._home = home

    def of_version(self, program: str) -> Cosign:
        """Return another version with the same home."""
        return Cosign(self._home, program)

    @property
    def version(self) -> str:
        """What it calls its version ("3.1.3")."""
        return _version_of(self._program)

    @property
    def major(self) -> int:
        """The first number of its version."""
        return int(self.version.partition(".")[0])

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

    def add_key(self, name: str, kind: str = "ECDSA P-256") -> str:
        """Give it a key pair that it has not made itself, and return the public half in PEM.

        Args:
            name: to sign with it later.
            kind: see `tests.support.signers.private_keys.new_key`; keys with the same name and kind are the same.
        """
        key = private_keys.new_key(kind, f"cosign {name}")
        path = self.private_key(name)
        path.write_bytes(cosign_key(key))
        path.chmod(0o600)
        public = private_keys.public_pem(key)
        path.with_suffix(".pub").write_text(public)
        return public

    def private_key(self, name: str) -> Path:
        """Return the file of a private key."""
        return self._home / f"{name}.key"

    def public_key_of(self, private: Path, passphrase: str) -> str:
        """Return the public half, in PEM, that cosign reads out of a private key's file."""
        self._run("public-key", f"--key={private}", "--outfile=read.pub", environment={"COSIGN_PASSWORD": passphrase})
        return (self._home / "read.pub").read_text()

    def sign(
        self,
        images: str | Sequence[str],
        key: str,
        *options: str,
        bundle: bool,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Sign an image, or several, by digest: with a bundle, which only cosign 3 does, or classically."""
        if self.major > 2:
            options = (f"--new-bundle-format={'true' if bundle else 'false'}", "--use-signing-config=false", *options)
        named = (images,) if isinstance(images, str) else images
        self._run("sign", f"--key={key}.key", *_OFFLINE, *options, *named, environment=environment)

    def sign_as_referrer(self, image: str, key: str) -> None:
        """Sign an image classically, as a referrer (OCI 1.1)."""
        options = ("--registry-referrers-mode=oci-1-1",)
        self.sign(image, key, *options, bundle=False, environment={"COSIGN_EXPERIMENTAL": "1"})

    def attest(
        self, image: str, key: str, predicate_type: str, predicate: object = None, *, bundle: bool = True
    ) -> None:
        """Attest something about an image: with a bundle, which only cosign 3 does by default, or classically.

        Args:
            image: the reference.
            key: signs.
            predicate_type: a URI, or a short name.
            predicate: the predicate; None for an empty one.
            bundle: whether the attestation is stored as a bundle.
        """
        path = self._home / "predicate.json"
        path.write_text(json.dumps({} if predicate is None else predicate))
        options = [f"--type={predicate_type}", f"--predicate={path}"]
        if self.major > 2:
            options += ["--use-signing-config=false", f"--new-bundle-format={'true' if bundle else 'false'}"]
        self._run("attest", f"--key={key}.key", *options, *_OFFLINE, image)

    def verify_attestation(self, image: str, key: str, predicate_type: str, *, bundle: bool) -> None:
        """Verify an attestation as cosign does; raise if it does not verify."""
        layout = [f"--new-bundle-format={'true' if bundle else 'false'}"]
        if bundle:
            (self._home / "no-root.json").write_text(json.dumps(_NO_ROOT))
            layout.append("--trusted-root=no-root.json")
        fixed = ("--insecure-ignore-tlog", "--allow-http-registry", f"--type={predicate_type}")
        self._run("verify-attestation", f"--key={key}.pub", *layout, *fixed, image)

    def verify(self, image: str, key: str, *options: str, bundle: bool) -> None:
        """Verify an image as cosign does; raise if it does not verify."""
        layout = f"--new-bundle-format={'true' if bundle else 'false'}"
        fixed = ("--insecure-ignore-tlog", "--allow-http-registry")
        self._run("verify", f"--key={key}.pub", layout, *fixed, *options, image)

    def judge(self, image: str, key: str, *command: str, names: Mapping[str, str] | None = None) -> Verdict:
        """Return what it says about an image.

        Args:
            image: the reference.
            key: whose public half verifies.
            command: the command and its options.
            names: see `Judge`; none by default.
        """
        (self._home / "no-root.json").write_text(json.dumps(_NO_ROOT))
        judge = Judge(f"cosign {self.version}", self._home, self._variables(), names or {})
        fixed = (f"--key={key}.pub", "--trusted-root=no-root.json", "--allow-http-registry")
        verdict = judge.verdict("cosign", command[0], *fixed, *command[1:], image, program=self._program)
        # After its verdict it prints what it has verified, as JSON.
        return replace(verdict, output=tuple(line for line in verdict.output if not line.startswith(("{", "["))))

    def _variables(self) -> dict[str, str]:
        # Nothing of this machine's user: no credentials, no cached trust roots.
        return {"HOME": str(self._home), "COSIGN_PASSWORD": "", "PATH": os.defpath, **_CHEAP}

    def _run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        variables = {**self._variables(), **(environment or {})}
        done = subprocess.run(
            [self._program, *arguments], cwd=self._home, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"cosign {' '.join(arguments)}: {done.stderr}"


@cache
def _version_of(program: str) -> str:
    lines = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    return next(line.split()[1] for line in lines.splitlines() if line.startswith("GitVersion")).lstrip("v")
