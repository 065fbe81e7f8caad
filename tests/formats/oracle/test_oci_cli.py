"""Oracle's own command line signs and verifies: `oci artifacts container image-signature`.

It runs with the addresses that it has built in, over TLS, against simulators of registry and vault that check its
signed requests. What it signs and uploads must verify here, and what does not verify here must not there either, but
for what it does not look at. What sealgate signs with the same vault must verify there, and be asked for and uploaded
in the same words.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

import pytest

from sealgate.formats.signing import SigningOutcome
from sealgate.reasons import Reason
from tests.support.real_tools.oci_cli import IMAGE_ID, REPOSITORY, Oracle, oracle_tools
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

ALGORITHMS = [f"SHA_{bits}_RSA_PKCS_PSS" for bits in (224, 256, 384, 512)]


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[Oracle]:
    with oracle_tools(tmp_path) as tools:
        yield tools


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signature_of_the_oci_cli_verifies(oracle: Oracle, algorithm: str) -> None:
    oracle.refuses(Reason.NO_SIGNATURE)
    record = oracle.sign(algorithm, description="Image for UAT testing", metadata='{"buildNumber":"123"}')
    assert record["signingAlgorithm"] == algorithm
    verified = oracle.verify(description="Image for UAT testing", metadata={"buildNumber": "123"})
    assert len(verified.fingerprints) == 1
    oracle.refuses(Reason.ANNOTATION_MISMATCH, description="Image for production")
    oracle.refuses(Reason.ANNOTATION_MISMATCH, metadata={"buildNumber": "124"})


def test_wrong_key_and_changed_message_are_refused_by_both(oracle: Oracle) -> None:
    record = oracle.sign()
    assert oracle.oracle_finds_it_valid()
    oracle.verify()
    oracle.refuses(Reason.INVALID_SIGNATURE, pem=public_pem(new_key("RSA 2048", "another key")))
    message = b64decode(record["message"])
    record["message"] = b64encode(message.replace(b'"description":""', b'"description":"changed"')).decode()
    assert not oracle.oracle_finds_it_valid()
    oracle.refuses(Reason.INVALID_SIGNATURE)


def test_signature_of_another_image_is_refused_unlike_by_the_oci_cli(oracle: Oracle) -> None:
    other = "sha256:" + "5b" * 32
    oracle.registry.images[IMAGE_ID] = (other, REPOSITORY)
    oracle.sign()
    oracle.registry.honours_filter = False  # as a registry would that lists a signature under the wrong image
    assert oracle.oracle_finds_it_valid()
    oracle.refuses(Reason.DIGEST_MISMATCH)


@pytest.mark.parametrize("algorithm", ["RSA_PSS_SHA_256", "RSA_PSS_SHA_512"])
def test_oci_cli_accepts_the_signature_of_sealgate(oracle: Oracle, algorithm: str) -> None:
    result = oracle.sealgate_signs(algorithm, description="Image for UAT", metadata='{"buildnumber":"8447"}')
    assert result.outcome is SigningOutcome.SIGNED
    assert oracle.oracle_finds_it_valid()
    (record,) = oracle.registry.records
    message = b64decode(record["message"])
    record["message"] = b64encode(message.replace(b"8447", b"8448")).decode()
    assert not oracle.oracle_finds_it_valid()
    oracle.refuses(Reason.INVALID_SIGNATURE)


def test_sealgate_and_the_oci_cli_sign_the_same_in_the_same_words(oracle: Oracle) -> None:
    text = {"description": 'Für "UAT"', "metadata": '{"buildnumber":"8447"}'}
    oracle.sign(**text)
    assert oracle.sealgate_signs(**text).outcome is SigningOutcome.ALREADY_SIGNED
    oracle.registry.records.clear()
    oracle.sealgate_signs(**text)
    signing = [json.loads(asked.body) for asked in oracle.vault.requests if asked.path.endswith("/sign")]
    uploads = [json.loads(asked.body) for asked in oracle.registry.requests if asked.method == "POST"]
    assert signing[0] == signing[1]
    # Each PSS signature has a salt of its own.
    assert len({upload.pop("signature") for upload in uploads}) == 2
    assert uploads[0] == uploads[1]
