"""Attacks by way of key management services: keys that were taken back, answers that flood, requests that stray."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import ValidationError

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.clocks import Deadline
from sealgate.errors import ForbiddenAddressError, SealgateError, UnavailableError
from sealgate.http.interface import Response
from sealgate.http.services import ServiceClient
from sealgate.http.settings import HostSettings
from sealgate.kms.credentials import Identities
from sealgate.kms.key_source import KMSKeySource
from sealgate.kms.resolve import REFRESH_SECONDS, resolve_kms
from sealgate.service_secrets import MappingServiceSecrets
from tests.support.environments.kms import PROVIDERS, SECRET, KMSEnvironment
from tests.support.environments.registry_clients import Names
from tests.support.rows import row
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.azure_key_vault import AzureKeyVaultSimulator
from tests.support.simulators.google_kms import GoogleKMSSimulator
from tests.support.simulators.http_messages import RecordedRequest, encode
from tests.support.simulators.huawei_dew import DEWSimulator
from tests.support.simulators.oci_vault import OCIVaultSimulator
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.vault_transit import VaultSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.api.v1alpha1.status import KeyStatus


@pytest.fixture(params=list(PROVIDERS), ids=list(PROVIDERS.values()))
def environment(request: pytest.FixtureRequest) -> Iterator[KMSEnvironment]:
    with KMSEnvironment(request.param) as environment:
        environment.add_key()
        yield environment


#: Providers that are sent bearers, and not signatures.
BEARERS = {AzureKeyVaultSimulator, GoogleKMSSimulator, VaultSimulator}


@pytest.fixture(params=[each for each in PROVIDERS if each not in BEARERS])
def signed(request: pytest.FixtureRequest) -> Iterator[KMSEnvironment]:
    """Any that is sent signatures; of the others see attack 125."""
    with KMSEnvironment(request.param) as environment:
        environment.add_key()
        yield environment


def observe(environment: KMSEnvironment, known: tuple[KeyStatus, ...]) -> tuple[KeyStatus, ...]:
    keys = KMSKeySource(environment.client, MappingServiceSecrets(environment.secrets), environment.clock)
    return keys.observe(environment.entry(), known, environment.clock.now())


def disable(environment: KMSEnvironment) -> None:
    words = {DEWSimulator: "3", AlibabaKMSSimulator: "Disabled", OCIVaultSimulator: "DISABLED"}
    if isinstance(environment.kms, GoogleKMSSimulator):
        environment.kms.keys[environment.key_id].state = "DISABLED"
    elif isinstance(environment.kms, VaultSimulator):
        environment.kms.keys[environment.key_id].soft_deleted = True
    else:
        environment.kms.keys[environment.key_id].state = words.get(type(environment.kms), "Disabled")


# 16: a key that was taken back is refused within a stated time -------------------------------------------------------


def test_attack_16_a_disabled_key_is_refused_at_the_next_refresh(environment: KMSEnvironment) -> None:
    good = environment.resolve()
    disable(environment)
    (status,) = observe(environment, good)
    assert (status.state, status.reason) == ("Refused", "Deleted" if environment.provider == "vault" else "Disabled")


def test_attack_16_a_deleted_key_is_refused_at_the_next_refresh(environment: KMSEnvironment) -> None:
    good = environment.resolve()
    environment.kms.keys.clear()
    (status,) = observe(environment, good)
    assert (status.state, status.reason) == ("Refused", "KeyNotFound")


def test_attack_16_unreachable_kms_keeps_keys_for_3_refreshes(
    environment: KMSEnvironment,
) -> None:
    good = environment.resolve()
    disable(environment)
    environment.kms.faults.drop("")
    for elapsed in (REFRESH_SECONDS, 2 * REFRESH_SECONDS):
        environment.clock.advance(REFRESH_SECONDS)
        assert observe(environment, good) == good, elapsed
    environment.clock.advance(REFRESH_SECONDS)
    (status,) = observe(environment, good)
    assert status.state == "Refused"


def test_attack_16_a_key_for_encryption_is_never_accepted() -> None:
    with KMSEnvironment(DEWSimulator) as huawei, KMSEnvironment(AlibabaKMSSimulator) as alibaba:
        assert isinstance(huawei.kms, DEWSimulator)
        assert isinstance(alibaba.kms, AlibabaKMSSimulator)
        huawei.kms.add(huawei.key_id, "EC_P256", usage="ENCRYPT_DECRYPT")
        alibaba.kms.add(alibaba.key_id, "EC_P256", "v", usage="ENCRYPT/DECRYPT")
        assert [one.resolve_one().reason for one in (huawei, alibaba)] == ["WrongUsage"] * 2


# 32: floods ----------------------------------------------------------------------------------------------------------


def test_attack_32_an_endless_answer_is_cut_off(environment: KMSEnvironment) -> None:
    environment.kms.faults.endless("")
    with pytest.raises(UnavailableError, match="unexpected response"):
        environment.resolve()


def test_attack_32_a_key_with_endless_versions_is_read_to_a_limit() -> None:
    with KMSEnvironment(AlibabaKMSSimulator) as alibaba, KMSEnvironment(OCIVaultSimulator) as oracle:
        assert isinstance(alibaba.kms, AlibabaKMSSimulator)
        assert isinstance(oracle.kms, OCIVaultSimulator)
        alibaba.kms.add(alibaba.key_id, "EC_P256", *(f"v{number}" for number in range(100)))
        key = oracle.kms.add(oracle.key_id, "ECDSA P-256", "ocid1.keyversion.oc1.v0")
        (only,) = key.versions.values()
        key.versions = {f"ocid1.keyversion.oc1.v{number}": only for number in range(100)}
        assert [len(one.resolve()) for one in (alibaba, oracle)] == [64, 64]


# 33: answers of every shape ------------------------------------------------------------------------------------------

#: What a member may be instead of what it should be.
SHAPES: tuple[Any, ...] = ([], {}, [[]], True, None, -1, 1 << 63, "", "x" * 5000, "\N{PILE OF POO}", "../x")


class Bent:
    """Services of a simulator, without the network, that bend a member of their answers; see `Services`."""

    def __init__(self, environment: KMSEnvironment) -> None:
        self._environment = environment
        #: The members of all answers, as path from the number of the answer.
        self.members: list[tuple[Any, ...]] = []
        self.bent: tuple[Any, ...] = ()
        self.shape: Any = None
        self._answers = 0

    def begin(self, bent: tuple[Any, ...], shape: object) -> None:
        """Begin anew, and bend one member."""
        self.bent, self.shape, self._answers = bent, shape, 0

    def request(self, method: str, url: str, **more: Any) -> Response:
        split = urlsplit(url)
        headers = {name.lower(): value for name, value in (more["headers"] or {}).items()}
        request = RecordedRequest(
            method,
            split.path,
            tuple(parse_qsl(split.query, keep_blank_values=True)),
            {"host": split.netloc, **headers},
            more.get("body") or b"",
            1,
        )
        answer = self._environment.kms.respond(request)
        document = json.loads(answer.body)
        number, *path = self.bent or (-1,)
        if not self.bent:
            self.members += [(self._answers, *each) for each in _paths(document)]
        elif number == self._answers:
            inner = document
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = self.shape
        self._answers += 1
        return Response(answer.status, {}, encode(document))


def _paths(document: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each member and item of a JSON value."""
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in inner:
        yield (name,)
        if isinstance(value, dict | list):
            yield from ((name, *path) for path in _paths(value))


