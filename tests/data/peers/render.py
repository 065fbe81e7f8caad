"""Write the files that OpenShift's machine-config-operator renders for the policies of `openshift/`.

    python -m tests.data.peers.render OPERATOR SKOPEO

Run it from the root of the checkout, before the verdicts of OpenShift are recorded anew. OPERATOR and SKOPEO are
checkouts of machine-config-operator and skopeo. The operator's own functions, which it does not export, are taken from
its source, and built in the module of skopeo, which has the library of containers that both use. It writes
`openshift/rendered/POLICY.json`, in which each file of a node has its text by its path.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml
from tests.data.peers.programs import openshift
from tests.support.builders.peers import PEERS

_CONTROLLER = "pkg/controller/container-runtime-config"
_TYPES = "vendor/github.com/openshift/api/config/v1"
#: What is taken from each file: the names of functions and types; everything but the imports where none are named.
_TAKEN = {
    f"{_CONTROLLER}/container_runtime_config_controller.go": ("getValidScopePolicies",),
    f"{_CONTROLLER}/helpers.go": (
        *("policyItemFromSpec", "updatePolicyJSON", "updateNamespacedPolicyJSONs"),
        *("validateImagePolicyWithAllowedBlockedRegistries", "generateSigstoreRegistriesdConfig"),
        *("addScopeMirrorsSigstoreRegistriesdConfig", "registriesConfig", "dockerConfig"),
    ),
    "vendor/github.com/openshift/runtime-utils/pkg/registries/registries.go": ("ScopeIsNestedInsideScope",),
    f"{_TYPES}/types_image_policy.go": (),
    f"{_TYPES}/types_cluster_image_policy.go": (),
}
_HEAD = re.compile(r"\A.*?^import .*?$", re.MULTILINE | re.DOTALL)
#: It reports to the cluster, which does not change the files.
_STATUS = re.compile(r", ctrl \*Controller(?=\))|^\t\tif ctrl != nil \{.*?^\t\t\}$", re.MULTILINE | re.DOTALL)
_PACKAGES = re.compile(r"\b(apicfgv1|metav1|runtimeutils)\.")
_POLICY = "templates/worker/01-worker-container-runtime/_base/files/policy.yaml"


def main(operator: str, skopeo: str) -> None:
    """Render each policy file."""
    source = Path(skopeo) / "cmd" / "render" / "main.go"
    source.parent.mkdir(exist_ok=True)
    source.write_text((Path(openshift.__file__).parent / "openshift_render.go").read_text() + taken(Path(operator)))
    program = source.parent / "render"
    build = ("go", "build", "-trimpath", "-tags=containers_image_openpgp,exclude_graphdriver_btrfs")
    subprocess.run(
        [*build, "-o", str(program.resolve()), "./cmd/render"],
        cwd=skopeo,
        env={**os.environ, "CGO_ENABLED": "0"},
        check=True,
    )
    policy = yaml.safe_load((Path(operator) / _POLICY).read_text())["contents"]["inline"]
    peer = PEERS["openshift"]
    openshift.RENDERED.mkdir(exist_ok=True)
    for name, file in peer.files.items():
        objects = json.dumps(list(yaml.safe_load_all(peer.policy(file, ""))))
        done = subprocess.run([program, policy], input=objects, stdout=subprocess.PIPE, text=True, check=True)
        (openshift.RENDERED / f"{name}.json").write_text(done.stdout)


def taken(operator: Path) -> str:
    """Return the source of the functions and types, as part of one package."""
    parts = []
    for path, names in _TAKEN.items():
        text = (operator / path).read_text()
        parts += [_declared(text, name) for name in names] or [_HEAD.sub("", text)]
    return _PACKAGES.sub("", _STATUS.sub("", "\n".join(parts)))


def _declared(text: str, name: str) -> str:
    found = re.search(rf"^(func {name}\(|type {name} ).*?^\}}\n", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"{name} is not there")
    return found[0]


if __name__ == "__main__":
    main(*sys.argv[1:])
