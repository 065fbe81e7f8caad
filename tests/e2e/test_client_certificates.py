"""Client certificates: the API server presents one, and nobody else's reviews are answered."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.kube import helm
from tests.e2e.objects import pod
from tests.support.signers.client_certificates import ClientCA
from tests.webhook.objects import encode, review

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Shelf
    from tests.e2e.teams import Team

FORBIDDEN = 403
ANSWERED = 200


@pytest.fixture(scope="module")
def folder() -> Path:
    """The folder of make-certificates.sh whose certificate the API server presents."""
    found = os.environ.get("SEALGATE_E2E_CALLERS")
    if found:
        return Path(found)
    message = "this test needs an API server that presents a client certificate: set SEALGATE_E2E_CALLERS (.ci/e2e.sh)"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module", autouse=True)
def _required(folder: Path) -> Iterator[None]:
    ca = (folder / "ca.crt").read_text()
    release.upgrade({"webhook": {"clientCA": ca, "clientNames": ["kube-apiserver"]}})
    yield
    release.rollback()


def test_pods_are_verified_as_before(team: Team, shelf: Shelf) -> None:
    team.settle(shelf.signed.tagged, admitted=True)
    team.settle(shelf.unsigned.tagged, admitted=False)


def test_a_forged_review_is_refused(team: Team, shelf: Shelf, folder: Path, tmp_path: Path) -> None:
    obj = pod("forged", shelf.strange.tagged)
    permitted = tmp_path / "client.pem"
    permitted.write_bytes((folder / "client.crt").read_bytes() + (folder / "client.key").read_bytes())
    stranger = of_the_same_ca(folder).issue(tmp_path, "system:node:node")
    for found in release.pods("webhook"):
        address = found["status"]["podIP"]
        assert post(address, team.name, obj, None) == FORBIDDEN
        assert post(address, team.name, obj, stranger) == FORBIDDEN
        with pytest.raises(urllib3.exceptions.HTTPError):
            post(address, team.name, obj, ClientCA().issue(tmp_path, "kube-apiserver"))
        # So that nothing above was refused for another reason.
        assert post(address, team.name, obj, permitted) == ANSWERED


def test_helm_test_has_a_certificate_of_its_own_and_kubelets_need_none() -> None:
    # The replicas accept the test's certificate as soon as the kubelet has updated a mounted Secret.
    with release.frequent_pod_syncs():
        done = helm("test", release.NAME, "--namespace", NAMESPACE, "--logs").checked()
    assert "The webhook is ready and answers reviews." in done.out
    for found in release.pods("webhook"):
        (status,) = found["status"]["containerStatuses"]
        assert status["ready"]
        assert status["restartCount"] == 0


def of_the_same_ca(folder: Path) -> ClientCA:
    """Return the CA of the API server's certificate."""
    ca = ClientCA()
    key = load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    ca.key = key
    ca.certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    ca.name = ca.certificate.subject
    return ca


def post(address: str, namespace: str, obj: dict[str, object], certificate: Path | None) -> int:
    """Send a review to a replica, past the API server, and return the status."""
    document = json.loads(encode(review(obj, namespace=namespace)))
    document["request"]["dryRun"] = True
    with urllib3.PoolManager(
        cert_reqs="CERT_NONE", cert_file=None if certificate is None else str(certificate), retries=False, timeout=30
    ) as pool:
        response = pool.request(
            "POST",
            f"https://{address}:8443/validate?timeout=10s",
            body=encode(document),
            headers={"Content-Type": "application/json"},
        )
        return response.status