def test_attack_33_an_answer_of_any_shape_is_refused_or_unavailable(environment: KMSEnvironment) -> None:
    """An unexpected error would end the refresh of the author's key, and of keys that are read beside it."""
    bent = Bent(environment)
    good = resolve_kms(environment.entry(), environment.credentials, bent, environment.clock)
    assert good[0].state == "Accepted"
    assert len(bent.members) > 2
    for path in bent.members:
        for shape in SHAPES:
            environment.identities = Identities()
            bent.begin(path, shape)
            with contextlib.suppress(UnavailableError):
                found = resolve_kms(environment.entry(), environment.credentials, bent, environment.clock)
                assert {key.pem for key in found} <= {good[0].pem, None}, (path, shape)


# 37: requests that stray ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["169.254.169.254", "127.0.0.1", "::1", "fe80::1"])
def test_attack_37_metadata_or_loopback_endpoint_is_never_asked(environment: KMSEnvironment, address: str) -> None:
    names = Names({"kms.example.org": address})
    with ServiceClient(HostSettings(), clock=environment.clock, resolver=names) as client:
        services = client.services(Deadline.after(environment.clock, 20))
        entry = environment.entry(endpoint="https://kms.example.org")
        with pytest.raises(ForbiddenAddressError):
            resolve_kms(entry, environment.credentials, services, environment.clock)


