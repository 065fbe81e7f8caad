"""Keys in an Oracle Cloud vault: enabled keys, in their enabled versions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sealgate.errors import UnauthorizedError, UnavailableError
from sealgate.keys.public_keys import load_public_key
from tests.support.environments.kms import SECRET
from tests.support.signers.private_keys import new_key
from tests.support.simulators.http_messages import Answer, encode
from tests.support.simulators.kms_keys import pem_of_key
from tests.support.simulators.oci_vault import OCIVaultSimulator

if TYPE_CHECKING:
    from tests.support.environments.kms import KMSEnvironment
    from tests.support.simulators.http_messages import RecordedRequest
    from tests.support.simulators.oci_vault import VaultKey

V1, V2, V3 = (f"ocid1.keyversion.oc1.phx.vault.v{number}" for number in (1, 2, 3))


def add(environment: KMSEnvironment, kind: str = "ECDSA P-256", *versions: str, **members: str) -> VaultKey:
    assert isinstance(environment.kms, OCIVaultSimulator)
    return environment.kms.add(environment.key_id, kind, *(versions or (V1,)), **members)


@pytest.mark.parametrize(("kind", "algorithm"), [("RSA 2048", "RSA_PKCS1_SHA_256"), ("ECDSA P-256", "ECDSA_SHA_256")])
def test_an_enabled_key_is_accepted(oracle: KMSEnvironment, kind: str, algorithm: str) -> None:
    key = add(oracle, kind)
    status = oracle.resolve_one()
    fingerprint = load_public_key(pem_of_key(key.versions[V1])).fingerprint
    assert (status.state, status.algorithm, status.fingerprint) == ("Accepted", algorithm, fingerprint)
    assert (status.source, status.key_version) == (f"kms oracle {oracle.key_id} at {oracle.kms.url}", V1)


def test_all_versions_count_unless_some_are_named(oracle: KMSEnvironment) -> None:
    add(oracle, "ECDSA P-256", V1, V2)
    assert [status.key_version for status in oracle.resolve()] == [V2, V1]
    assert [status.key_version for status in oracle.resolve(oracle.entry(keyVersionIds=[V1]))] == [V1]
    found = oracle.resolve(oracle.entry(keyVersionIds=[V2, V3]))
    assert [(status.key_version, status.state, status.reason) for status in found] == [
        (V2, "Accepted", ""),
        (V3, "Refused", "VersionNotFound"),
    ]


def test_only_the_disabled_version_is_refused(oracle: KMSEnvironment) -> None:
    key = add(oracle, "ECDSA P-256", V1, V2, V3)
    key.states = {V1: "DISABLED", V2: "PENDING_DELETION"}
    assert [(status.key_version, status.state, status.reason) for status in oracle.resolve()] == [
        (V3, "Accepted", ""),
        (V2, "Refused", "PendingDeletion"),
        (V1, "Refused", "Disabled"),
    ]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("DISABLED", "Disabled"),
        ("PENDING_DELETION", "PendingDeletion"),
        ("DELETED", "Deleted"),
        ("UPDATING", "NotEnabled"),
    ],
)
def test_a_key_that_is_not_enabled_is_refused(oracle: KMSEnvironment, state: str, reason: str) -> None:
    add(oracle, "ECDSA P-256", V1, state=state)
    status = oracle.resolve_one()
    assert (status.state, status.reason) == ("Refused", reason)
    assert f"in the state {state}; enable it in the vault" in status.message


def test_non_signing_and_deleted_keys_are_refused(oracle: KMSEnvironment) -> None:
    missing = oracle.resolve_one()
    assert (missing.state, missing.reason) == ("Refused", "KeyNotFound")
    assert "404 NotAuthorizedOrNotFound" in missing.message
    add(oracle, "AES")
    assert oracle.resolve_one().reason == "UnsupportedAlgorithm"


def test_a_key_without_versions_is_refused(oracle: KMSEnvironment) -> None:
    add(oracle).versions.clear()
    assert oracle.resolve_one().reason == "KeyNotFound"


def test_another_api_key_is_refused_by_the_vault(oracle: KMSEnvironment) -> None:
    add(oracle)
    pem = new_key("RSA 2048", "another").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    oracle.secrets[SECRET] = {**oracle.kms.secret, "privateKey": pem}
    with pytest.raises(UnauthorizedError, match="401 NotAuthenticated; check the credentials in Secret cloud"):
        oracle.resolve()


@pytest.mark.parametrize(
    ("path", "document"),
    [
        (r"/keys/[^/]+$", {"id": "ocid1.key.oc1.phx.vault.other", "lifecycleState": "ENABLED"}),
        (r"/keyVersions\?", {"items": []}),
        (r"/keyVersions/", {"id": V2, "keyId": "ocid1.key.oc1.phx.vault.k"}),
        (r"/keyVersions/", {"id": V1, "keyId": "ocid1.key.oc1.phx.vault.other"}),
        (r"/keyVersions/", {"id": V1, "keyId": "ocid1.key.oc1.phx.vault.k", "lifecycleState": "ENABLED"}),
    ],
)
def test_invalid_responses_are_unavailable(oracle: KMSEnvironment, path: str, document: object) -> None:
    add(oracle)
    oracle.kms.faults.body(path, encode(document))
    with pytest.raises(UnavailableError, match="unexpected response"):
        oracle.resolve()


@pytest.mark.parametrize(
    ("path", "member", "value"),
    [
        (r"/keys/[^/]+$", "id", "ocid1.key.oc1.phx.vault.other"),
        (r"/keyVersions/[^/]+$", "id", V2),
        (r"/keyVersions/[^/]+$", "keyId", "ocid1.key.oc1.phx.vault.other"),
    ],
)
def test_response_about_another_key_or_version_is_unavailable(
    oracle: KMSEnvironment, path: str, member: str, value: str
) -> None:
    add(oracle)
    respond = oracle.kms.respond

    def answer(request: RecordedRequest) -> Answer:
        given = respond(request)
        if not re.search(path, request.path):
            return given
        return Answer(given.status, given.headers, encode({**json.loads(given.body), member: value}))

    oracle.kms.respond = answer  # type: ignore[method-assign]  # the simulator is the test's own
    with pytest.raises(UnavailableError, match=r"unexpected response from .*: it is about"):
        oracle.resolve()
