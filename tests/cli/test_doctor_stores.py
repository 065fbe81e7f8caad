"""`sealgate doctor` tries the credentials of signature stores, and says which it does not try."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.installed import NAMESPACE, labels
from tests.cli.test_doctor import installed, put_ready, secrets_read
from tests.operator.environment import CONFIG_MAPS
from tests.support.builders.objects import api_object
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.grafeas import GrafeasSimulator
from tests.support.simulators.kubernetes import Fault
from tests.support.simulators.lookaside import LookasideSimulator
from tests.support.simulators.notary import NotarySimulator
from tests.support.simulators.ocir import COMPARTMENT, KEY_ID, REGION, APIKey, OCIRSimulator, foreign_api_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.cli.installed import Installed
    from tests.support.simulators.registry import RegistrySimulator

__all__ = ["installed"]

PEM = public_pem(new_key("ECDSA P-256", "release"))
NAMED = ("--service-secret", f"{NAMESPACE}/store")


def set_service_secrets(installed: Installed, *names: str, docker_config: str = "") -> None:
    """Say in the webhook's settings which Secrets it sends to stores, and which one it has for registries."""
    metadata = {"name": "sealgate-webhook", "labels": labels("webhook")}
    settings = {"serviceSecrets": list(names), "registries": {"dockerConfigSecret": docker_config}}
    data = {"config.yaml": yaml.safe_dump(settings)}
    installed.api.put(CONFIG_MAPS, {"metadata": metadata, "data": data})


