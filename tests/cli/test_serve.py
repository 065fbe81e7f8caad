from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trustme
import urllib3

from tests.cli.objects import pod, write
from tests.cli.running import sealgate, start
from tests.support.builders.objects import policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.shop import Shop
    from tests.support.forked_processes import ForkedProcess


class Server:
    """A `sealgate serve` in a process of its own, read by its log."""

    def __init__(self, process: ForkedProcess) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []

    def wait_for(self, event: str) -> dict[str, Any]:
        """Read the log up to a line and return that."""
        for line in self.process.stderr:
            self.log.append(json.loads(line))
            if self.log[-1]["msg"] == event:
                return self.log[-1]
        pytest.fail(f"the server ended without saying {event!r}: {self.log}")


@contextlib.contextmanager
def serving(shop: Shop, *args: object) -> Iterator[Server]:
    usual = ("--policies", shop.policies, "--insecure-registry", shop.registry.host, "--listen", "127.0.0.1:0")
    with start("serve", *usual, *args) as process:
        try:
            yield Server(process)
        finally:
            process.send_signal(signal.SIGTERM)


def review(image: str) -> dict[str, Any]:
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "namespace": "shop",
        "operation": "CREATE",
        "object": pod("web", image, namespace="shop"),
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def fetch(url: str, document: object = None, pem: str | None = None) -> bytes:
    """Post JSON, or get a page."""
    context = None if pem is None else ssl.create_default_context(cadata=pem)
    with urllib3.PoolManager(ssl_context=context) as pool:
        answer = pool.request("GET" if document is None else "POST", url, json=document, timeout=150)
        assert answer.status == 200, answer.data
        return answer.data


def allowed(url: str, image: str, pem: str | None = None) -> bool:
    return bool(json.loads(fetch(f"{url}/validate?timeout=30s", review(image), pem))["response"]["allowed"])


def test_reviews_are_answered_over_tls_with_a_generated_certificate(shop: Shop) -> None:
    with serving(shop, "--tls-self-signed") as server:
        fingerprint = server.wait_for("self-signed certificate created")["sha256_fingerprint"]
        address = server.wait_for("reviews served")["address"]
        host, _, port = address.partition(":")
        pem = ssl.get_server_certificate((host, int(port)))
        assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() == fingerprint.replace(":", "").lower()
        assert allowed(f"https://{address}", shop.image("signed"), pem)
        assert not allowed(f"https://{address}", shop.image("unsigned"), pem)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(150) == 0


def test_a_certificate_can_be_given(shop: Shop, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    with serving(shop, "--tls-cert", certificate, "--tls-key", key, "--metrics-listen", "127.0.0.1:0") as server:
        metrics = server.wait_for("metrics served")["address"]
        url = f"https://{server.wait_for('reviews served')['address']}"
        assert allowed(url, shop.image("signed"), authority.cert_pem.bytes().decode())
        assert b"sealgate" in fetch(f"http://{metrics}/metrics")


def test_changed_policies_are_loaded_and_invalid_ones_are_not(shop: Shop) -> None:
    with serving(shop) as server:
        url = f"http://{server.wait_for('reviews served')['address']}"
        assert allowed(url, shop.image("signed"))
        more = write(shop.policies / "more.yaml", policy("more", "**", authenticators=["absent"]))
        refused = server.wait_for("policies invalid; keeping the last valid ones")
        assert "there is no Authenticator named absent" in refused["problems"][0]
        assert allowed(url, shop.image("signed"))
        write(more, policy("more", "**", authenticators=["qa-key"]))
        server.wait_for("policies loaded")
        assert not allowed(url, shop.image("signed"))


def test_option_refuses_pods_without_digests_and_warns_on_templates(shop: Shop) -> None:
    with serving(shop, "--require-digests", "--workloads", "warn") as server:
        url = f"http://{server.wait_for('reviews served')['address']}"
        answer = json.loads(fetch(f"{url}/validate?timeout=30s", review(shop.image("signed"))))["response"]
        assert answer["status"]["code"] == 503
        assert "could not be pinned" in answer["status"]["message"]
        template = review(shop.image("unsigned"))
        template["request"]["kind"] = {"group": "", "version": "v1", "kind": "PodTemplate"}
        template["request"]["object"] = {"template": template["request"]["object"]}
        answer = json.loads(fetch(f"{url}/validate?timeout=30s", template))["response"]
        assert answer["allowed"]
        assert "admitted with a warning" in answer["warnings"][0]


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--listen", "nowhere"], "nowhere is not an address to listen on"),
        (["--listen", "0.0.0.0:0"], "without a certificate the webhook listens on loopback only"),
        (["--tls-cert", "/nowhere"], "a certificate needs its key"),
        (["--tls-cert", "/nowhere", "--tls-key", "/nowhere", "--tls-self-signed"], "not both"),
        (["--tls-self-signed", "--client-ca", "/nowhere"], "the client CA and the client names belong together"),
        (["--tls-self-signed", "--client-name", "x"], "the client CA and the client names belong together"),
        (["--client-ca", "/nowhere", "--client-name", "x"], "client certificates need TLS"),
        (["--metrics-listen", "1:2:3"], "1:2:3 is not an address to listen on"),
        (["--workloads", "audit"], "'audit' is not one of 'enforce', 'warn', 'ignore'"),
        (["--threads", "0"], "0 is not in the range"),
        (["--docker-config", "/nowhere"], "the docker config /nowhere cannot be read"),
        (["--registry-ca", "x.org=/nowhere"], "cannot read /nowhere"),
    ],
)
def test_wrong_options_are_reported_before_the_start(shop: Shop, args: list[str], why: str) -> None:
    served = sealgate("serve", "--policies", shop.policies, "--listen", "127.0.0.1:0", *args)
    assert served.exit_code == 2
    assert why in served.stderr
    assert served.stdout == ""


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--listen", "192.0.2.1:1", "--tls-self-signed"], "cannot listen on 192.0.2.1:1"),
        (["--tls-cert", "/nowhere", "--tls-key", "/nowhere"], "cannot be used"),
        (
            ["--tls-self-signed", "--client-ca", "/nowhere", "--client-name", "x"],
            "the client CA /nowhere cannot be read",
        ),
        (["--policies", "/nowhere"], "/nowhere: cannot be read"),
    ],
)
def test_unusable_input_is_reported_before_serving(shop: Shop, args: list[str], why: str) -> None:
    with start("serve", "--policies", shop.policies, "--listen", "127.0.0.1:0", *args) as process:
        out, err = process.communicate(150)
    assert process.returncode == 2
    assert err.splitlines()[-1].startswith(("Error: ", "  "))
    assert why in err
    assert out == ""


def test_serve_without_its_packages_names_what_to_install(shop: Shop) -> None:
    code = "import sys; sys.modules['gunicorn'] = None; from sealgate.cli import main; main()"
    args = ["serve", "--policies", str(shop.policies), "--listen", "127.0.0.1:0"]
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, check=False, timeout=60, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: the webhook needs gunicorn")
    assert done.stderr.endswith("pip install 'sealgate[webhook]'\n")
