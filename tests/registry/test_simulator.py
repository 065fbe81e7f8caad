"""The registry simulator behaves as other tests assume."""

from __future__ import annotations

import gzip
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from tests.support.real_tools.required import require_tool
from tests.support.simulators.http_messages import Answer, encode
from tests.support.simulators.registry import RegistrySimulator, digest_of
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(name="pool")
def _pool() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=150) as pool:
        yield pool


def test_pushed_content_is_served_byte_for_byte(pool: urllib3.PoolManager) -> None:
    with RegistrySimulator() as registry:
        digest = registry.push_image("team/app", "v1")
        answer = pool.request("GET", f"{registry.url}/v2/team/app/manifests/v1")
        assert digest_of(answer.data) == digest == answer.headers["Docker-Content-Digest"]
        layer = answer.json()["layers"][0]["digest"]
        assert pool.request("GET", f"{registry.url}/v2/team/app/blobs/{layer}").data == b"layer of team/app:v1"
        assert registry.paths == ["/v2/team/app/manifests/v1", f"/v2/team/app/blobs/{layer}"]
        assert {request.connection for request in registry.requests} == {1}
        assert pool.request("GET", f"{registry.url}/v2/team/app/manifests/v2").status == 404
        assert pool.request("GET", f"{registry.url}/elsewhere").status == 404


def test_referrers_are_served_by_api_pages_or_fallback_tag(pool: urllib3.PoolManager) -> None:
    with RegistrySimulator(page_size=1) as registry:
        subject = registry.push_image("team/app", "v1")
        for text in (b"one", b"two"):
            registry.push_artifact("team/app", None, ((text, "text/plain", {}),), subject=subject, artifact_type="a/b")
        first = pool.request("GET", f"{registry.url}/v2/team/app/referrers/{subject}")
        assert len(first.json()["manifests"]) == 1
        following = first.headers["Link"].partition(">")[0].removeprefix("<")
        assert len(pool.request("GET", registry.url + following).json()["manifests"]) == 1
        registry.referrers_api = False
        assert pool.request("GET", f"{registry.url}/v2/team/app/referrers/{subject}").status == 404
        registry.push_artifact("team/app", None, ((b"three", "text/plain", {}),), subject=subject)
        index = pool.request("GET", f"{registry.url}/v2/team/app/manifests/{subject.replace(':', '-')}")
        assert len(index.json()["manifests"]) == 3


def test_https_uses_its_own_ca(tmp_path: Path) -> None:
    with RegistrySimulator(tls=True, names=("registry.example.org",)) as registry:
        bundle = tmp_path / "ca.pem"
        bundle.write_text(registry.ca_pem)
        with urllib3.PoolManager(ca_certs=str(bundle), retries=False) as pool:
            assert pool.request("GET", f"{registry.url}/v2/").status == 200


def test_a_token_opens_only_its_scope(pool: urllib3.PoolManager) -> None:
    with RegistrySimulator(auth=Auth("bearer", anonymous=True)) as registry:
        digest = registry.push_image("team/app")
        url = f"{registry.url}/v2/team/app/manifests/{digest}"
        challenge = pool.request("GET", url).headers["WWW-Authenticate"]
        assert challenge.startswith(f'Bearer realm="{registry.url}/token",service="simulator",scope="repository:team/')
        token: dict[str, Any] = pool.request(
            "GET", f"{registry.url}/token", fields={"scope": "repository:team/app:pull"}
        ).json()
        headers = {"Authorization": f"Bearer {token['token']}"}
        assert pool.request("GET", url, headers=headers).status == 200
        assert pool.request("GET", url.replace("app", "other"), headers=headers).status == 401


def test_faults_are_switched_on_by_path_and_run_out(pool: urllib3.PoolManager) -> None:
    with RegistrySimulator() as registry:
        registry.push_image("team/app", "v1")
        fault = registry.faults.status("manifests/v1", 503, times=1)
        url = f"{registry.url}/v2/team/app/manifests/v1"
        assert [pool.request("GET", url).status for _ in range(2)] == [503, 200]
        assert fault.hit.is_set()


@pytest.mark.real
def test_real_clients_can_push_to_it() -> None:
    skopeo = require_tool("skopeo")
    with RegistrySimulator() as source, RegistrySimulator() as target:
        digest = source.push_image("team/app", "v1", content=gzip.compress(b"layer"))
        copy = [skopeo, "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--insecure-policy"]
        images = [f"docker://{source.host}/team/app:v1", f"docker://{target.host}/team/copy:v1"]
        subprocess.run([*copy, *images], check=True, capture_output=True, timeout=150)
        assert digest_of(target.manifest("team/copy", "v1")[1]) == digest


def test_documents_are_served_as_they_are(pool: urllib3.PoolManager) -> None:
    with RegistrySimulator() as registry:
        registry.documents["/v1/notes"] = Answer(body=encode({"a": 1}))
        assert pool.request("GET", f"{registry.url}/v1/notes").json() == {"a": 1}
