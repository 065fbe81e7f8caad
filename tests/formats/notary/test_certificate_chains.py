"""Certificate chains with one peculiarity each: a chain that Go's x509 or openssl refuses is refused.

`tests/data/notary_chains` holds the chains and what both said; `generate.py` there makes them anew.
"""

from __future__ import annotations

import json
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.notary import NotaryRoot
from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.formats.notary.certificates import check_root_bundle
from sealgate.formats.notary.pins import read_pin
from sealgate.formats.notary.wire.keys import read_key
from tests.support.real_tools.required import require_tool
from tests.support.rows import row
from tests.support.signers.notary import certified

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORDED = json.loads((Path(__file__).parents[2] / "data" / "notary_chains" / "chains.json").read_text())
CHAINS: dict[str, dict[str, str]] = {entry["name"]: entry for entry in RECORDED["chains"]}
NOW = datetime.fromisoformat(RECORDED["now"])

#: What both referees accept and sealgate does not, and why.
STRICTER = {"good, Ed25519 CA": "the library that builds chains takes the web's algorithms, and Ed25519 is not one"}


def refusal(chain: Mapping[str, str]) -> str:
    """Return why the bundle is not accepted as a root key under the pinned CA; empty if it is."""
    try:
        pin = read_pin(NotaryRoot.model_validate({"ca": {"pem": chain["roots"]}}))
        try:
            key = read_key("ecdsa-x509", chain["bundle"].encode())
        except InvalidKeyError as error:
            if "another type" not in error.message:
                raise
            key = read_key("rsa-x509", chain["bundle"].encode())
        check_root_bundle(key.certificates, RECORDED["gun"], NOW)
        pin.check(key, RECORDED["gun"], NOW)
    except (VerificationError, InvalidKeyError) as error:
        return error.message
    return ""


def test_chain_is_accepted_only_if_go_and_openssl_accept_it() -> None:
    for name in sorted(CHAINS):
        with row(name):
            chain = CHAINS[name]
            referees_refuse = bool(chain["go"] or chain["openssl"])
            assert bool(refusal(chain)) == (referees_refuse or name in STRICTER), refusal(chain)


def test_the_table_holds_chains_of_both_kinds() -> None:
    verdicts = [bool(chain["go"] or chain["openssl"]) for chain in CHAINS.values()]
    assert verdicts.count(True) > 30
    assert verdicts.count(False) > 15


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("CA between without keyCertSign", "keyCertSign"),
        ("root without keyCertSign", "keyCertSign"),
        ("leaf for code", "serverAuth"),
        ("CA between expired", "not valid"),
        ("CA between's key with explicit curve parameters", "RFC 5480"),
        ("root's key with explicit curve parameters", "RFC 5480"),
    ],
)
def test_refused_chain_has_a_reason(name: str, what: str) -> None:
    assert what in refusal(CHAINS[name])


def test_refusal_contains_no_library_internals() -> None:
    for name in sorted(CHAINS):
        with row(name):
            said = refusal(CHAINS[name])
            assert not re.search("exhausted|Python|Error|Identifier|<", said), said


@pytest.mark.real
@pytest.mark.parametrize("name", sorted(CHAINS))
def test_openssl_judges_the_chains_as_recorded(name: str, tmp_path: Path) -> None:
    chain: dict[str, Any] = CHAINS[name]
    _, leaf, *others = chain["bundle"].split("-----BEGIN")
    (tmp_path / "leaf").write_text(f"-----BEGIN{leaf}")
    (tmp_path / "others").write_text("".join(f"-----BEGIN{other}" for other in others))
    (tmp_path / "roots").write_text(chain["roots"])
    command = [require_tool("openssl"), "verify", "-attime", str(int(NOW.timestamp())), "-CAfile", "roots"]
    if others:
        command += ["-untrusted", "others"]
    done = subprocess.run([*command, "leaf"], cwd=tmp_path, capture_output=True, check=False, timeout=150)
    assert bool(done.returncode) == bool(chain["openssl"])


def test_pinned_ca_accepts_its_certificates() -> None:
    authority = certified("authority", authority=True, begins=NOW)
    leaf = certified(RECORDED["gun"], issuer=authority, begins=NOW)
    assert refusal({"roots": authority.certificate_pem, "bundle": leaf.certificate_pem}) == ""
