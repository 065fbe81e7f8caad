"""An environment for each KMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.kms import PROVIDERS, KMSEnvironment
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.aws_kms import AWSKMSSimulator
from tests.support.simulators.azure_key_vault import AzureKeyVaultSimulator
from tests.support.simulators.google_kms import GoogleKMSSimulator
from tests.support.simulators.huawei_dew import DEWSimulator
from tests.support.simulators.oci_vault import OCIVaultSimulator
from tests.support.simulators.vault_transit import VaultSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def huawei() -> Iterator[KMSEnvironment]:
    with KMSEnvironment(DEWSimulator) as environment:
        yield environment


@pytest.fixture
def alibaba() -> Iterator[KMSEnvironment]:
    with KMSEnvironment(AlibabaKMSSimulator) as environment:
        yield environment


@pytest.fixture
def oracle() -> Iterator[KMSEnvironment]:
    with KMSEnvironment(OCIVaultSimulator) as environment:
        yield environment


@pytest.fixture
def aws() -> Iterator[KMSEnvironment]:
    with KMSEnvironment(AWSKMSSimulator) as environment:
        yield environment


@pytest.fixture
def azure() -> Iterator[KMSEnvironment]:
    with KMSEnvironment(AzureKeyVaultSimulator) as environment:
        yield environment


@pytest.fixture
def google() -> Iterator[KMSEnvironment]:
    with KMSEnvironment(GoogleKMSSimulator) as environment:
        yield environment


@pytest.fixture
def vault() -> Iterator[KMSEnvironment]:
    with KMSEnvironment(VaultSimulator) as environment:
        yield environment


@pytest.fixture(params=list(PROVIDERS), ids=list(PROVIDERS.values()))
def any_kms(request: pytest.FixtureRequest) -> Iterator[KMSEnvironment]:
    """Any of them, with a good ECDSA key."""
    with KMSEnvironment(request.param) as environment:
        environment.add_key()
        yield environment
