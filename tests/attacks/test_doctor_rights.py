"""`sealgate doctor` runs with the rights and from the network of an administrator, on what others have written."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.clusters import API, kubeconfig
from tests.cli.installed import NAMESPACE, OPERATOR, Installed
from tests.cli.shop import open_shop
from tests.cli.test_doctor_stores import set_service_secrets
from tests.support.builders.objects import api_object, authenticator, policy
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Terminal escapes, line breaks, markup, a change of writing direction.
HOSTILE = "\x1b[31mok\x1b[0m\r\n[bold]ok[/] \u202eko \x9b2J"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with RegistrySimulator() as registry, KubernetesSimulator() as api:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, api.url)))
        yield Installed(api, open_shop(registry, tmp_path), datetime.now(UTC))


def grafeas(server: str, secret: str) -> dict[str, Any]:
    keys = [{"id": "key", "pem": public_pem(new_key("ECDSA P-256", "release"))}]
    spec = {"server": server, "note": "projects/p/notes/n", "keys": keys, "credentialsSecret": {"name": secret}}
    return api_object("Authenticator", "thief", {"grafeas": spec})


def test_attack_114_authenticator_has_no_secret_sent_to_its_server(installed: Installed) -> None:
    """Not even a Secret that the user named goes where the webhook sends none: a token is the server's to keep."""
    server = installed.shop.registry
    installed.put_policy(grafeas(f"http://{server.host}/a/path?x=1".partition("?")[0], "bait"))
    secret = {"metadata": {"name": "bait"}, "data": {"token": base64.b64encode(b"stolen").decode()}}
    for namespace in ("default", NAMESPACE):
        installed.api.put(f"/api/v1/namespaces/{namespace}/secrets", secret)
    installed.examine()
    assert not [path for path in installed.paths() if "/secrets" in path]
    installed.examine("--service-secret", f"{NAMESPACE}/bait")
    set_service_secrets(installed, "another")
    installed.examine("--service-secret", f"{NAMESPACE}/bait")
    # That the webhook sends the Secret of its own namespace says nothing about others of that name.
    set_service_secrets(installed, "bait")
    installed.examine("--service-secret", "default/bait")
    sent = [(request.method, request.path, request.headers.get("authorization")) for request in server.requests]
    assert set(sent) == {("GET", "/", None), ("GET", "/v2/", None)}


def test_attack_114_credentials_do_not_follow_the_settings_of_the_cluster(installed: Installed, tmp_path: Path) -> None:
    """Who may edit sealgate's ConfigMap could lead a registry's name to a server of theirs: over plain HTTP."""
    registry = installed.shop.registry
    registry.auth.mode, registry.auth.users = "basic", {"ann": "hunter2"}
    config = tmp_path / "docker.json"
    config.write_text(json.dumps({"auths": {registry.host: {"username": "ann", "password": "hunter2"}}}))
    _, checks = installed.examine("--docker-config", config)
    assert [request for request in registry.requests if "authorization" in request.headers] == []
    assert "your credentials were not sent" in checks[f"registries/{registry.host}"]["message"]
    # A private address, or a mirror, that the user names does not say which server is behind the name.
    for option, value in (
        ("--private-registry", registry.host),
        ("--registry-mirror", f"{registry.host}=mirror.example.org"),
    ):
        installed.examine("--docker-config", config, option, value, "--timeout", "3")
        assert [request for request in registry.requests if "authorization" in request.headers] == []
    _, checks = installed.examine("--docker-config", config, "--insecure-registry", registry.host)
    assert "accepts your credentials" in checks[f"registries/{registry.host}"]["message"]


@pytest.mark.parametrize(
    ("host", "result"),
    [("10.85.0.1:5000", "notChecked"), ("127.0.0.1:{port}", "problem"), ("169.254.169.254", "problem")],
    ids=["private", "loopback", "metadata"],
)
def test_attack_114_policy_has_no_internal_address_asked(installed: Installed, host: str, result: str) -> None:
    """A policy names hosts, and they are reached from where the user is."""
    host = host.replace("{port}", str(installed.shop.registry.port))
    installed.set_registries()
    installed.put_policy(policy("probe", f"{host}/**", authenticators=["qa-key"]))
    kms = {"region": "cn-north-4", "projectId": "p", "keyId": "k", "endpoint": f"https://{host}"}
    spec = {"cosign": {"keys": [{"kms": {"huawei": {**kms, "credentialsSecret": {"name": "dew"}}}}]}}
    installed.put_policy(authenticator("probe", spec=spec))
    _, checks = installed.examine("--service-secret", f"{NAMESPACE}/dew", "--timeout", "5")
    assert {checks[f"registries/{host}"]["result"], checks[f"kms/{host}"]["result"]} == {result}
    assert "private address" in checks[f"kms/{host}"]["message"] or result == "problem"
    assert installed.shop.registry.requests == []
    assert not [path for path in installed.paths() if "/secrets" in path]


def test_attack_114_redirect_of_a_registry_is_not_followed_elsewhere(installed: Installed) -> None:
    registry = installed.shop.registry
    with RegistrySimulator() as inside:
        installed.set_registries(insecure=[registry.host, inside.host])
        registry.faults.redirect("/v2/", f"{inside.url}/admin/delete")
        installed.examine()
        assert inside.requests == []


@pytest.mark.parametrize("output", ["text", "json"])
def test_attack_116_hostile_names_are_not_read_as_escapes_or_markup(installed: Installed, output: str) -> None:
    obj = installed.api.get(f"{API}/authenticators/release-key")
    installed.put_ready("authenticators", obj, "False", HOSTILE)
    named = {"metadata": {"name": HOSTILE, "generation": 1}, "spec": {}, "kind": "Authenticator"}
    installed.api.put(f"{API}/authenticators", named)
    labelled = installed.api.get("/apis/apps/v1/namespaces/sealgate/deployments/sealgate-webhook")
    labelled["metadata"]["labels"]["app.kubernetes.io/version"] = HOSTILE
    labelled["metadata"]["labels"]["app.kubernetes.io/component"] = HOSTILE
    installed.api.put("/apis/apps/v1/namespaces/sealgate/deployments", labelled)
    installed.alter(OPERATOR, lambda found: found["data"].update({"config.yaml": f"tlsSecret: {json.dumps(HOSTILE)}"}))
    ran = installed.doctor("--output", output)
    assert ran.exit_code in (1, 3), ran.output
    assert ran.output.replace("\n", "").isprintable()
    assert "\u202e" not in ran.output
    assert "[bold]ok" in ran.output
    if output == "json":
        texts = [text for check in json.loads(ran.stdout)["checks"] for text in check.values() if text]
        assert all(text.isprintable() for text in texts)
