"""The real skopeo and sealgate answer the same challenges."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.environments.registry_clients import client_for, login, repository_of, session_of
from tests.support.real_tools.required import require_tool
from tests.support.simulators.registry import RegistrySimulator, digest_of
from tests.support.simulators.registry_auth import Auth

pytestmark = pytest.mark.real


@pytest.mark.parametrize("challenge", ["Basic realm=Registry", "Basic realm='Registry Realm'", 'Basic realm="Registry'])
def test_basic_challenge_outside_the_grammar_is_answered_with_a_password(challenge: str) -> None:
    skopeo = require_tool("skopeo")
    auth = Auth("basic", users={"robot": "s3cret"}, challenge=challenge)
    with RegistrySimulator(auth=auth) as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        image = f"docker://{registry.host}/team/app:v1"
        shown = subprocess.run(
            [skopeo, "inspect", "--raw", "--tls-verify=false", "--creds", "robot:s3cret", image],
            check=True,
            capture_output=True,
            timeout=120,
        )
        assert digest_of(shown.stdout) == digest
        assert session_of(client, login(registry)).resolve(repository_of(registry), "v1") == digest
