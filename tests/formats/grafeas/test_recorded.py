"""Attestations made by real tools, and attestations of the simulator verified by real tools."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealgate.reasons import Reason
from tests.support.real_tools.required import require_tool
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from tests.support.environments.grafeas import GrafeasEnvironment

RECORDED = json.loads((Path(__file__).parents[2] / "data" / "grafeas" / "recorded.json").read_text())


@pytest.mark.parametrize("name", RECORDED)
def test_signatures_of_openssl_and_gpg_verify(environment: GrafeasEnvironment, name: str) -> None:
    environment.server.occurrences.append(RECORDED[name]["occurrence"])
    verified = environment.verify(environment.check(RECORDED[name]["key"]))
    assert len(verified.fingerprints) == 1


@pytest.mark.parametrize("name", RECORDED)
def test_it_verifies_by_no_other_key(environment: GrafeasEnvironment, name: str) -> None:
    environment.server.occurrences.append(RECORDED[name]["occurrence"])
    other = next(key for other, found in RECORDED.items() if other != name for key in [found["key"]])
    error = environment.refusal(environment.check(other))
    assert error.reason in {Reason.UNKNOWN_KEY, Reason.INVALID_SIGNATURE}


@pytest.mark.real
@pytest.mark.parametrize("padding", ["pss", "pkcs1"])
def test_openssl_verifies_signatures_of_the_simulator(
    environment: GrafeasEnvironment, tmp_path: Path, padding: str
) -> None:
    openssl = require_tool("openssl")
    key = new_key("RSA 2048", "grafeas openssl")
    algorithm = {"pss": "RSA_PSS_SHA_256", "pkcs1": "RSA_PKCS1_SHA_256"}[padding]
    attestation = environment.attest(key, algorithm=algorithm)["attestation"]
    (tmp_path / "key.pem").write_text(public_pem(key))
    (tmp_path / "signature").write_bytes(b64decode(attestation["signatures"][0]["signature"]))
    (tmp_path / "payload").write_bytes(b64decode(attestation["serializedPayload"]))
    command = [openssl, "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature"]
    command += ["-sigopt", f"rsa_padding_mode:{padding}", "payload"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout == "Verified OK\n", ran.stderr
