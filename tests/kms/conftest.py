"""A stand with each KMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.alibaba_kms_simulator import AlibabaKMSSimulator
from tests.support.dew_simulator import DEWSimulator
from tests.support.kms_stands import KMSStand
from tests.support.oci_vault_simulator import OCIVaultSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def huawei() -> Iterator[KMSStand]:
    with KMSStand(DEWSimulator) as stand:
        yield stand


@pytest.fixture
def alibaba() -> Iterator[KMSStand]:
    with KMSStand(AlibabaKMSSimulator) as stand:
        yield stand


@pytest.fixture
def oracle() -> Iterator[KMSStand]:
    with KMSStand(OCIVaultSimulator) as stand:
        yield stand


@pytest.fixture(params=[DEWSimulator, AlibabaKMSSimulator, OCIVaultSimulator], ids=["huawei", "alibaba", "oracle"])
def any_kms(request: pytest.FixtureRequest) -> Iterator[KMSStand]:
    """Any of them, with a good ECDSA key."""
    with KMSStand(request.param) as stand:
        stand.add_key()
        yield stand
