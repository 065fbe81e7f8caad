"""Keys in Azure Key Vault: enabled versions for signing, read by an application or by a workload identity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import ValidationError

from sealgate.cloud.azure import AzureApplication
from sealgate.errors import UnauthorizedError, UnavailableError
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.signing_keys import sign_verified
from sealgate.kms.interface import MAX_VERSIONS
from sealgate.kms.platform import platform_identities
from tests.support.environments.kms import SECRET, KMSEnvironment
from tests.support.simulators.azure_key_vault import CLIENT, SCOPE, TENANT, VERSION, AzureKeyVaultSimulator
from tests.support.simulators.http_messages import RecordedRequest, json_answer
from tests.support.simulators.kms_keys import pem_of_key

if TYPE_CHECKING:
    from tests.support.simulators.azure_key_vault import AzureKey

RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "azure" / "requests.json").read_text())
MESSAGE = b'{"critical": "an image"}'
OTHER = "f" * 32


def vault(environment: KMSEnvironment) -> AzureKeyVaultSimulator:
    assert isinstance(environment.kms, AzureKeyVaultSimulator)
    return environment.kms


def add(environment: KMSEnvironment, kind: str = "ECDSA P-256", *versions: str, **members: Any) -> AzureKey:
    return vault(environment).add(environment.key_id, kind, *versions, **members)


@pytest.mark.parametrize("hsm", [False, True])
@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("ECDSA P-256", "ECDSA_SHA_256"),
        ("ECDSA P-384", "ECDSA_SHA_384"),
        ("ECDSA P-521", "ECDSA_SHA_512"),
        ("RSA 2048", "RSA_PKCS1_SHA_256"),
    ],
)
def test_key_is_accepted_and_signs(azure: KMSEnvironment, kind: str, algorithm: str, hsm: bool) -> None:  # noqa: FBT001
    key = add(azure, kind, hsm=hsm)
    status = azure.resolve_one()
    assert (status.state, status.algorithm, status.key_version) == ("Accepted", algorithm, VERSION)
    assert status.fingerprint == load_public_key(pem_of_key(key.versions[VERSION])).fingerprint
    assert status.source == f"kms azure release at {azure.kms.url}"
    sign_verified(azure.signing_key(), MESSAGE, azure.deadline())


@pytest.mark.parametrize("algorithm", [f"RSA_{name}_SHA_{bits}" for name in ("PKCS1", "PSS") for bits in (256, 512)])
def test_rsa_key_signs_with_each_algorithm(azure: KMSEnvironment, algorithm: str) -> None:
    add(azure, "RSA 2048")
    sign_verified(azure.signing_key(algorithm), MESSAGE, azure.deadline())


def test_every_version_is_accepted_or_the_named_one(azure: KMSEnvironment) -> None:
    add(azure, "ECDSA P-256", VERSION, OTHER)
    assert [status.key_version for status in azure.resolve()] == [VERSION, OTHER]
    assert azure.resolve_one(azure.entry(keyVersion=OTHER)).key_version == OTHER
    assert azure.resolve_one(azure.entry(keyVersion="e" * 32)).reason == "KeyNotFound"


def test_newest_usable_versions_of_a_key_with_many_are_read(azure: KMSEnvironment) -> None:
    key = add(azure)
    names = [f"{number:032x}" for number in range(150)]
    key.versions = dict.fromkeys(names, key.versions[VERSION])
    assert {status.key_version for status in azure.resolve()} == set(names[-MAX_VERSIONS:])
    key.disabled = set(names[40:140])
    accepted = {status.key_version for status in azure.resolve() if status.state == "Accepted"}
    assert accepted == {*names[:40], *names[140:]}


@pytest.mark.parametrize(
    ("kind", "members", "reason"),
    [
        ("ECDSA P-256", {"state": "disabled"}, "Disabled"),
        ("ECDSA P-256", {"attributes": {"exp": 1700000000}}, "Expired"),
        ("ECDSA P-256", {"attributes": {"nbf": 4000000000}}, "PendingActivation"),
        ("ECDSA P-256", {"operations": ("wrapKey", "encrypt")}, "WrongUsage"),
        ("ECDSA secp256k1", {}, "UnsupportedAlgorithm"),
    ],
)
def test_other_versions_are_refused_with_a_reason(
    azure: KMSEnvironment, kind: str, members: dict[str, Any], reason: str
) -> None:
    add(azure, kind, **members)
    status = azure.resolve_one()
    assert (status.state, status.reason, status.pem) == ("Refused", reason, None)


def test_disabled_version_that_the_vault_lets_no_caller_read_costs_no_other(azure: KMSEnvironment) -> None:
    """Revoking one version must neither keep it accepted nor stop the others."""
    key = add(azure, "ECDSA P-256", VERSION, OTHER)
    key.disabled = {VERSION}
    found = {status.key_version: (status.state, status.reason) for status in azure.resolve()}
    assert found == {VERSION: ("Refused", "Disabled"), OTHER: ("Accepted", "")}
    assert azure.resolve_one(azure.entry(keyVersion=VERSION)).reason == "Disabled"


def test_version_that_the_credentials_may_not_read_is_unavailable(azure: KMSEnvironment) -> None:
    add(azure)
    azure.resolve()
    azure.kms.faults.status(f"release/{VERSION}", 403)
    with pytest.raises(UnauthorizedError, match="Azure Key Vault answers 403"):
        azure.resolve(azure.entry(keyVersion=VERSION))


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ({"kid": "https://v/keys/other/x"}, "it is about other/x"),
        ({"x": "AAAA", "y": "AAAA"}, "the key is not valid"),
        ({"x": "*"}, "x is"),
        ({"x": ""}, "x is empty"),
        ({"kty": 7}, "kty"),
    ],
)
def test_malformed_key_is_unavailable(azure: KMSEnvironment, key: dict[str, Any], why: str) -> None:
    good = {"kid": f"{azure.kms.url}/keys/release/{VERSION}", "kty": "EC", "crv": "P-256", "key_ops": ["sign"]}
    add(azure)
    azure.resolve()
    answer = {"key": {**good, "x": "AAAA", "y": "AAAA", **key}, "attributes": {"enabled": True}}
    azure.kms.respond = lambda _: json_answer(answer)  # type: ignore[assignment,method-assign]  # a stub
    with pytest.raises(UnavailableError, match=f"unexpected response from Azure Key Vault: .*{why}"):
        azure.resolve(azure.entry(keyVersion=VERSION))


def test_next_page_is_asked_for_at_the_same_address(azure: KMSEnvironment) -> None:
    add(azure)
    azure.resolve()
    page = {"value": [], "nextLink": "https://attacker.example.org/keys/other/versions?skip=25"}
    azure.kms.faults.body("versions", json.dumps(page).encode())
    with pytest.raises(UnavailableError, match="it is about other, not release"):
        azure.resolve()


# Credentials ----------------------------------------------------------------------------------------------------------


def test_token_is_asked_for_once_and_anew_when_it_is_refused(azure: KMSEnvironment) -> None:
    add(azure)
    azure.resolve()
    sign_verified(azure.signing_key(), MESSAGE, azure.deadline())
    assert len(vault(azure).tokens) == 1
    azure.clock.advance(300)
    vault(azure).tokens[0] = "revoked"
    with pytest.raises(UnauthorizedError, match="401 Unauthorized; check the credentials in Secret cloud"):
        azure.resolve()
    assert azure.resolve_one().state == "Accepted"


def test_wrong_client_secret_is_reported(azure: KMSEnvironment) -> None:
    azure.secrets[SECRET]["clientSecret"] = b"another"
    with pytest.raises(UnauthorizedError, match="Microsoft Entra ID answers 401"):
        azure.resolve()


def test_workload_identity_reads_the_key(azure: KMSEnvironment) -> None:
    add(azure)
    del azure.secrets[SECRET]["clientSecret"]
    azure.secrets[SECRET]["federatedToken"] = vault(azure).federated_token.encode()
    assert azure.resolve_one().state == "Accepted"


@pytest.mark.parametrize(
    ("vault_host", "authority"),
    [
        ("shop-1.vault.azure.net", "login.microsoftonline.com"),
        ("shop-1.managedhsm.azure.net", "login.microsoftonline.com"),
        ("shop-1.vault.azure.cn", "login.chinacloudapi.cn"),
        ("shop-1.vault.usgovcloudapi.net", "login.microsoftonline.us"),
    ],
)
def test_workload_identity_goes_to_the_authority_of_the_cloud(
    azure: KMSEnvironment, vault_host: str, authority: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("header.payload.signature")
    environ = {"AZURE_CLIENT_ID": CLIENT, "AZURE_TENANT_ID": TENANT, "AZURE_FEDERATED_TOKEN_FILE": f"{tmp_path}/token"}
    azure.identities = platform_identities(environ)
    with pytest.raises(UnavailableError):
        azure.resolve(azure.entry(endpoint=f"https://{vault_host}", credentialsSecret=None))
    assert azure.names.asked == [authority]


@pytest.mark.parametrize("member", ["tenantId", "clientId"])
def test_ids_are_words(azure: KMSEnvironment, member: str) -> None:
    azure.secrets[SECRET][member] = b"../x"
    with pytest.raises(UnavailableError, match="its tenantId and clientId must be IDs"):
        azure.resolve()


@pytest.mark.parametrize("fields", [{"key": "a/b"}, {"key": ".."}, {"keyVersion": "../x"}, {"keyVersion": "A" * 32}])
def test_invalid_entry_is_refused(azure: KMSEnvironment, fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        azure.entry(**fields)


# The vendor's SDKs ----------------------------------------------------------------------------------------------------


def test_simulator_accepts_the_requests_of_the_sdk(azure: KMSEnvironment) -> None:
    add(azure)
    for each in RECORDED["requests"]:
        url = urlsplit(each["url"])
        if vault(azure).tokens:
            each["headers"]["authorization"] = f"Bearer {vault(azure).tokens[0]}"
        query = tuple(parse_qsl(url.query))
        request = RecordedRequest(each["method"], url.path, query, each["headers"], each["body"].encode(), 1)
        assert vault(azure).respond(request).status == 200, each["url"]


def test_requests_of_sealgate_are_those_of_the_sdk(azure: KMSEnvironment) -> None:
    add(azure)
    azure.resolve()
    azure.signing_key(keyVersion=VERSION).sign(MESSAGE, azure.deadline())
    ours = [(each.method, each.path, each.body and json.loads(each.body)) for each in azure.kms.requests[1:]]
    login, *of_the_sdk, federated = RECORDED["requests"]
    assert ours == [
        (each["method"], urlsplit(each["url"]).path, each["body"].encode() and json.loads(each["body"]))
        for each in of_the_sdk
    ]
    data = {"tenantId": TENANT.encode(), "clientId": CLIENT.encode(), "clientSecret": b"client-secret"}
    added = {"client_info", "claims"}  # for caches of users, and for continuous access evaluation
    for recorded, given in ((login, data), (federated, {**data, "federatedToken": b"header.payload.signature"})):
        application = AzureApplication.from_secret("a", given)
        sent = {name: value for name, value in parse_qsl(recorded["body"]) if name not in added}
        assert dict(parse_qsl(application.request_body(SCOPE).decode())) == sent
        assert application.token_url("https://login.microsoftonline.com") == recorded["url"]
