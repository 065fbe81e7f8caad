"""A real API server accepts the CRDs, and refuses invalid objects by them alone, with a helpful message.

Runs where SEALGATE_E2E is set, against the cluster of KUBECONFIG. It installs the CRDs and leaves them there.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.api.crd_examples import AUTHENTICATOR, FORMATS, POLICY, WRONG, Wrong, of_format
from tests.chart.rendering import CHART
from tests.support.real_tools.required import require_tool

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not os.environ.get("SEALGATE_E2E"), reason="needs a cluster: set SEALGATE_E2E and KUBECONFIG"),
]


@pytest.fixture(scope="module", autouse=True)
def _crds() -> None:
    """Put the CRDs there; the API server refuses any that are not structural, or whose rules cost too much."""
    as_helm = ("--server-side", "--field-manager=helm", "--force-conflicts")  # so that helm may go on with them
    done = _kubectl("apply", *as_helm, "-f", str(CHART / "crds"))
    assert done.returncode == 0, done.stderr
    done = _kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CHART / "crds"))
    assert done.returncode == 0, done.stderr
    for crd in json.loads(_kubectl("get", "-o", "json", "-f", str(CHART / "crds")).stdout)["items"]:
        conditions = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
        assert "NonStructuralSchema" not in conditions


@pytest.mark.parametrize(
    "obj", [AUTHENTICATOR, POLICY, *map(of_format, FORMATS)], ids=lambda obj: obj["metadata"]["name"]
)
def test_valid_objects_are_accepted(obj: dict[str, Any]) -> None:
    done = _apply(obj)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_invalid_objects_are_refused_with_an_action(wrong: Wrong) -> None:
    done = _apply(wrong.object())
    assert done.returncode != 0, "it was taken"
    assert wrong.says in done.stderr


def test_a_private_key_is_not_repeated_in_the_refusal() -> None:
    (wrong,) = (wrong for wrong in WRONG if wrong.name == "private key")
    assert "BEGIN EC" not in _apply(wrong.object()).stderr


@pytest.mark.parametrize("field", ["vpol.spec.images.repository", "authn.spec.cosign.keys", "authn.status.keys"])
def test_kubectl_explain_teaches(field: str) -> None:
    done = _kubectl("explain", field)
    assert done.returncode == 0, done.stderr
    assert "DESCRIPTION:\n    <empty>" not in done.stdout


def _apply(obj: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return _kubectl("apply", "--dry-run=server", "-f", "-", text=json.dumps(obj))


def _kubectl(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require_tool("kubectl"), *arguments], input=text, text=True, capture_output=True, check=False
    )
