"""Keys in Vault's transit engine: versions that are not archived, read with a token or by Kubernetes auth."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from sealgate.errors import ForbiddenAddressError, SigningError, UnauthorizedError, UnavailableError
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.signing_keys import sign_verified
from sealgate.kms.interface import MAX_VERSIONS
from sealgate.kms.platform import TokenFile, platform_identities
from tests.data.vault.record import MESSAGE, RECORDING
from tests.support.environments.kms import SECRET, KMSEnvironment
from tests.support.simulators.http_messages import Answer, RecordedRequest, json_answer
from tests.support.simulators.kms_keys import pem_of_key
from tests.support.simulators.vault_transit import ROLE, VaultSimulator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulators.vault_transit import TransitKey

RECORDED: list[dict[str, Any]] = json.loads(RECORDING.read_text())
READ = {each["path"]: each["response"]["data"] for each in RECORDED if each["operation"] == "read"}
SIGNED = [each for each in RECORDED if "algorithm" in each]
KUBERNETES: dict[str, Any] = {"kubernetes": {"role": ROLE}, "credentialsSecret": None}


def simulator(environment: KMSEnvironment) -> VaultSimulator:
    assert isinstance(environment.kms, VaultSimulator)
    return environment.kms


def add(environment: KMSEnvironment, kind: str = "ecdsa-p256", *versions: str, **members: Any) -> TransitKey:
    return simulator(environment).add(environment.key_id, kind, *versions, **members)


def log_in(environment: KMSEnvironment, folder: Path) -> None:
    """Give the process a token of its ServiceAccount, as the chart does."""
    (folder / "token").write_text(f"{simulator(environment).jwt}\n")
    environment.identities = platform_identities({}, vault=TokenFile(environment.kms.url, folder / "token"))


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("ecdsa-p256", "ECDSA_SHA_256"),
        ("ecdsa-p384", "ECDSA_SHA_384"),
        ("ecdsa-p521", "ECDSA_SHA_512"),
        ("ed25519", "ED25519"),
        ("rsa-2048", "RSA_PKCS1_SHA_256"),
        ("rsa-3072", "RSA_PKCS1_SHA_256"),
    ],
)
def test_key_is_accepted(vault: KMSEnvironment, kind: str, algorithm: str) -> None:
    key = add(vault, kind)
    status = vault.resolve_one()
    assert (status.state, status.algorithm, status.key_version) == ("Accepted", algorithm, "1")
    assert status.fingerprint == load_public_key(pem_of_key(key.versions["1"])).fingerprint
    assert status.source == f"kms vault transit/release at {vault.kms.url}"


def test_every_version_that_is_not_archived_is_accepted(vault: KMSEnvironment) -> None:
    add(vault, "ecdsa-p256", "1", "2", "3", least=2)
    assert [(status.key_version, status.state) for status in vault.resolve()] == [("3", "Accepted"), ("2", "Accepted")]
    assert vault.resolve_one(vault.entry(keyVersion=2)).state == "Accepted"
    archived, missing = (vault.resolve_one(vault.entry(keyVersion=version)) for version in (1, 7))
    assert (archived.reason, missing.reason) == ("Disabled", "VersionNotFound")
    assert "version 1 is archived (min_decryption_version is 2)" in archived.message


def test_newest_versions_are_read_of_a_key_with_many(vault: KMSEnvironment) -> None:
    key = add(vault)
    key.versions = {str(version): key.versions["1"] for version in range(1, 101)}
    versions = [status.key_version for status in vault.resolve()]
    assert versions == [str(version) for version in range(100, 100 - MAX_VERSIONS, -1)]


@pytest.mark.parametrize(
    ("kind", "members", "reason"),
    [
        ("aes256-gcm96", {}, "UnsupportedAlgorithm"),
        ("hmac", {}, "UnsupportedAlgorithm"),
        ("ml-dsa", {}, "UnsupportedAlgorithm"),
        ("ed25519", {"derived": True}, "WrongUsage"),
        ("ecdsa-p256", {"soft_deleted": True}, "Deleted"),
    ],
)
def test_other_keys_are_refused_with_a_reason(
    vault: KMSEnvironment, kind: str, members: dict[str, Any], reason: str
) -> None:
    add(vault, kind, **members)
    status = vault.resolve_one()
    assert (status.state, status.reason, status.pem) == ("Refused", reason, None)


def test_missing_key_is_refused(vault: KMSEnvironment) -> None:
    status = vault.resolve_one()
    assert status.reason == "KeyNotFound"
    assert "there is no such key; check mount, key and namespace" in status.message


def test_mount_and_namespace_are_asked_for(vault: KMSEnvironment) -> None:
    add(vault)
    simulator(vault).mount, simulator(vault).namespace = "sec/transit", "team/a"
    status = vault.resolve_one(vault.entry(mount="sec/transit", namespace="team/a"))
    assert (status.state, status.source) == ("Accepted", f"kms vault team/a/sec/transit/release at {vault.kms.url}")
    assert vault.resolve_one().reason == "KeyNotFound"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "other"}, "it is about other, not release"),
        ({"keys": {"1": {"public_key": 7}}}, "public_key"),
        ({"keys": {"1": "x"}}, "1 is missing or not an object"),
        ({"keys": {"one": {}}}, "one is not a version"),
        ({"keys": {"1" * 5000: {}}}, "is not a version"),
        ({"keys": {"01": {}}}, "01 is not a version"),
        ({"keys": None}, "keys"),
        ({"min_decryption_version": None}, "min_decryption_version"),
        ({"type": "ed25519"}, "public_key is not base64"),
        ({"type": "ed25519", "keys": {"1": {"public_key": "AAAA"}}}, "public_key has not 32 bytes"),
    ],
)
def test_malformed_description_of_a_key_is_unavailable(vault: KMSEnvironment, change: dict[str, Any], why: str) -> None:
    data = {**READ["keys/ecdsa-p256"], "name": vault.key_id, **change}
    vault.kms.respond = lambda _: json_answer({"data": data})  # type: ignore[assignment,method-assign]  # a stub
    with pytest.raises(UnavailableError, match=f"unexpected response from Vault: .*{why}"):
        vault.resolve()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"mount": "../sys"}, "mount"),
        ({"mount": "a//b"}, "mount"),
        ({"mount": "a/../../sys"}, "mount"),
        ({"key": "a/b"}, "key"),
        ({"key": ".."}, "key"),
        ({"namespace": "a b"}, "namespace"),
        ({"keyVersion": 0}, "keyVersion"),
        ({"kubernetes": {"role": "r", "mount": "a/.."}, "credentialsSecret": None}, "mount"),
        ({"kubernetes": {"role": "r"}}, "write exactly one way to log in"),
        ({"credentialsSecret": None}, "write exactly one"),
        ({"endpoint": None}, "endpoint"),
    ],
)
def test_invalid_entry_is_refused(vault: KMSEnvironment, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        vault.entry(**fields)


# Credentials ----------------------------------------------------------------------------------------------------------


def test_token_is_sent_to_the_address_in_its_secret_only(vault: KMSEnvironment) -> None:
    add(vault)
    vault.secrets[SECRET]["address"] = b"https://vault.example.org:8200"
    with pytest.raises(ForbiddenAddressError, match="Secret cloud belongs to another address and is not sent to http"):
        vault.resolve()
    vault.secrets[SECRET]["address"] = b"vault"
    with pytest.raises(UnavailableError, match="its address is not a URL"):
        vault.resolve()
    assert vault.kms.requests == []


def test_service_account_logs_in_once_for_many_requests(vault: KMSEnvironment, tmp_path: Path) -> None:
    add(vault)
    log_in(vault, tmp_path)
    entry = vault.entry(**KUBERNETES)
    assert vault.resolve_one(entry).state == "Accepted"
    sign_verified(vault.signing_keys().open(entry, vault.deadline()), MESSAGE, vault.deadline())
    assert len(simulator(vault).logins) == 1
    assert {request.headers["x-vault-token"] for request in vault.kms.requests[1:]} == {"hvs.login-0"}


def test_login_is_repeated_before_its_token_ends_and_when_it_is_refused(vault: KMSEnvironment, tmp_path: Path) -> None:
    add(vault)
    log_in(vault, tmp_path)
    simulator(vault).lease_seconds = 600
    entry = vault.entry(**KUBERNETES)
    vault.resolve(entry)
    vault.clock.advance(451)
    vault.resolve(entry)
    logins = simulator(vault).logins
    assert len(logins) == 2
    vault.clock.advance(300)
    logins.clear()  # revoked
    assert vault.resolve_one(entry).state == "Accepted"
    assert len(logins) == 1
    logins.clear()  # too soon for another login: it would be the identity that is refused
    with pytest.raises(UnauthorizedError, match="check the credentials in the ServiceAccount's token for Vault"):
        vault.resolve(entry)
    assert logins == []


def test_token_that_ends_while_it_is_cached_fails_no_signature(vault: KMSEnvironment, tmp_path: Path) -> None:
    add(vault)
    log_in(vault, tmp_path)
    simulator(vault).lease_seconds = 600
    vault.resolve(vault.entry(**KUBERNETES))
    vault.clock.advance(451)
    key = vault.signing_keys().open(vault.entry(**KUBERNETES), vault.deadline())
    vault.clock.advance(300)
    simulator(vault).logins.clear()  # the token of the second login ends
    sign_verified(key, MESSAGE, vault.deadline())
    assert len(simulator(vault).logins) == 1


def test_token_of_another_service_account_is_refused(vault: KMSEnvironment, tmp_path: Path) -> None:
    add(vault)
    log_in(vault, tmp_path)
    (tmp_path / "token").write_text("another")
    with pytest.raises(UnauthorizedError, match="Vault answers 403"):
        vault.resolve(vault.entry(**KUBERNETES))


def test_missing_token_is_reported(vault: KMSEnvironment, tmp_path: Path) -> None:
    add(vault)
    log_in(vault, tmp_path)
    (tmp_path / "token").unlink()
    with pytest.raises(UnavailableError, match=r"the ServiceAccount's token for Vault: .*token cannot be read"):
        vault.resolve(vault.entry(**KUBERNETES))


# Vault's own code -----------------------------------------------------------------------------------------------------


def replay(environment: KMSEnvironment) -> None:
    """Answer as Vault's own transit engine did to the same requests."""

    def respond(request: RecordedRequest) -> Answer:
        path = request.path.removeprefix("/v1/transit/")
        if request.method == "GET":
            data = READ[path]
            return json_answer({"data": data}) if data else json_answer({"errors": []}, 404)
        asked = json.loads(request.body)
        found = [each["response"]["data"] for each in SIGNED if (each["path"], each["data"]) == (path, asked)]
        return json_answer({"data": found[0]}) if found else json_answer({"errors": ["no such request"]}, 400)

    environment.kms.respond = respond  # type: ignore[method-assign]  # the simulator is the test's own


