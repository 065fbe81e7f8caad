"""A stand with each KMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.environments.kms import KMSStand
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.huawei_dew import DEWSimulator
from tests.support.simulators.oci_vault import OCIVaultSimulator

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
