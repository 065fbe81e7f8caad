"""Replace the shipped trusted root of sigstore's public services by that of the newest `sigstore` on PyPI.

Usage: .venv/bin/python scripts/renew_public_good.py

The files are data in sigstore's own distribution. uv says which version is the newest and when it was published, pip
downloads it and compares it with the hash that uv read from the index. Nothing of it is imported or run. A file that
sealgate cannot read is not written.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, Root  # type: ignore[attr-defined] # its __all__ is computed

from sealgate.sigstore import public_good
from sealgate.sigstore.trusted_root import parse_trusted_root

_BIN = Path(sys.executable).parent
_TARGET = Path(public_good.__file__).parent
_STORE = "sigstore/_store/https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"


def newest() -> dict[str, Any]:
    """Return the newest release, as a lock of uv has it: version, hashes and times of its files."""
    lock = subprocess.run(  # noqa: S603 - a fixed command
        [_BIN / "uv", "pip", "compile", "--quiet", "--no-deps", "--no-header", "--format", "pylock.toml", "-"],
        input=b"sigstore",
        stdout=subprocess.PIPE,
        check=True,
    )
    package: dict[str, Any] = tomllib.loads(lock.stdout.decode())["packages"][0]
    return package


def download(version: str, digest: str) -> bytes:
    """Return the wheel of a release with that SHA-256."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(f"sigstore=={version} --hash=sha256:{digest}\n")
        command = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder]
        subprocess.run([_BIN / "pip", *command, "--requirement", requirements], check=True)  # noqa: S603 - a fixed command
        (wheel,) = Path(folder).glob("*.whl")
        return wheel.read_bytes()


def renew() -> None:
    """Write the files of the newest release."""
    release = newest()
    wheel = release["wheels"][0]
    origin = {"package": f"sigstore {release['version']}", "date": f"{wheel['upload-time']:%Y-%m-%d}"}
    with zipfile.ZipFile(io.BytesIO(download(release["version"], wheel["hashes"]["sha256"]))) as archive:
        root = archive.read(f"{_STORE}/trusted_root.json")
        metadata = archive.read(f"{_STORE}/root.json")
    parse_trusted_root(root)
    signed = Metadata[Root].from_bytes(metadata)
    signed.signed.verify_delegate(Root.type, signed.signed_bytes, signed.signatures)
    (_TARGET / "trusted_root.json").write_bytes(root)
    (_TARGET / "root.json").write_bytes(metadata)
    (_TARGET / "origin.json").write_text(json.dumps(origin, indent=2) + "\n")
    sys.stdout.write(f"shipped: {origin['package']} of {origin['date']}\n")


if __name__ == "__main__":
    renew()
