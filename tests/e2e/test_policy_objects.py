"""Policies and authenticators: validation at `kubectl apply`, and conditions in `kubectl get`."""

from __future__ import annotations

import base64
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import NAMESPACE
from tests.e2e.kube import apply, condition, eventually, get, kubectl
from tests.e2e.objects import authenticator, policy
from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team


@pytest.fixture
def small_key() -> str:
    """PEM of an RSA public key of 1,024 bits, which is too short."""
    openssl = require_tool("openssl")
    private = subprocess.run([openssl, "genrsa", "1024"], capture_output=True, check=True).stdout
    return subprocess.run([openssl, "rsa", "-pubout"], input=private, capture_output=True, check=True).stdout.decode()


@pytest.fixture
def _clean() -> Iterator[None]:
    yield
    kubectl("delete", "vpol,authn", "-l", "e2e=objects")
    kubectl("-n", NAMESPACE, "delete", "secret", "-l", "e2e=objects")


def test_schema_errors_say_what_to_do() -> None:
    done = apply({**authenticator("none"), "spec": {}}, dry_run=True)
    assert not done.ok
    assert "set exactly one format" in done.err
    done = apply(policy("none", [], None), dry_run=True)
    assert not done.ok
    assert "spec.require.authenticators" in done.err


def test_malformed_key_is_refused() -> None:
    pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----\n"
    done = apply(authenticator("broken", {"pem": pem}), dry_run=True)
    assert not done.ok
    assert 'admission webhook "policies.sealgate.dev" denied the request' in done.err
    assert "spec.cosign.keys" in done.err


def test_short_key_is_refused(small_key: str) -> None:
    done = apply(authenticator("short", {"pem": small_key}), dry_run=True)
    assert not done.ok
    assert "2048" in done.err


def test_exponential_pattern_is_refused() -> None:
    pattern = "registry.example.org/" + "{a,b,c,d,e,f,g,h}" * 12
    done = apply(policy("bomb", ["any"], None, repository=pattern), dry_run=True)
    assert not done.ok
    assert "spec.images" in done.err


@pytest.mark.usefixtures("_clean")
def test_kubectl_get_shows_readiness(samples: SampleImages) -> None:
    good = _labelled(authenticator("e2e-good", samples.key.entry))
    orphan = _labelled(policy("e2e-orphan", ["e2e-missing"], "e2e-nowhere"))
    fine = _labelled(policy("e2e-fine", ["e2e-good"], "e2e-nowhere"))
    apply(good, orphan, fine).checked()
    eventually(lambda: _ready("authenticator/e2e-good") == "True", "the authenticator is ready")
    eventually(lambda: _ready("verificationpolicy/e2e-fine") == "True", "the policy is ready")
    eventually(lambda: _ready("verificationpolicy/e2e-orphan") == "False", "the orphan is not ready")
    shown = kubectl("get", "vpol,authn", "-l", "e2e=objects").checked().out
    assert re.search(r"e2e-good\s+.*cosign.*True", shown, re.IGNORECASE), shown
    assert re.search(r"e2e-fine\s+.*Enforce.*True", shown), shown
    assert re.search(r"e2e-orphan\s+.*Enforce.*False", shown), shown
    assert "e2e-missing" in _message("verificationpolicy/e2e-orphan")


@pytest.mark.usefixtures("_clean")
def test_policy_is_ready_once_its_authenticator_exists(samples: SampleImages) -> None:
    apply(_labelled(policy("e2e-early", ["e2e-late"], "e2e-nowhere"))).checked()
    eventually(lambda: _ready("verificationpolicy/e2e-early") == "False", "the policy is not ready")
    apply(_labelled(authenticator("e2e-late", samples.key.entry))).checked()
    eventually(lambda: _ready("verificationpolicy/e2e-early") == "True", "the policy is ready")


@pytest.mark.usefixtures("_clean")
def test_key_in_a_secret_is_resolved_into_the_status(samples: SampleImages) -> None:
    entry = {"secretRef": {"name": "e2e-key", "key": "cosign.pub"}}
    apply(_labelled(authenticator("e2e-secret", entry))).checked()
    eventually(lambda: _ready("authenticator/e2e-secret") == "False", "without the Secret it is not ready")
    apply(_secret("e2e-key", samples.key.pem)).checked()
    eventually(lambda: _ready("authenticator/e2e-secret") == "True", "with the Secret it is ready")
    (key,) = get("authenticator/e2e-secret")["status"]["keys"]
    assert key["fingerprint"].startswith("sha256:")


def test_operator_changes_only_the_status(team: Team) -> None:
    found = get("authenticator", team.name)
    assert "finalizers" not in found["metadata"]
    assert set(found["spec"]) == {"cosign"}


def _labelled(obj: Object) -> Object:
    obj["metadata"]["labels"] = {"e2e": "objects"}
    return obj


def _secret(name: str, pem: str) -> Object:
    data = {"cosign.pub": base64.b64encode(pem.encode()).decode()}
    metadata = {"name": name, "namespace": NAMESPACE}
    return _labelled({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


def _ready(what: str) -> str:
    return str(condition(*what.split("/")).get("status", ""))


def _message(what: str) -> str:
    return str(condition(*what.split("/")).get("message", ""))
