"""Attacks on writers of Notary v1 by the notary server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import UnavailableError, VerificationError
from sealgate.formats.notary.pins import FirstUsePin
from sealgate.formats.notary.publishing.ownership import Owner
from sealgate.formats.notary.publishing.repository import RepositoryState
from sealgate.reasons import Reason
from sealgate.trusted_state.records import TrustRecord
from tests.support.environments.notary_signing import NotarySigning
from tests.support.signers.notary import NOW
from tests.support.simulators.notary import GUN

if TYPE_CHECKING:
    from pathlib import Path


def test_server_that_hides_trust_data_gets_no_new_repository(tmp_path: Path) -> None:
    with NotarySigning(tmp_path) as signing:
        signing.owner.initialise()
        keys = sorted((tmp_path / "trust" / "private").iterdir())
        del signing.dtr.trust.repositories[signing.gun]
        with pytest.raises(VerificationError, match="its root version 1 was trusted before") as caught:
            signing.owner.initialise()
        assert caught.value.reason is Reason.ROLLBACK
        with pytest.raises(VerificationError, match="its root version 1 was trusted before"):
            signing.sign(initialise=lambda publisher: Owner.of(publisher, signing.directory).initialise())
        assert signing.gun not in signing.dtr.trust.repositories
        assert sorted((tmp_path / "trust" / "private").iterdir()) == keys


def test_server_with_a_snapshot_for_every_version_is_not_asked_without_end() -> None:
    asked: list[str] = []

    def fetch(name: str, limit: int) -> bytes:
        asked.append(f"{name} {limit}")
        if name == "snapshot":
            raise UnavailableError("the snapshot has expired")
        return b"{}"

    state = RepositoryState(fetch, GUN, FirstUsePin(), TrustRecord(), NOW)
    with pytest.raises(VerificationError, match="has one for every version"):
        _ = state.snapshot
    assert len(asked) < 50
