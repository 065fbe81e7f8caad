"""The nodes of OpenShift: skopeo with the files that its machine-config-operator writes for the policies.

The files are those of `render.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml
from tests.data.peers.programs.containers import Skopeo
from tests.support.builders.peers import DATA, REGISTRY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulators.openshift import OpenShiftSimulator

RENDERED = DATA / "openshift" / "rendered"


class Node(Skopeo):
    """A `Program`, asked about the images of one namespace."""

    namespace = "default"

    def __init__(self, path: str, folder: Path, registry: OpenShiftSimulator) -> None:
        super().__init__(path, folder, registry)
        self._mirror = registry.host

    def denial(self, policies: Path, image: str) -> str:
        files = json.loads((RENDERED / f"{policies.stem}.json").read_text())
        # CRI-O applies the file of a namespace in place of that of the cluster.
        own = f"/etc/crio/policies/{self.namespace}.json"
        policy = self._folder / "policy.json"
        policy.write_text(files.get(own, files["/etc/containers/policy.json"]))
        attachments = yaml.safe_load(files["/etc/containers/registries.d/sigstore-registries.yaml"])
        # Signatures are read from the mirror, which the operator, if it knows of one, adds for each scope.
        of_mirror = {self._mirrored(scope): settings for scope, settings in attachments["docker"].items()}
        (self._folder / "registries.d" / "default.yaml").write_text(json.dumps({"docker": of_mirror}))
        return super().denial(policy, image)

    def _mirrored(self, scope: str) -> str:
        return self._mirror if scope.startswith("*.") else scope.replace(REGISTRY, self._mirror)


class TeamNode(Node):
    """The same, for a namespace that has ImagePolicies."""

    namespace = "team"
