"""Attacks on the identities with which key management services are asked: tokens that stray, are mixed up or leak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from sealgate.clocks import Deadline
from sealgate.errors import ForbiddenAddressError, UnauthorizedError, UnavailableError
from sealgate.http.services import ServiceClient
from sealgate.http.settings import HostSettings
from sealgate.kms.platform import TokenFile, platform_identities
from sealgate.kms.resolve import resolve_kms
from sealgate.service_secrets import MAX_MEMBER_BYTES
from tests.support.environments.kms import SECRET, KMSEnvironment
from tests.support.environments.registry_clients import Names, settings_for
from tests.support.simulators.aws_kms import ROLE, AWSKMSSimulator
from tests.support.simulators.azure_key_vault import AzureKeyVaultSimulator
from tests.support.simulators.google_kms import GoogleKMSSimulator
from tests.support.simulators.http_messages import json_answer
from tests.support.simulators.vault_transit import ROLE as VAULT_ROLE
from tests.support.simulators.vault_transit import VaultSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.api.v1alpha1.keys import KeyEntry

TOKEN = "header.payload.signature"
KUBERNETES: dict[str, Any] = {"kubernetes": {"role": VAULT_ROLE}, "credentialsSecret": None}


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[KMSEnvironment]:
    """Vault, and a process with a token of its ServiceAccount for it."""
    with KMSEnvironment(VaultSimulator) as environment:
        environment.add_key()
        (tmp_path / "token").write_text(TOKEN)
        environment.identities = platform_identities({}, vault=TokenFile(environment.kms.url, tmp_path / "token"))
        yield environment


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[KMSEnvironment]:
    """AWS, and a process with a role."""
    with KMSEnvironment(AWSKMSSimulator) as environment:
        environment.add_key()
        (tmp_path / "token").write_text(TOKEN)
        environ = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
        environment.identities = platform_identities(environ | {"AWS_ENDPOINT_URL_STS": environment.kms.url})
        yield environment


def ask_elsewhere(environment: KMSEnvironment, entry: KeyEntry, names: Names) -> None:
    """Ask through a client that no setting allows loopback addresses to."""
    with ServiceClient(HostSettings(), clock=environment.clock, resolver=names) as client:
        services = client.services(Deadline.after(environment.clock, 20))
        resolve_kms(entry, environment.credentials, services, environment.clock)


# 125: the author of an entry has a token sent to an address of his own -----------------------------------------------


@pytest.mark.parametrize("login", [KUBERNETES, {}], ids=["service account", "secret"])
def test_attack_125_vault_token_is_not_sent_to_the_address_of_an_entry(
    vault: KMSEnvironment, login: dict[str, Any]
) -> None:
    with KMSEnvironment(VaultSimulator) as attacker:
        attacker.add_key()
        with pytest.raises(ForbiddenAddressError, match="belongs to another address and is not sent to"):
            vault.resolve(vault.entry(endpoint=attacker.kms.url, **login))
        assert attacker.kms.requests == []


@pytest.mark.parametrize(
    "address", ["https://vault.example.org", "https://vault.example.org:8201", "http://vault.example.org:8200"]
)
def test_attack_125_address_of_a_token_has_scheme_and_port(vault: KMSEnvironment, address: str) -> None:
    vault.secrets[SECRET]["address"] = b"https://vault.example.org:8200"
    with pytest.raises(ForbiddenAddressError, match="belongs to another address"):
        vault.resolve(vault.entry(endpoint=address))
    assert vault.names.asked == []


def test_attack_125_redirect_does_not_carry_a_vault_token_elsewhere(vault: KMSEnvironment) -> None:
    with KMSEnvironment(VaultSimulator) as attacker:
        vault.kms.faults.redirect("keys", f"{attacker.kms.url}/v1/transit/keys/release", status=307)
        with pytest.raises(UnavailableError, match="Vault answers 307"):
            vault.resolve(vault.entry(**KUBERNETES))
        assert attacker.kms.requests == []


def test_attack_125_web_identity_token_goes_to_sts_only(aws: KMSEnvironment) -> None:
    with KMSEnvironment(AWSKMSSimulator) as attacker:
        attacker.add_key()
        with ServiceClient(settings_for(aws.kms, attacker.kms), clock=aws.clock) as client:
            services = client.services(aws.deadline())
            entry = aws.entry(endpoint=attacker.kms.url, credentialsSecret=None)
            with pytest.raises(UnauthorizedError):
                resolve_kms(entry, aws.credentials, services, aws.clock)
        simulator = aws.kms
        assert isinstance(simulator, AWSKMSSimulator)
        assert attacker.kms.requests
        sent = repr([(request.path, dict(request.headers), request.body) for request in attacker.kms.requests])
        assert TOKEN not in sent
        assert all(secret not in sent for secret, _ in simulator.sessions.values())


@pytest.mark.parametrize("own", [b"", b"https://kms.example.org"], ids=["public", "private"])
def test_attack_125_google_bearer_is_not_sent_to_the_address_of_an_entry(own: bytes) -> None:
    with KMSEnvironment(GoogleKMSSimulator) as attacker:
        attacker.add_key()
        attacker.secrets[SECRET]["address"] = own
        with pytest.raises(ForbiddenAddressError, match="Secret cloud belongs to another address and is not sent to"):
            attacker.resolve()
        assert attacker.kms.requests == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://vault.azure.net.example.org",
        "https://evilvault.azure.net",
        "http://shop-1.vault.azure.net",
        "https://shop-1.vault.azure.net:8443",
        "https://example.org",
    ],
)
def test_attack_125_azure_bearer_is_not_sent_to_other_hosts(endpoint: str) -> None:
    with KMSEnvironment(AzureKeyVaultSimulator) as azure:
        with pytest.raises(ForbiddenAddressError, match="belongs to another address and is not sent to"):
            azure.resolve(azure.entry(endpoint=endpoint))
        assert azure.names.asked == []


def test_attack_125_ca_of_an_entry_does_not_prove_a_public_address() -> None:
    """A CA of the author, with traffic that is redirected inside the cluster, would take the bearer."""
    own = {"pem": "of the author"}
    with KMSEnvironment(GoogleKMSSimulator) as google, KMSEnvironment(AzureKeyVaultSimulator) as azure:
        del google.secrets[SECRET]["address"], azure.secrets[SECRET]["address"]
        entries = (
            (google, google.entry(endpoint=None, ca=own)),
            (azure, azure.entry(endpoint="https://shop-1.vault.azure.net", ca=own)),
        )
        for environment, entry in entries:
            with pytest.raises(ForbiddenAddressError, match="only as the system's CAs authenticate it"):
                environment.resolve(entry)
            assert environment.names.asked == []


def test_attack_125_azure_bearer_with_an_address_is_not_sent_to_another_vault() -> None:
    with KMSEnvironment(AzureKeyVaultSimulator) as azure:
        azure.secrets[SECRET]["address"] = b"https://shop-1.vault.azure.net"
        with pytest.raises(ForbiddenAddressError, match="belongs to another address"):
            azure.resolve(azure.entry(endpoint="https://another.vault.azure.net"))
        assert azure.names.asked == []


@pytest.mark.parametrize("region", ["s3", "evil.org/", "x.evil.org#", "eu-central-1.evil", "s3-eu-west-1"])
def test_attack_125_region_names_no_host_of_a_customer(aws: KMSEnvironment, region: str) -> None:
    with pytest.raises(ValidationError, match="region"):
        aws.entry(region=region, credentialsSecret=None)


# 126: the metadata address --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.170.23", "fd00:ec2::254", "168.63.129.16"])
def test_attack_126_identity_is_never_asked_for_at_a_metadata_address(
    aws: KMSEnvironment, vault: KMSEnvironment, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = f"http://{address}/v1/credentials"
    for name in ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        monkeypatch.setenv(name, full)
    aws.identities = platform_identities({"AWS_CONTAINER_CREDENTIALS_FULL_URI": full})
    with pytest.raises(UnavailableError, match="no identity of its platform"):
        aws.resolve(aws.entry(credentialsSecret=None))
    names = Names({"sts.eu-central-1.amazonaws.com": address, "vault.example.org": address})
    aws.identities = platform_identities({"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "/dev/null"})
    with pytest.raises(UnavailableError):
        ask_elsewhere(aws, aws.entry(credentialsSecret=None), names)
    vault.secrets[SECRET]["address"] = b"https://vault.example.org"
    with pytest.raises(ForbiddenAddressError, match="no request may go to link-local, metadata"):
        ask_elsewhere(vault, vault.entry(endpoint="https://vault.example.org"), names)


def test_attack_126_name_of_sts_at_a_metadata_address_is_refused(aws: KMSEnvironment, tmp_path: Path) -> None:
    environ = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
    aws.identities = platform_identities(environ)
    names = Names({"sts.eu-central-1.amazonaws.com": "169.254.169.254"})
    with pytest.raises(ForbiddenAddressError, match="no request may go to link-local, metadata"):
        ask_elsewhere(aws, aws.entry(credentialsSecret=None), names)
    assert aws.kms.requests == []


# 127: the session of one identity for another -------------------------------------------------------------------------


def test_attack_127_session_is_not_used_for_another_token_role_or_ca(vault: KMSEnvironment, tmp_path: Path) -> None:
    vault.resolve(vault.entry(**KUBERNETES))
    (tmp_path / "token").write_text("of.another.service-account")
    with pytest.raises(UnauthorizedError):
        vault.resolve(vault.entry(**KUBERNETES))
    (tmp_path / "token").write_text(TOKEN)
    for role in ({"role": "another"}, {"role": VAULT_ROLE, "mount": "another"}):
        with pytest.raises(UnauthorizedError):
            vault.resolve(vault.entry(kubernetes=role, credentialsSecret=None))
    simulator = vault.kms
    assert isinstance(simulator, VaultSimulator)
    assert len(simulator.logins) == 1
    # A session belongs to the address as one CA authenticates it.
    vault.resolve(vault.entry(ca={"pem": "another"}, **KUBERNETES))
    assert len(simulator.logins) == 2


def test_attack_127_role_of_another_token_gets_its_own_session(aws: KMSEnvironment, tmp_path: Path) -> None:
    aws.resolve(aws.entry(credentialsSecret=None))
    (tmp_path / "token").write_text("of.another.service-account")
    with pytest.raises(UnauthorizedError, match="InvalidIdentityToken"):
        aws.resolve(aws.entry(credentialsSecret=None))


def test_attack_175_keys_that_the_identity_may_not_use_cost_no_logins(vault: KMSEnvironment) -> None:
    """Each login leaves a token in Vault for an hour, and would take the session from all other keys."""
    respond, simulator = vault.kms.respond, vault.kms
    vault.kms.respond = lambda request: (  # type: ignore[method-assign]  # a key without rights
        json_answer({"errors": ["permission denied"]}, 403) if "/keys/other" in request.path else respond(request)
    )
    assert isinstance(simulator, VaultSimulator)
    for _ in range(20):
        with pytest.raises(UnauthorizedError):
            vault.resolve(vault.entry(key="other", **KUBERNETES))
        assert vault.resolve_one(vault.entry(**KUBERNETES)).state == "Accepted"
        vault.clock.advance(30)
    assert len(simulator.logins) <= 3


# 128: a version that was not asked for --------------------------------------------------------------------------------


def test_attack_128_signature_of_another_version_is_refused(vault: KMSEnvironment) -> None:
    key = vault.kms.keys["release"]
    key.versions["2"] = key.versions["1"]  # type: ignore[union-attr]  # a transit key
    signing = vault.signing_keys().open(vault.entry(keyVersion=2), vault.deadline())
    respond = vault.kms.respond
    vault.kms.respond = lambda request: _with_version_1(respond(request))  # type: ignore[method-assign]
    with pytest.raises(UnavailableError, match="it is about vault:v1, not vault:v2"):
        signing.sign(b"message", vault.deadline())


def _with_version_1(answer: Any) -> Any:
    answer.body = answer.body.replace(b"vault:v2", b"vault:v1")
    return answer


# 129: what is in the file of a token ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"hunter2\r\nX-Injected: yes", b"hunter2 b", b"hunter2\x00", b"h" * (MAX_MEMBER_BYTES + 2)]
)
def test_attack_129_token_that_is_not_one_word_is_not_sent_and_not_repeated(
    aws: KMSEnvironment, vault: KMSEnvironment, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "token").write_bytes(content)
    for environment, entry in ((aws, aws.entry(credentialsSecret=None)), (vault, vault.entry(**KUBERNETES))):
        with pytest.raises(UnavailableError) as caught:
            environment.resolve(entry)
        assert "hunter2" not in caught.value.message
        assert environment.kms.requests == []


def test_attack_129_endless_file_of_a_token_is_read_to_a_limit(aws: KMSEnvironment) -> None:
    environ = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "/dev/zero"}
    aws.identities = platform_identities(environ)
    with pytest.raises(UnavailableError, match="its webIdentityToken is larger than 32768 bytes"):
        aws.resolve(aws.entry(credentialsSecret=None))
