"""Recorded signature records of sealgate, with what Oracle's own tool and openssl said about them."""

from __future__ import annotations

import copy
import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.formats.oracle.service import SignatureService
from sealgate.formats.oracle.sign import build_signer
from sealgate.keys.public_keys import load_public_key
from sealgate.reasons import Reason
from tests.data.oracle.signed_by_sealgate.generate import ALGORITHMS, CHANGES, HERE, TEXT, ask_openssl
from tests.support.changes import change_base64, change_text
from tests.support.environments.oracle import DIGEST, REPOSITORY
from tests.support.real_tools.oci_cli import IMAGE_ID, KEY_ID, VERSION_ID, finds_valid
from tests.support.real_tools.required import require_tool
from tests.support.real_tools.verdicts import read_verdicts
from tests.support.signers.private_keys import new_key
from tests.support.signers.replayed import ReplayedKey
from tests.support.simulators.ocir import COMPARTMENT, REGION, APIKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sealgate.formats.oracle.verify import OracleCheck
    from sealgate.keys.public_keys import PublicKey
    from tests.support.environments.oracle import OracleEnvironment

RECORDED: dict[str, dict[str, Any]] = json.loads((HERE / "recorded.json").read_text())
VERDICTS = read_verdicts(HERE / "verdicts.json")
#: Members that the service gives.
GIVEN = ("id", "displayName", "timeCreated", "lifecycleState")


@pytest.fixture(autouse=True)
def image(environment: OracleEnvironment) -> None:
    """Store the image and, as an index does that is wrong, list every record for it."""
    environment.server.images[IMAGE_ID] = (DIGEST, REPOSITORY)
    environment.server.honours_filter = False


def check(environment: OracleEnvironment, algorithm: str, **fields: Any) -> OracleCheck:
    key = {"keyId": KEY_ID, "keyVersionIds": [VERSION_ID], "pem": RECORDED[algorithm]["pem"]}
    return environment.check(key, **fields)


def public_key(algorithm: str) -> PublicKey:
    return load_public_key(RECORDED[algorithm]["pem"], algorithm).of_version(VERSION_ID)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_recording_verifies(environment: OracleEnvironment, algorithm: str) -> None:
    environment.server.records.append(RECORDED[algorithm]["record"])
    fields = {"description": TEXT["description"], "metadata": json.loads(TEXT["metadata"])}
    found = environment.verify(check(environment, algorithm, **fields))
    assert found.fingerprints == (public_key(algorithm).fingerprint,)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signer_stores_the_same_today(environment: OracleEnvironment, algorithm: str) -> None:
    api_key = APIKey(new_key("RSA 2048", "an API key"))  # type: ignore[arg-type]  # an RSA key
    environment.server.api_key, environment.secrets = api_key, {"oci": api_key.secret}
    recorded = RECORDED[algorithm]["record"]
    key = ReplayedKey(public_key(algorithm), [signature_of(recorded)])
    service = SignatureService(environment.server.url, None, COMPARTMENT, subtree=False)
    build_signer(service, "oci", key, KEY_ID, region=REGION, **TEXT).sign(environment.image(), environment.context())
    (today,) = environment.server.records
    assert posted(today) == posted(recorded)


def posted(record: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in record.items() if member not in GIVEN}


def signature_of(record: dict[str, Any]) -> bytes:
    return b64decode(record["signature"])


# One changed byte ---------------------------------------------------------------------------------------------------


def _message(text: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda record: {"message": change_base64(record["message"], text)}


def _member(name: str, after: str = "") -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda record: {name: change_text(record[name], after)}


#: Why each is refused.
CHANGED: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], Reason]] = {
    **{place: (change, Reason.INVALID_SIGNATURE) for place, change in CHANGES.items()},
    "description in the message": (_message('"description":"'), Reason.INVALID_SIGNATURE),
    "key in the message": (_message('"kmsKeyId":"ocid1.key.oc1.'), Reason.INVALID_SIGNATURE),
    "version in the message": (_message('"kmsKeyVersionId":"ocid1.keyversion.oc1.'), Reason.INVALID_SIGNATURE),
    "region in the message": (_message('"region":"'), Reason.INVALID_SIGNATURE),
    "repository in the message": (_message('"repositoryName":"'), Reason.INVALID_SIGNATURE),
    "algorithm in the message": (_message('"signingAlgorithm":"SHA_'), Reason.INVALID_SIGNATURE),
    "key": (_member("kmsKeyId", "ocid1.key.oc1.phx."), Reason.UNKNOWN_KEY),
    "version": (_member("kmsKeyVersionId", "ocid1.keyversion.oc1.phx."), Reason.UNKNOWN_KEY),
    "algorithm": (_member("signingAlgorithm", "SHA_"), Reason.INVALID_SIGNATURE),
    "state": (_member("lifecycleState"), Reason.REVOKED),
}


@pytest.mark.parametrize("place", CHANGED)
def test_changed_byte_is_refused(environment: OracleEnvironment, place: str) -> None:
    change, reason = CHANGED[place]
    record = copy.deepcopy(RECORDED["RSA_PSS_SHA_256"]["record"])
    environment.server.records.append(record | change(record))
    environment.refuses(reason, check(environment, "RSA_PSS_SHA_256"))


# What the tools said ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_both_tools_accept_the_recording_and_refuse_a_changed_byte(algorithm: str) -> None:
    recorded = VERDICTS[algorithm]["verdicts"]
    assert recorded.keys() == {"unchanged", *CHANGES}
    for place, (oci, openssl) in recorded.items():
        assert (oci.tool.partition(" ")[0], openssl.tool.partition(" ")[0]) == ("oci", "openssl")
        assert (oci.accepted and finds_valid(oci)) is openssl.accepted is (place == "unchanged")


@pytest.mark.real
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_openssl_says_the_same_of_the_recording_today(tmp_path: Path, algorithm: str) -> None:
    require_tool("openssl")
    recording = RECORDED[algorithm]
    assert ask_openssl(recording["pem"], recording["record"], algorithm, tmp_path).accepted
    for change in CHANGES.values():
        changed = recording["record"] | change(recording["record"])
        assert not ask_openssl(recording["pem"], changed, algorithm, tmp_path).accepted
