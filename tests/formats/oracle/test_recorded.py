"""Records signed by openssl, and records of the simulator verified by openssl."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealgate.reasons import Reason
from tests.support.environments.oracle import KEY
from tests.support.real_tools.required import require_tool
from tests.support.signers.private_keys import public_pem
from tests.support.simulators.ocir import KEY_ID, VERSION_ID

if TYPE_CHECKING:
    from tests.support.environments.oracle import OracleEnvironment

RECORDED = json.loads((Path(__file__).parents[2] / "data" / "oracle" / "recorded.json").read_text())
TRUSTED = {"keyId": KEY_ID, "keyVersionIds": [VERSION_ID], "pem": RECORDED["pem"]}


@pytest.mark.parametrize("name", RECORDED["records"])
def test_signature_of_openssl_verifies(environment: OracleEnvironment, name: str) -> None:
    environment.server.records.append(RECORDED["records"][name])
    check = environment.check(TRUSTED, description="Image f\u00fcr UAT", metadata={"buildnumber": "8447"})
    assert len(environment.verify(check).fingerprints) == 1


@pytest.mark.parametrize("name", RECORDED["records"])
def test_it_verifies_by_no_other_key(environment: OracleEnvironment, name: str) -> None:
    environment.server.records.append(RECORDED["records"][name])
    environment.refuses(Reason.INVALID_SIGNATURE)


@pytest.mark.real
@pytest.mark.parametrize("bits", ["224", "256", "384", "512"])
def test_openssl_verifies_signatures_of_the_simulator(
    environment: OracleEnvironment, tmp_path: Path, bits: str
) -> None:
    openssl = require_tool("openssl")
    record = environment.sign(signingAlgorithm=f"SHA_{bits}_RSA_PKCS_PSS")
    (tmp_path / "key.pem").write_text(public_pem(KEY))
    (tmp_path / "signature").write_bytes(b64decode(record["signature"]))
    (tmp_path / "message").write_bytes(b64decode(record["message"]))
    command = [openssl, "dgst", f"-sha{bits}", "-verify", "key.pem", "-signature", "signature"]
    command += ["-sigopt", "rsa_padding_mode:pss", "-sigopt", f"rsa_mgf1_md:sha{bits}", "message"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout == "Verified OK\n", ran.stderr
