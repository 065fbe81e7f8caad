"""A real API server accepts the CRDs and, by them alone, refuses invalid objects with a message that says what to do.

Runs if SEALGATE_E2E is set, against the cluster of KUBECONFIG, before sealgate is installed. The CRDs stay installed.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.crd_examples import AUTHENTICATOR, EXCEPTION, FORMATS, POLICY, WRONG, Wrong, of_format
from tests.chart.rendering import CHART
from tests.e2e.kube import api, eventually
from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from tests.e2e.kube import Response

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not os.environ.get("SEALGATE_E2E"), reason="needs a cluster: set SEALGATE_E2E and KUBECONFIG"),
    # A kubeconfig may disable verification of the API server's certificate.
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def _crds() -> None:
    """Install the CRDs; the API server refuses CRDs that are not structural or whose rules are too expensive."""
    as_helm = ("--server-side", "--field-manager=helm", "--force-conflicts")  # so that helm can update them
    done = _kubectl("apply", *as_helm, "-f", str(CHART / "crds"))
    assert done.returncode == 0, done.stderr
    done = _kubectl("wait", "--for=condition=Established", "--timeout=150s", "-f", str(CHART / "crds"))
    assert done.returncode == 0, done.stderr
    for crd in json.loads(_kubectl("get", "-o", "json", "-f", str(CHART / "crds")).stdout)["items"]:
        conditions = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
        assert "NonStructuralSchema" not in conditions
        # The API server may need a moment to serve a kind whose definition is established.
        path = f"/apis/{crd['spec']['group']}/{crd['spec']['versions'][0]['name']}/{crd['spec']['names']['plural']}"
        eventually(lambda path=path: api().send("GET", path).ok, f"{path} is served")  # type: ignore[misc]  # mypy cannot infer a lambda with a default


@pytest.mark.parametrize(
    "obj", [AUTHENTICATOR, POLICY, EXCEPTION, *map(of_format, FORMATS)], ids=lambda obj: obj["metadata"]["name"]
)
def test_valid_objects_are_accepted(obj: dict[str, Any]) -> None:
    _create(obj).checked()


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_invalid_objects_are_refused_with_a_remedy(wrong: Wrong) -> None:
    response = _create(wrong.object())
    assert not response.ok, "it was accepted"
    assert wrong.says in response.document["message"]


def test_refusal_does_not_repeat_a_private_key() -> None:
    (wrong,) = (wrong for wrong in WRONG if wrong.name == "private key")
    done = _kubectl("apply", "--dry-run=server", "-f", "-", text=json.dumps(wrong.object()))
    assert done.returncode != 0, "it was accepted"
    assert "BEGIN EC" not in done.stderr


@pytest.mark.parametrize("field", ["vpol.spec.images.repository", "authn.spec.cosign.keys", "authn.status.keys"])
def test_kubectl_explain_describes_fields(field: str) -> None:
    done = _kubectl("explain", field)
    assert done.returncode == 0, done.stderr
    assert "DESCRIPTION:\n    <empty>" not in done.stdout


def _create(obj: dict[str, Any]) -> Response:
    """Create an object as a dry run, with the validation that kubectl asks for."""
    kind = obj["kind"].lower()
    plural = f"{kind.removesuffix('y')}ies" if kind.endswith("y") else f"{kind}s"
    path = f"/apis/{obj['apiVersion']}/{plural}?dryRun=All&fieldValidation=Strict"
    return api().send("POST", path, obj)


def _kubectl(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require_tool("kubectl"), *arguments], input=text, text=True, capture_output=True, check=False
    )
