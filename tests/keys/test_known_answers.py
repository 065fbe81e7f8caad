"""Signatures made by openssl: recorded ones, and fresh ones if openssl is installed."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import VerificationError
from sealgate.keys.algorithms import Algorithm
from sealgate.keys.public_keys import allowed_algorithms, load_public_key
from tests.data.keys.generate import MESSAGE, VECTORS, make_vectors

if TYPE_CHECKING:
    from pathlib import Path

RECORDED: list[dict[str, str]] = json.loads(VECTORS.read_text())


def check(vector: dict[str, str]) -> None:
    """Check that the signature verifies with its algorithm and no other, over its message and no other."""
    signature = base64.b64decode(vector["signature"])
    key = load_public_key(vector["pem"], vector["algorithm"])
    assert key.kind == vector["kind"]
    key.verify(signature, MESSAGE)
    with pytest.raises(VerificationError):
        key.verify(signature, MESSAGE[:-1])
    for algorithm in set(allowed_algorithms(vector["pem"])) - {key.algorithm}:
        with pytest.raises(VerificationError):
            load_public_key(vector["pem"], algorithm).verify(signature, MESSAGE)


@pytest.mark.parametrize("vector", RECORDED, ids=lambda vector: f"{vector['kind']} {vector['algorithm']}")
def test_a_recorded_signature_verifies(vector: dict[str, str]) -> None:
    check(vector)


def test_every_algorithm_is_recorded_with_every_kind_of_key() -> None:
    assert {vector["algorithm"] for vector in RECORDED} == set(Algorithm) - {Algorithm.ED25519_PH, Algorithm.SM2}
    assert len({vector["kind"] for vector in RECORDED}) == 6


@pytest.mark.real
def test_a_fresh_signature_verifies(tmp_path: Path) -> None:
    for vector in make_vectors(tmp_path):
        check(vector)
