"""Portieris, whose own packages are called by `portieris.go`, for Pods in the namespace `default`."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import yaml
from tests.data.peers.programs.containers import mirror

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulators.openshift import OpenShiftSimulator


class Portieris:
    """A `Program`."""

    tls = False

    def __init__(self, path: str, folder: Path, registry: OpenShiftSimulator) -> None:
        self._path, self._folder = path, folder
        settings = folder / ".config" / "containers"
        settings.mkdir(parents=True)
        (settings / "registries.conf").write_text(mirror(registry.host))

    def denial(self, policies: Path, image: str) -> str:
        objects = self._folder / "objects.json"
        objects.write_text(json.dumps(list(yaml.safe_load_all(policies.read_text()))))
        done = subprocess.run(
            [self._path, objects, "default", image],
            env={"HOME": str(self._folder), "PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout

    def close(self) -> None:
        pass
