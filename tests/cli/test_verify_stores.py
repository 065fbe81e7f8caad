"""Signature stores on the command line, with addresses, keys and credentials from policy files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator, policy
from tests.support.environments.attestations import (
    ORACLE_REPOSITORY,
    GrafeasVerifierEnvironment,
    OracleVerifierEnvironment,
    grafeas_spec,
    oracle_spec,
)
from tests.support.simulators.ocir import APIKey, foreign_api_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from click.testing import Result

API_KEY = APIKey()


def files(folder: Path, spec: dict[str, Any], secrets: Mapping[str, Mapping[str, bytes]]) -> Path:
    store = authenticator("store", spec=spec)
    contents = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": {key: value.decode() for key, value in data.items()},
        }
        for name, data in secrets.items()
    ]
    return write(folder / "policies.yaml", store, policy("production", "**", authenticators=["store"]), *contents)


def verify(image: str, policies: Path) -> Result:
    host = image.partition("/")[0]
    return sealgate("verify", image, "--policies", policies, "--insecure-registry", host, "--output", "json")


def reason(ran: Result) -> str:
    return str(json.loads(ran.stdout)[0]["policies"][0]["findings"][0]["reason"])


def test_oracle_requests_use_the_api_key_of_the_files(tmp_path: Path) -> None:
    with OracleVerifierEnvironment() as environment:
        environment.server.api_key = API_KEY
        record = environment.sign(environment.push())
        spec = oracle_spec(environment.server, credentialsSecret={"name": "oci"})
        policies = files(tmp_path, spec, {"oci": API_KEY.secret})
        image = f"{environment.server.host}/{ORACLE_REPOSITORY}:v1"
        assert verify(image, policies).exit_code == 0
        record["lifecycleState"] = "DELETED"
        refused = verify(image, policies)
        assert (refused.exit_code, reason(refused)) == (1, "Revoked")
        environment.server.api_key = foreign_api_key()
        unknown = verify(image, policies)
        assert (unknown.exit_code, reason(unknown)) == (3, "RegistryUnauthorized")


def test_grafeas_requests_use_the_token_of_the_files(tmp_path: Path) -> None:
    with GrafeasVerifierEnvironment() as environment:
        environment.server.token = "s3cret"
        environment.attest(environment.push())
        spec = grafeas_spec(environment.server, credentialsSecret={"name": "grafeas"})
        policies = files(tmp_path, spec, {"grafeas": {"token": b"s3cret"}})
        assert verify(f"{environment.name()}:v1", policies).exit_code == 0
        environment.server.occurrences.clear()
        refused = verify(f"{environment.name()}:v1", policies)
        assert (refused.exit_code, reason(refused)) == (1, "NoSignature")


@pytest.mark.parametrize("make", [GrafeasVerifierEnvironment, OracleVerifierEnvironment])
def test_missing_secret_is_reported_before_any_request(
    tmp_path: Path, make: type[GrafeasVerifierEnvironment | OracleVerifierEnvironment]
) -> None:
    with make() as environment:
        secret = {"credentialsSecret": {"name": "absent"}}
        if isinstance(environment, GrafeasVerifierEnvironment):
            spec = grafeas_spec(environment.server, **secret)
        else:
            spec = oracle_spec(environment.server, **secret)
        ran = sealgate("policy", "check", files(tmp_path, spec, {}))
    assert ran.exit_code == 2
    assert "there is no Secret named absent" in ran.stdout
