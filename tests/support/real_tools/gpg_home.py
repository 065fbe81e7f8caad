"""The real gpg, and skopeo with it, with keys of their own."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Home:
    """gpg, and skopeo with it, with keys of their own.

    Attributes:
        path: directory that is GNUPGHOME.
        environment: of every program started here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gpg = require_tool("gpg")
        self.environment = {**os.environ, "GNUPGHOME": str(path), "HOME": str(path), "LC_ALL": "C"}

    def run(self, *arguments: str, data: bytes = b"", check: bool = True, passphrase: str = "") -> bytes:
        fixed = [self.gpg, "--batch", "--yes", "--no-tty", "--pinentry-mode=loopback", f"--passphrase={passphrase}"]
        done = subprocess.run(
            [*fixed, *arguments], input=data, env=self.environment, capture_output=True, check=check, timeout=60
        )
        return done.stdout

    def skopeo(self, *arguments: str, check: bool = True) -> int:
        command = [require_tool("skopeo"), *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, check=check, timeout=150).returncode

    def key(self, name: str = "release@example.org", kind: str = "ed25519", passphrase: str = "") -> str:
        self.run("--quick-gen-key", name, kind, "sign", "1d", passphrase=passphrase)
        listing = self.run("--with-colons", "--list-keys", name).decode()
        return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))

    def lock(self) -> None:
        """Stop the agent, which then has no passphrase any more."""
        subprocess.run([require_tool("gpgconf"), "--kill", "all"], env=self.environment, check=True, timeout=150)

    def export(self, name: str) -> str:
        return self.run("--armor", "--export", name).decode()


@contextmanager
def gpg_home(path: Path) -> Iterator[Home]:
    """Yield a home at that path; stop its agent in the end."""
    path.mkdir(mode=0o700)
    # Otherwise each agent measures first how slow it can make the guessing of passphrases.
    (path / "gpg-agent.conf").write_text("s2k-count 65536\n")
    home = Home(path)
    try:
        yield home
    finally:
        subprocess.run([require_tool("gpgconf"), "--kill", "all"], env=home.environment, check=False, timeout=150)