def put_secret(installed: Installed, data: Mapping[str, bytes], namespace: str = NAMESPACE) -> None:
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    installed.api.put(f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": "store"}, "data": encoded})


def put_store(installed: Installed, server: RegistrySimulator, **spec: Any) -> None:
    put_ready(installed, api_object("Authenticator", "notes", spec))
    installed.set_registries(insecure=[installed.shop.registry.host, server.host])
    set_service_secrets(installed, "store")


def grafeas_spec(server: GrafeasSimulator) -> dict[str, Any]:
    keys = [{"id": "key", "pem": PEM}]
    return {"server": server.url, "note": "projects/p/notes/n", "keys": keys, "credentialsSecret": {"name": "store"}}


@pytest.fixture
def grafeas(installed: Installed) -> Iterator[GrafeasSimulator]:
    with GrafeasSimulator() as server:
        server.token = "right"
        put_store(installed, server, grafeas=grafeas_spec(server))
        put_secret(installed, {"token": b"right"})
        yield server


def store_of(installed: Installed, server: RegistrySimulator, *args: object) -> tuple[int, dict[str, Any]]:
    code, checks = installed.examine(*args)
    return code, checks[f"stores/{server.host}"]


def test_a_store_accepts_its_credentials(installed: Installed, grafeas: GrafeasSimulator) -> None:
    code, check = store_of(installed, grafeas, *NAMED)
    assert (code, check["result"]) == (0, "ok"), check
    assert check["message"] == "it accepts the credentials (named by Authenticator notes)"
    assert secrets_read(installed) == {f"/api/v1/namespaces/{NAMESPACE}/secrets/store"}


def test_wrong_credentials_and_an_unreachable_store_are_told_apart(
    installed: Installed, grafeas: GrafeasSimulator
) -> None:
    put_secret(installed, {"token": b"wrong"})
    code, check = store_of(installed, grafeas, *NAMED)
    assert (code, check["result"]) == (1, "problem")
    assert "it refuses the credentials" in check["message"]
    assert check["remedy"] == f"check the Secret {NAMESPACE}/store, and the rights of its credentials"
    assert "wrong" not in json.dumps(check)
    grafeas.close()
    code, check = store_of(installed, grafeas, *NAMED)
    assert (code, "refuses connections" in check["message"]) == (1, True)


@pytest.mark.parametrize(
    ("data", "words"), [({}, "it has no token"), (None, "does not have it")], ids=["without a token", "missing"]
)
def test_a_secret_that_cannot_be_used_is_named(
    installed: Installed, grafeas: GrafeasSimulator, data: dict[str, bytes] | None, words: str
) -> None:
    if data is None:
        installed.api.delete(f"/api/v1/namespaces/{NAMESPACE}/secrets/store")
    else:
        put_secret(installed, data)
    code, check = store_of(installed, grafeas, *NAMED)
    assert (code, check["result"]) == (1, "problem")
    assert "Secret store" in check["message"]
    assert words in check["message"]


def test_a_store_that_fails_when_it_is_asked_is_a_problem(installed: Installed, grafeas: GrafeasSimulator) -> None:
    grafeas.faults.status("/occurrences", 404)
    assert "check the project" in store_of(installed, grafeas, *NAMED)[1]["remedy"]
    grafeas.faults.clear()
    grafeas.faults.status("/occurrences", 503)
    code, check = store_of(installed, grafeas, *NAMED)
    assert (code, check["result"]) == (1, "problem")
    assert "503" in check["message"]


def test_credentials_that_the_webhook_may_not_send_are_a_problem(
    installed: Installed, grafeas: GrafeasSimulator
) -> None:
    set_service_secrets(installed, "another")
    code, check = store_of(installed, grafeas, *NAMED)
    assert (code, check["result"]) == (1, "problem")
    assert check["remedy"] == "list store in the chart's webhook.serviceSecrets"
    assert secrets_read(installed) == set()


def test_credentials_are_not_tried_unless_they_are_named(installed: Installed, grafeas: GrafeasSimulator) -> None:
    code, check = store_of(installed, grafeas)
    assert (code, check["remedy"]) == (0, "to try them: --service-secret NAMESPACE/store")
    put_secret(installed, {"token": b"right"}, "shop")
    code, check = store_of(installed, grafeas, "--service-secret", "shop/store")
    assert (code, check["remedy"]) == (0, f"to try them: --service-secret {NAMESPACE}/store")
    assert secrets_read(installed) == set()
    assert not [request for request in grafeas.requests if "authorization" in request.headers]


def test_a_secret_that_may_not_be_read_is_said(installed: Installed, grafeas: GrafeasSimulator) -> None:
    installed.api.faults.append(Fault("GET", "/secrets/store", 403))
    code, check = store_of(installed, grafeas, *NAMED)
    assert (code, check["result"]) == (3, "notChecked")
    assert check["remedy"] == f"to try them, have get on the Secret {NAMESPACE}/store permitted, by name"


def test_in_a_pod_the_rights_say_which_secrets_are_read(
    installed: Installed, grafeas: GrafeasSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kubeconfig stands for the ServiceAccount here."""
    monkeypatch.setattr("sealgate.cli.examinations.uses_service_account", lambda context: context == "production")
    assert "it accepts the credentials" in store_of(installed, grafeas)[1]["message"]
    installed.api.faults.append(Fault("GET", "/secrets/store", 403))
    code, check = store_of(installed, grafeas)
    assert (code, check["result"]) == (3, "notChecked")


@pytest.mark.parametrize(("key", "result"), [(APIKey(), "ok"), (None, "problem")], ids=["right", "wrong"])
def test_signed_requests_are_tried_at_the_service_of_oracle(
    installed: Installed, key: APIKey | None, result: str
) -> None:
    with OCIRSimulator(api_key=key or APIKey()) as server:
        spec = {
            "region": REGION,
            "endpoint": server.url,
            "compartmentId": COMPARTMENT,
            "credentialsSecret": {"name": "store"},
            "trustedKeys": [{"keyId": KEY_ID, "pem": public_pem(new_key("RSA 2048", "oracle"))}],
        }
        put_store(installed, server, oracle=spec)
        put_secret(installed, (key or foreign_api_key()).secret)
        code, check = store_of(installed, server, *NAMED)
    assert (code, check["result"]) == (int(result == "problem"), result), check
    assert (key is not None) is ("it accepts the credentials" in check["message"])


@pytest.mark.parametrize(("password", "result"), [("secret", "ok"), ("old", "warning")], ids=["accepted", "refused"])
def test_own_credentials_are_tried_at_a_notary_server(
    installed: Installed, tmp_path: Path, password: str, result: str
) -> None:
    with NotarySimulator() as server:
        server.auth.mode, server.auth.users = "bearer", {"ann": "secret"}
        put_store(installed, server, notary={"server": server.url, "root": {"keyId": "0a" * 32}})
        config = tmp_path / "docker.json"
        config.write_text(json.dumps({"auths": {server.host: {"username": "ann", "password": password}}}))
        own = ("--docker-config", config)
        assert "your credentials were not sent" in store_of(installed, server, *own)[1]["message"]
        assert not [request for request in server.requests if "authorization" in request.headers]
        code, check = store_of(installed, server, *own, "--insecure-registry", server.host)
    assert (code, check["result"]) == (0, result), check
    assert password not in json.dumps(check)


def test_a_lookaside_store_that_asks_for_credentials_is_named(installed: Installed) -> None:
    with LookasideSimulator() as server:
        server.faults.status("/", 401)
        keyring = {"inline": "-----BEGIN PGP PUBLIC KEY BLOCK-----"}
        spec = {"keyring": keyring, "store": {"lookaside": {"url": server.url}}}
        put_store(installed, server, simpleSigning=spec)  # type: ignore[arg-type]  # it has faults and a host too
        code, check = store_of(installed, server)  # type: ignore[arg-type]  # as above
    assert (code, check["result"]) == (0, "warning"), check
    assert "none are sent to this store" in check["message"]


@pytest.mark.parametrize(
    ("password", "named", "code", "words"),
    [
        ("sesame", NAMED, 0, "it responds, and accepts the release's credentials"),
        ("old", NAMED, 1, "it refuses the release's credentials"),
        ("sesame", (), 0, "it responds and asks for credentials"),
    ],
    ids=["accepted", "refused", "not named"],
)
def test_the_credentials_of_the_release_are_tried_at_registries(
    installed: Installed, password: str, named: tuple[str, ...], code: int, words: str
) -> None:
    registry = installed.shop.registry
    registry.auth.mode, registry.auth.users = "bearer", {"robot": "sesame"}
    config = {"auths": {registry.host: {"username": "robot", "password": password}}}
    put_secret(installed, {".dockerconfigjson": json.dumps(config).encode()})
    set_service_secrets(installed, docker_config="store")
    found, checks = installed.examine(*named)
    assert (found, words in checks[f"registries/{registry.host}"]["message"]) == (code, True), checks
    assert password not in json.dumps(checks)
    assert ("registries/Secret store" in checks) is not bool(named)
