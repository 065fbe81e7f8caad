"""The command line of Kyverno, which applies policies to Pods as its webhook does."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

from tests.support.builders.peers import sigstore_keys

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulators.openshift import OpenShiftSimulator

_WHY = re.compile(r"^1 - (.+)$", re.MULTILINE)
#: Says that it does not apply a policy.
_INVALID = "Policies Skipped"
_SUMMARY = re.compile(r"pass: (\d+), fail: (\d+), warn: (\d+), error: (\d+), skip: (\d+)")


class Kyverno:
    """A `Program`; the recorded sigstore is its public one."""

    tls = False

    def __init__(self, path: str, folder: Path, registry: OpenShiftSimulator) -> None:
        del registry
        self._path, self._folder = path, folder
        self._environment = {"HOME": str(folder), "PATH": os.defpath, **_public_sigstore(folder)}

    def denial(self, policies: Path, image: str) -> str:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "shop", "namespace": "default"},
            "spec": {"containers": [{"name": "app", "image": image}]},
        }
        resource = self._folder / "pod.json"
        resource.write_text(json.dumps(pod))
        command = [self._path, "apply", str(policies), f"--resource={resource}", "--registry", "--audit-warn"]
        done = subprocess.run(
            [*command, "--remove-color"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        found = _SUMMARY.search(done.stdout)
        if found is None or _INVALID in done.stdout:
            raise RuntimeError(done.stdout + done.stderr)
        failed, errors = int(found[2]), int(found[4])
        if not failed and not errors:
            return ""
        why = _WHY.search(done.stdout)
        return why[1] if why else done.stdout[: found.start()]

    def close(self) -> None:
        pass


def _public_sigstore(folder: Path) -> dict[str, str]:
    """Return the variables of sigstore's libraries for the keys of its public services."""
    keys = sigstore_keys()
    files = {
        "SIGSTORE_ROOT_FILE": keys["FULCIO_CHAIN"],
        "SIGSTORE_REKOR_PUBLIC_KEY": keys["REKOR_KEY"],
        "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": keys["CTLOG_KEY"],
    }
    for name, content in files.items():
        (folder / name).write_text(content)
    return {name: str(folder / name) for name in files}
