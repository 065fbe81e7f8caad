"""Attacks on the identities that metadata services give for keys: sent elsewhere, got without the settings, costly."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import ForbiddenAddressError, UnavailableError
from sealgate.http.services import ServiceClient
from sealgate.http.settings import HostSettings
from sealgate.kms.resolve import resolve_kms
from tests.support.environments.kms import SECRET, KMSEnvironment
from tests.support.environments.metadata_keys import PUBLIC, SIMULATORS, MetadataKeys
from tests.support.environments.registry_clients import Names, settings_for
from tests.support.simulators.aws_kms import AWSKMSSimulator

if TYPE_CHECKING:
    from pathlib import Path

#: All that a metadata service gives and nothing may show.
SECRETS = ("from-metadata", "secret-of-pod", "session/of+pod==", "pod.identity.token")


# 181: the author of an entry has the identity sent to an address of their own -----------------------------------------


@pytest.mark.parametrize(
    ("provider", "says"), [("azure", "it has no address"), ("google", "belongs to another address and is not sent to")]
)
@pytest.mark.parametrize("host", ["", "https://vault.azure.net.example.org", "http://shop-1.vault.azure.net"])
def test_attack_181_bearer_is_not_sent_to_the_address_of_an_entry(
    provider: str, says: str, host: str, tmp_path: Path
) -> None:
    with MetadataKeys(provider, tmp_path) as environment, KMSEnvironment(SIMULATORS[provider]) as attacker:
        entry = environment.own_entry(endpoint=host or attacker.kms.url)
        # As for a token file: the identity of the platform has no address besides that of its cloud.
        with pytest.raises(UnavailableError, match=says):
            environment.resolve(entry)
        assert (environment.names.asked, attacker.kms.requests) == ([], [])


@pytest.mark.parametrize("provider", PUBLIC)
def test_attack_181_ca_of_an_entry_does_not_prove_the_public_address(provider: str, tmp_path: Path) -> None:
    with MetadataKeys(provider, tmp_path) as environment:
        with pytest.raises(ForbiddenAddressError, match="only as the system's CAs authenticate it"):
            environment.resolve(environment.own_entry(ca={"pem": "of the author"}))
        assert environment.names.asked == []


def test_attack_181_endpoint_of_an_entry_gets_no_token_and_no_secret_key(tmp_path: Path) -> None:
    with MetadataKeys("aws", tmp_path) as environment, KMSEnvironment(AWSKMSSimulator) as attacker:
        with ServiceClient(settings_for(attacker.kms), clock=environment.clock) as client:
            services = client.services(environment.deadline())
            entry = environment.own_entry(endpoint=attacker.kms.url)
            with pytest.raises(UnavailableError):
                resolve_kms(entry, environment.credentials, services, environment.clock)
        sent = repr([(request.path, dict(request.headers), request.body) for request in attacker.kms.requests])
        assert attacker.kms.requests
        assert environment.metadata.token not in sent
        assert environment.metadata.access_key[1] not in sent


# 182: the metadata service without the settings -----------------------------------------------------------------------


@pytest.mark.parametrize("provider", SIMULATORS)
def test_attack_182_only_the_settings_have_the_metadata_service_asked(provider: str, tmp_path: Path) -> None:
    others = [name for name in SIMULATORS if name != provider]
    with MetadataKeys(provider, tmp_path, enabled=others) as environment:
        with pytest.raises(UnavailableError, match=f"no identity of its platform for {provider}; give its Service"):
            environment.read()
        assert environment.metadata.dialed == []


@pytest.mark.parametrize("provider", SIMULATORS)
def test_attack_182_key_with_a_secret_is_never_read_with_the_identity(provider: str, tmp_path: Path) -> None:
    with MetadataKeys(provider, tmp_path) as environment:
        environment.secrets[SECRET] = {}
        with pytest.raises(UnavailableError, match=f"Secret {SECRET}: it has no "):
            environment.resolve(environment.own_entry(credentialsSecret={"name": SECRET}))
        assert (environment.metadata.dialed, environment.kms.requests) == ([], [])


@pytest.mark.parametrize(
    "address",
    ["http://169.254.169.254/v1/credentials", "http://169.254.170.23/", "http://example.org/v1/credentials", ""],
)
def test_attack_182_environment_names_no_other_address(address: str, tmp_path: Path) -> None:
    with MetadataKeys("aws", tmp_path, environ={"AWS_CONTAINER_CREDENTIALS_FULL_URI": address}) as environment:
        with pytest.raises(UnavailableError, match="AWS_CONTAINER_CREDENTIALS_FULL_URI is not http"):
            environment.read()
        assert environment.metadata.dialed == []


# 183: an address, a name or a redirect that leads to the metadata service, which only its own client may ask ----------


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.170.23", "[fd00:ec2::23]"])
def test_attack_183_entry_cannot_name_the_metadata_service(address: str, tmp_path: Path) -> None:
    with MetadataKeys("aws", tmp_path) as environment:
        resolved = address.strip("[]")
        names = Names({"kms.example.org": resolved, resolved: resolved})
        with ServiceClient(HostSettings(), clock=environment.clock, resolver=names) as client:
            services = client.services(Deadline.after(environment.clock, 20))
            for host in (address, "kms.example.org"):
                with pytest.raises(ForbiddenAddressError, match="no request may go to link-local, metadata"):
                    resolve_kms(
                        environment.own_entry(endpoint=f"https://{host}"),
                        environment.credentials,
                        services,
                        environment.clock,
                    )


@pytest.mark.parametrize("provider", SIMULATORS)
def test_attack_183_redirects_lead_neither_from_nor_to_it(provider: str, tmp_path: Path) -> None:
    with MetadataKeys(provider, tmp_path) as environment:
        environment.kms.faults.redirect("", "http://169.254.169.254/latest/meta-data/", status=307)
        with pytest.raises(UnavailableError, match="answers 307"):
            environment.read()
        environment.clock.advance(3600)
        with KMSEnvironment(SIMULATORS[provider]) as thief:
            environment.metadata.faults.redirect("", f"{thief.kms.url}/token", status=302)
            with pytest.raises(UnavailableError, match="answers 302"):
                environment.read()
            assert thief.kms.requests == []
        assert len(environment.metadata.dialed) == 2


# 184: many keys, to overload the service of the node or to delay other keys -------------------------------------------


def test_attack_184_many_keys_cost_one_request(tmp_path: Path) -> None:
    with MetadataKeys("google", tmp_path) as environment, ThreadPoolExecutor(16) as pool:
        answered = threading.Event()
        environment.metadata.faults.wait_for("token", answered, times=1)
        reads = [pool.submit(environment.identities.read, "google") for _ in range(64)]
        answered.set()
        assert {read.result(60).data["accessToken"] for read in reads} == {b"from-metadata"}
        assert len(environment.metadata.requests) == 1


def test_attack_184_keys_that_cannot_be_read_cost_one_request(tmp_path: Path) -> None:
    with MetadataKeys("azure", tmp_path) as environment:
        environment.metadata.faults.status("token", 429)
        for number in range(64):
            with pytest.raises(UnavailableError, match="the metadata service answers 429"):
                environment.read(environment.own_entry(key=f"key-{number}"))
        assert len(environment.metadata.requests) == 1


# 185: what the service gave in a message, or as anything but one word -------------------------------------------------


@pytest.mark.parametrize("provider", SIMULATORS)
@pytest.mark.parametrize("injected", ["a\r\nX-Injected: yes", "a b", "", "x" * 40000])
def test_attack_185_credentials_are_one_word(provider: str, injected: str, tmp_path: Path) -> None:
    with MetadataKeys(provider, tmp_path) as environment:
        environment.metadata.bearer = injected
        environment.metadata.access_key = (injected, *environment.metadata.access_key[1:])
        with pytest.raises(UnavailableError) as caught:
            environment.read()
        assert environment.kms.requests == []
        assert "Injected" not in caught.value.message
        assert len(caught.value.message) < 500


@pytest.mark.parametrize("provider", SIMULATORS)
def test_attack_185_no_message_has_what_the_service_gave(provider: str, tmp_path: Path) -> None:
    with MetadataKeys(provider, tmp_path) as environment:
        environment.kms.faults.answer("", 403, body=b'{"message": "from-metadata secret-of-pod"}')
        with pytest.raises(UnavailableError, match="check the credentials in the ") as caught:
            environment.read()
        given = environment.identities.read(provider, "https://vault.azure.net")
        for shown in (caught.value.message, repr(given)):
            assert not [secret for secret in SECRETS if secret in shown]


# 186: the identity of one cloud, or of one kind of source, in place of another ----------------------------------------


def test_attack_186_service_that_is_not_googles_gives_no_token(tmp_path: Path) -> None:
    with MetadataKeys("google", tmp_path) as environment:
        environment.metadata.flavor = "Amazon"
        with pytest.raises(UnavailableError, match="it is not that of Google"):
            environment.read()
        assert environment.kms.requests == []


def test_attack_186_token_file_does_not_replace_the_metadata_service(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("header.payload.signature")
    environ = {"AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": "t", "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token")}
    with MetadataKeys("azure", tmp_path, environ=environ) as environment:
        environment.metadata.faults.status("token", 400)
        with pytest.raises(UnavailableError, match="the metadata service answers 400"):
            environment.read()
        assert environment.routed.asked == []
