"""`ratify verify`: the verification of Ratify 1 on the command line, which reads a configuration in place of objects.

Its configuration names files where objects name KeyManagementProviders: keys are written to files, and the certificates
of all trust stores into one folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.simulators.openshift import OpenShiftSimulator


class Ratify:
    """A `Program`."""

    tls = False

    def __init__(self, path: str, folder: Path, registry: OpenShiftSimulator) -> None:
        del registry
        self._path, self._folder = path, folder
        (folder / ".ratify" / "ratify-certs" / "notation" / "truststore").mkdir(parents=True)

    def denial(self, policies: Path, image: str) -> str:
        configuration = self._folder / "config.json"
        configuration.write_text(json.dumps(self._configuration(list(yaml.safe_load_all(policies.read_text())))))
        done = subprocess.run(
            [self._path, "verify", f"--config={configuration}", f"--subject={image}"],
            env={"HOME": str(self._folder), "PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode != 0 or "{" not in done.stdout:
            raise RuntimeError(done.stderr)
        answer: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
        if answer.get("isSuccess"):
            return ""
        reports = answer.get("verifierReports") or []
        why = "; ".join(
            str(one.get("message") or one.get("errorReason")) for one in reports if not one.get("isSuccess")
        )
        return why or "refused"

    def close(self) -> None:
        pass

    def _configuration(self, objects: list[dict[str, Any]]) -> dict[str, Any]:
        keys = self._folder / "keys"
        shutil.rmtree(keys, ignore_errors=True)
        (keys / "certificates").mkdir(parents=True)
        for provider in _of(objects, "KeyManagementProvider"):
            parameters, name = provider["spec"]["parameters"], provider["metadata"]["name"]
            path = keys / name if parameters["contentType"] == "key" else keys / "certificates" / f"{name}.crt"
            path.write_text(parameters["value"])
        (policy,) = _of(objects, "Policy")
        stores = [{"name": one["spec"]["name"], **one["spec"]["parameters"]} for one in _of(objects, "Store")]
        return {
            "store": {"version": "1.0.0", "plugins": stores},
            "policy": {"version": "1.0.0", "plugin": {"name": policy["spec"]["type"], **policy["spec"]["parameters"]}},
            "verifier": {
                "version": "1.0.0",
                "plugins": [_verifier(one["spec"], keys) for one in _of(objects, "Verifier")],
            },
        }


def _verifier(spec: Mapping[str, Any], keys: Path) -> dict[str, Any]:
    parameters = dict(spec["parameters"])
    for policy in parameters.get("trustPolicies", []):
        policy["keys"] = [{"file": str(keys / one["provider"])} for one in policy["keys"]]
    if parameters.pop("verificationCertStores", None):
        parameters["verificationCerts"] = [str(keys / "certificates")]
    return {"name": spec["name"], "artifactTypes": spec["artifactTypes"], **parameters}


def _of(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["kind"] == kind]
