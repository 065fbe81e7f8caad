"""Keys that are read, and sign, with the identity that the metadata service of the node gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import UnauthorizedError, UnavailableError
from sealgate.keys.signing_keys import sign_verified
from sealgate.kms.metadata_identities import FAILURE_SECONDS, MAX_SECONDS
from sealgate.reasons import Reason
from tests.support.environments.metadata_keys import SIMULATORS, MetadataKeys
from tests.support.simulators.azure_key_vault import CLIENT, AzureKeyVaultSimulator
from tests.support.simulators.google_kms import GoogleKMSSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIALED = {
    "aws": ("169.254.170.23", 80),
    "azure": ("169.254.169.254", 80),
    "google": ("169.254.169.254", 80),
    "huawei": ("169.254.169.254", 80),
}


@pytest.fixture
def google(tmp_path: Path) -> Iterator[MetadataKeys]:
    with MetadataKeys("google", tmp_path) as environment:
        yield environment


@pytest.mark.parametrize("provider", SIMULATORS)
def test_key_is_read_and_signs_with_the_identity_of_the_node(provider: str, tmp_path: Path) -> None:
    with MetadataKeys(provider, tmp_path) as environment:
        assert environment.read().state == "Accepted"
        signing = environment.open()
        signature = sign_verified(signing, b"message", environment.deadline())
        signing.public.verify(signature, b"message")
        # One request serves all of them.
        assert environment.metadata.dialed == [DIALED[provider]]


def test_role_of_a_service_account_is_not_used_beside_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("header.payload.signature")
    environ = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/x", "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
    with MetadataKeys("aws", tmp_path, environ=environ) as environment:
        environment.metadata.faults.status("credentials", 500)
        with pytest.raises(UnavailableError, match="the agent of EKS Pod Identity answers 500"):
            environment.read()
        assert environment.routed.asked == []


@pytest.mark.parametrize(
    ("endpoint", "resource"),
    [
        ("https://shop-1.vault.azure.net", "https://vault.azure.net"),
        ("https://shop-1.managedhsm.azure.net", "https://managedhsm.azure.net"),
    ],
)
def test_token_of_a_managed_identity_is_for_the_kind_of_vault(endpoint: str, resource: str, tmp_path: Path) -> None:
    with MetadataKeys("azure", tmp_path, azure_client=CLIENT) as environment:
        with pytest.raises(UnavailableError):
            environment.resolve(environment.own_entry(endpoint=endpoint))
        (request,) = environment.metadata.requests
        assert dict(request.query) == {"api-version": "2018-02-01", "resource": resource, "client_id": CLIENT}


def test_credentials_are_used_for_minutes_and_then_asked_for_anew(google: MetadataKeys) -> None:
    google.read()
    google.clock.advance(MAX_SECONDS - 1)
    google.read()
    assert len(google.metadata.requests) == 1
    google.clock.advance(1)
    google.read()
    assert len(google.metadata.requests) == 2


def test_credentials_that_end_soon_are_not_used_to_their_end(google: MetadataKeys) -> None:
    google.metadata.lifetime = 100
    google.read()
    google.clock.advance(75)
    google.read()
    assert len(google.metadata.requests) == 2


@pytest.mark.parametrize("provider", SIMULATORS)
def test_credentials_that_have_ended_are_refused(provider: str, tmp_path: Path) -> None:
    with MetadataKeys(provider, tmp_path) as environment:
        environment.metadata.lifetime = 0
        with pytest.raises(UnavailableError, match="has expired; check the clock of the node") as caught:
            environment.read()
        assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY


def test_failure_is_kept_for_seconds(google: MetadataKeys) -> None:
    google.metadata.faults.status("token", 404)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="the metadata service answers 404"):
            google.read()
    assert len(google.metadata.requests) == 1
    google.metadata.faults.clear()
    google.clock.advance(FAILURE_SECONDS)
    assert google.read().state == "Accepted"


@pytest.mark.parametrize("provider", ["azure", "google"])
def test_token_that_was_revoked_is_replaced_within_minutes(provider: str, tmp_path: Path) -> None:
    with MetadataKeys(provider, tmp_path) as environment:
        environment.read()
        kms, environment.metadata.bearer = environment.kms, "another"
        assert isinstance(kms, AzureKeyVaultSimulator | GoogleKMSSimulator)
        tokens = kms.tokens if isinstance(kms, AzureKeyVaultSimulator) else kms.sessions
        tokens[:] = ["another"]
        with pytest.raises(UnauthorizedError, match="check the credentials in the "):
            environment.read()
        environment.clock.advance(MAX_SECONDS)
        assert environment.read().state == "Accepted"


def test_process_without_an_association_says_what_to_do(tmp_path: Path) -> None:
    with (
        MetadataKeys("aws", tmp_path, environ={"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": ""}) as environment,
        pytest.raises(UnavailableError, match="associate a role with its ServiceAccount, and start its pods anew"),
    ):
        environment.read()
