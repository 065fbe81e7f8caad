"""skopeo, which applies a `policy.json` as podman, CRI-O and the nodes of OpenShift do."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.support.builders.peers import REGISTRY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulators.openshift import OpenShiftSimulator

_MIRROR = """\
[[registry]]
prefix = "{name}"
location = "{host}"
insecure = true
"""
#: What the error of a rejected image says; others are not verdicts.
_REJECTED = "Source image rejected: "


class Skopeo:
    """A `Program`."""

    tls = False

    def __init__(self, path: str, folder: Path, registry: OpenShiftSimulator) -> None:
        self._path, self._folder = path, folder
        (folder / "registries.conf").write_text(mirror(registry.host))
        (folder / "registries.d").mkdir()
        (folder / "registries.d" / "default.yaml").write_text("default-docker: {use-sigstore-attachments: true}\n")

    def denial(self, policies: Path, image: str) -> str:
        target = self._folder / "pulled"
        shutil.rmtree(target, ignore_errors=True)
        command = [self._path, f"--policy={policies}", f"--registries.d={self._folder / 'registries.d'}"]
        command += [f"--registries-conf={self._folder / 'registries.conf'}", "copy", "--remove-signatures"]
        environment = {"HOME": str(self._folder), "PATH": os.defpath}
        done = subprocess.run(
            [*command, f"docker://{image}", f"dir:{target}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode == 0:
            return ""
        _, found, why = done.stderr.partition(_REJECTED)
        if not found:
            raise RuntimeError(done.stderr)
        return why

    def close(self) -> None:
        pass


def mirror(host: str) -> str:
    """Return the `registries.conf` with which images of `REGISTRY` are read from another one, without TLS."""
    return _MIRROR.format(name=REGISTRY, host=host)