def test_attack_37_a_redirect_of_a_kms_is_not_followed_elsewhere(environment: KMSEnvironment) -> None:
    with RegistrySimulator() as elsewhere:
        environment.kms.faults.redirect("", f"{elsewhere.url}/", status=307)
        with pytest.raises(UnavailableError, match="answers 307"):
            environment.resolve()
        assert elsewhere.requests == []


# 38: credentials -----------------------------------------------------------------------------------------------------


def test_attack_38_secrets_leave_only_as_signatures(signed: KMSEnvironment) -> None:
    signed.resolve()
    kept = {"secretKey", "accessKeySecret", "secretAccessKey", "privateKey"}
    (secret,) = (value for name, value in signed.secrets[SECRET].items() if name in kept)
    for request in signed.kms.requests:
        sent = repr((request.path, request.query, dict(request.headers), request.body))
        assert secret.decode().strip() not in sent


def test_attack_38_signature_is_bound_to_host_and_request(signed: KMSEnvironment) -> None:
    signed.resolve()
    first = signed.kms.requests[0]
    assert signed.kms.host == first.headers["host"]
    with KMSEnvironment(type(signed.kms)) as other:
        other.add_key()
        stolen = type(first)(
            first.method, first.path, first.query, {**first.headers, "host": other.kms.host}, first.body, 1
        )
        assert other.kms.respond(stolen).status in (400, 401, 403)


# 39: paths -----------------------------------------------------------------------------------------------------------


def test_attack_39_what_becomes_a_part_of_a_url_is_one_word(environment: KMSEnvironment) -> None:
    for value in ("../../v3/x", "a/../b", "a%2f..", "a?b=c", "a#b", "a b", "a\nb", ".."):
        for field in ("keyId", "region"):
            with row(field, value), pytest.raises(ValidationError):
                environment.entry(**{field: value})


@pytest.mark.parametrize("version", ["../other", "v/../../x", "v?x"])
def test_attack_39_listed_version_is_checked_before_it_is_a_path(version: str) -> None:
    with KMSEnvironment(OCIVaultSimulator) as oracle:
        assert isinstance(oracle.kms, OCIVaultSimulator)
        oracle.add_key()
        oracle.kms.keys[oracle.key_id].versions[version] = next(iter(oracle.kms.keys[oracle.key_id].versions.values()))
        with pytest.raises(UnavailableError, match="unexpected response"):
            oracle.resolve()
        assert all(".." not in request.path for request in oracle.kms.requests)


# 40: messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_attack_40_what_a_kms_says_never_reaches_a_message(environment: KMSEnvironment, status: int) -> None:
    secrets = b" ".join(environment.secrets[SECRET].values()).decode()
    said = {"code": "Bad\nlevel=info", "Code": "x y", "message": secrets, "error": {"error_msg": secrets}}
    environment.kms.faults.answer("", status, {}, encode(said))
    message = outcome(environment)
    assert message.isprintable()
    assert "level=info" not in message
    for value in environment.secrets[SECRET].values():
        assert value.decode().strip() not in message


@pytest.mark.parametrize("name", ["accessKey", "secretKey", "accessKeyId", "accessKeySecret", "privateKey", "tenancy"])
def test_attack_40_credentials_that_do_not_parse_are_not_repeated(environment: KMSEnvironment, name: str) -> None:
    if name not in environment.secrets[SECRET]:
        return
    environment.secrets[SECRET][name] = b"hunter2\r\nX-Injected: yes"
    message = outcome(environment)
    assert "hunter2" not in message
    assert "Injected" not in message
    assert environment.kms.requests == []


def outcome(environment: KMSEnvironment) -> str:
    """Return the message about a key that cannot be used."""
    try:
        statuses: Any = environment.resolve()
    except SealgateError as error:
        return error.message
    assert all(status.state == "Refused" for status in statuses)
    return " ".join(status.message for status in statuses)


def test_attack_38_endpoint_cannot_contain_credentials() -> None:
    source = {"region": "r", "keyId": "k", "credentialsSecret": {"name": "a"}, "endpoint": "https://user:pass@host"}
    with pytest.raises(ValidationError):
        KeyEntry.model_validate({"kms": {"alibaba": source}})
