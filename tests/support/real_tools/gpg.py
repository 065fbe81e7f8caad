"""Verdicts of the real gpg about a message and a certificate at a given time."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_STATUS = b"[GNUPG:] "
_TELLING = (b"GOODSIG", b"EXPKEYSIG", b"REVKEYSIG", b"EXPSIG", b"BADSIG", b"ERRSIG")


def judge(gpg: str, certificate: bytes, message: bytes, now: datetime) -> str:
    """Return "good", or what gpg reports instead, with a keyring that holds just that certificate.

    Args:
        gpg: path of the program.
        certificate: binary, as imported.
        message: a signed message, binary.
        now: time of gpg's clock.
    """
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "message").write_bytes(message)
        fixed = [gpg, "--batch", "--no-tty", "--no-autostart", f"--faked-system-time={now:%Y%m%dT%H%M%S}!"]
        environment = {**os.environ, "GNUPGHOME": name, "LC_ALL": "C"}

        def run(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
            command = [*fixed, "--status-fd=1", *arguments]
            return subprocess.run(command, input=data, env=environment, capture_output=True, check=False, timeout=150)

        run("--import", data=certificate)
        done = run("--verify", str(home / "message"))
    words = [line[len(_STATUS) :].split() for line in done.stdout.splitlines() if line.startswith(_STATUS)]
    said = [found for found in words if found and found[0] in _TELLING]
    # The exit code also reports unrelated problems, such as a subpacket that gpg skipped because it is too short.
    if [found[0] for found in said] == [b"GOODSIG"]:
        return "good"
    return " ".join(found[0].decode() for found in said) or "nothing"