@pytest.mark.parametrize(
    ("key", "states"),
    [
        ("ecdsa-p256", ["Accepted"]),
        ("ecdsa-p384", ["Accepted"]),
        ("ecdsa-p521", ["Accepted"]),
        ("ed25519", ["Accepted"]),
        ("rsa-2048", ["Accepted"]),
        ("rsa-3072", ["Accepted"]),
        ("rotated", ["Accepted", "Accepted"]),
        ("aes256-gcm96", ["Refused"]),
        ("derived", ["Refused"]),
        ("missing", ["Refused"]),
    ],
)
def test_keys_of_a_real_transit_engine_are_read(vault: KMSEnvironment, key: str, states: list[str]) -> None:
    replay(vault)
    assert [status.state for status in vault.resolve(vault.entry(key=key))] == states


@pytest.mark.parametrize("recorded", SIGNED, ids=[f"{each['path']}-{each['algorithm']}" for each in SIGNED])
def test_real_transit_engine_signs_for_the_same_request(vault: KMSEnvironment, recorded: dict[str, Any]) -> None:
    key = recorded["path"].removeprefix("sign/")
    replay(vault)
    signature = sign_verified(vault.signing_key(recorded["algorithm"], key=key), MESSAGE, vault.deadline())
    assert signature == b64decode(recorded["response"]["data"]["signature"].rpartition(":")[2])


def test_simulator_describes_keys_as_the_real_engine_does(vault: KMSEnvironment) -> None:
    add(vault)
    vault.resolve()
    answer = json.loads(simulator(vault).respond(vault.kms.requests[0]).body)["data"]
    real = READ["keys/ecdsa-p256"]
    # Only a later Vault has soft deletion.
    assert set(answer) - {"soft_deleted"} <= set(real)
    assert set(answer["keys"]["1"]) <= set(real["keys"]["1"])


def test_ed25519_key_signs_nothing(vault: KMSEnvironment) -> None:
    add(vault, "ed25519")
    with pytest.raises(SigningError, match="the service signs nothing with this Ed25519 key"):
        vault.signing_key()
