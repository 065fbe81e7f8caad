"""Client certificates: only reviews of a client with a permitted certificate are answered, such as the API server's."""

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

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team

FORBIDDEN = 403
ANSWERED = 200


@pytest.fixture(scope="module")
def folder() -> Path:
    """The folder of make-certificates.sh with the certificate that the API server presents."""
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


def test_pods_are_verified_with_client_certificates(team: Team, samples: SampleImages) -> None:
    team.wait_for_decision(samples.signed.tagged, admitted=True)
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)


def test_forged_review_gets_403(team: Team, samples: SampleImages, folder: Path, tmp_path: Path) -> None:
    obj = pod("forged", samples.untrusted.tagged)
    permitted = tmp_path / "client.pem"
    permitted.write_bytes((folder / "client.crt").read_bytes() + (folder / "client.key").read_bytes())
    other_client = load_ca(folder).issue(tmp_path, "system:node:node")
    for found in release.pods("webhook"):
        address = found["status"]["podIP"]
        assert post(address, team.name, obj, None) == FORBIDDEN
        assert post(address, team.name, obj, other_client) == FORBIDDEN
        with pytest.raises(urllib3.exceptions.HTTPError):
            post(address, team.name, obj, ClientCA().issue(tmp_path, "kube-apiserver"))
        # The same review is answered with a permitted certificate, so the others were refused for theirs.
        assert post(address, team.name, obj, permitted) == ANSWERED


def test_helm_test_has_a_certificate_and_probes_need_none() -> None:
    # The replicas accept the test's certificate as soon as the kubelet has updated a mounted Secret.
    with release.frequent_pod_syncs():
        done = helm("test", release.NAME, "--namespace", NAMESPACE, "--logs").checked()
    assert "The webhook is ready and answers reviews." in done.out
    for found in release.pods("webhook"):
        (status,) = found["status"]["containerStatuses"]
        assert status["ready"]
        assert status["restartCount"] == 0


def load_ca(folder: Path) -> ClientCA:
    """Return the CA of the API server's client certificate."""
    ca = ClientCA()
    key = load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    ca.key = key
    ca.certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    ca.name = ca.certificate.subject
    return ca


def post(address: str, namespace: str, obj: dict[str, object], certificate: Path | None) -> int:
    """Send a review to a replica directly and return the HTTP status."""
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
