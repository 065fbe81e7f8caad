"""KMS keys without an operator: fetched, used until they expire, dropped when the KMS disables them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.dependencies import kms_entries
from sealgate.errors import DeadlineError, KeyRefusedError, UnavailableError
from sealgate.http.services import ServiceClient
from sealgate.keys.resolvers import FileKeys
from sealgate.kms.key_cache import KMSKeyCache
from sealgate.kms.key_source import RETRY_SECONDS, KMSKeySource
from sealgate.kms.resolve import REFRESH_SECONDS
from sealgate.manifests.policies import standalone_policies
from sealgate.reasons import Reason
from sealgate.service_secrets import MappingServiceSecrets
from tests.support.builders.objects import authenticator
from tests.support.builders.policy_files import load_policy_texts
from tests.support.environments.kms import SECRET, KMSEnvironment
from tests.support.environments.registry_clients import Names, settings_for
from tests.support.signers.private_keys import new_key
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.huawei_dew import DEWSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.clocks import Deadline
    from sealgate.keys.public_keys import PublicKey
    from sealgate.manifests.loading import PolicyFiles
    from sealgate_operator.keys.interface import KeySource


@pytest.fixture
def environment() -> Iterator[KMSEnvironment]:
    with KMSEnvironment(DEWSimulator) as environment:
        environment.add_key()
        yield environment


def files_of(environment: KMSEnvironment, *sources: dict[str, Any]) -> PolicyFiles:
    keys = [{"kms": {environment.provider: source}} for source in sources or (environment.source(),)]
    documents = [
        authenticator("release", *keys),
        *(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name},
                "stringData": {key: value.decode() for key, value in data.items()},
            }
            for name, data in environment.secrets.items()
        ),
    ]
    return load_policy_texts({"policies.json": json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})})


def cache_of(environment: KMSEnvironment) -> KMSKeyCache:
    return KMSKeyCache(settings_for(environment.kms), environment.clock)


def refresh(cache: KMSKeyCache, files: PolicyFiles) -> None:
    cache.refresh(files.authenticators, files.secrets)


def keys_of(cache: KMSKeyCache, files: PolicyFiles) -> tuple[PublicKey, ...]:
    return tuple(key for entry in kms_entries(files.authenticators) for key in FileKeys({}, cache).public_keys(entry))


def not_ready(cache: KMSKeyCache, files: PolicyFiles) -> str:
    with pytest.raises(UnavailableError) as caught:
        keys_of(cache, files)
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY
    return caught.value.message


def test_key_is_available_after_a_refresh(environment: KMSEnvironment) -> None:
    cache, files = cache_of(environment), files_of(environment)
    assert "has not been asked for yet" in not_ready(cache, files)
    refresh(cache, files)
    (key,) = keys_of(cache, files)
    assert key.kind == "ECDSA P-256"


def test_without_a_kms_reader_the_authenticator_is_not_ready(environment: KMSEnvironment) -> None:
    (entry,) = kms_entries(files_of(environment).authenticators)
    with pytest.raises(UnavailableError, match="nothing here reads keys from a KMS"):
        FileKeys({}).public_keys(entry)
    check = standalone_policies(files_of(environment)).checks["release"]
    assert isinstance(check, UnavailableError)


def test_key_is_fetched_when_due_and_not_before(environment: KMSEnvironment) -> None:
    cache, files = cache_of(environment), files_of(environment)
    refresh(cache, files)
    asked = len(environment.kms.requests)
    environment.clock.advance(REFRESH_SECONDS - 1)
    refresh(cache, files)
    assert len(environment.kms.requests) == asked
    environment.clock.advance(1)
    refresh(cache, files)
    assert len(environment.kms.requests) == 2 * asked


def test_a_disabled_key_is_dropped_at_the_next_look(environment: KMSEnvironment) -> None:
    cache, files = cache_of(environment), files_of(environment)
    refresh(cache, files)
    before = cache.state()
    assert isinstance(environment.kms, DEWSimulator)
    environment.kms.keys[environment.key_id].state = "3"
    environment.clock.advance(REFRESH_SECONDS)
    refresh(cache, files)
    assert "the key is disabled" in not_ready(cache, files)
    assert cache.state() != before
    environment.kms.keys[environment.key_id].state = "2"
    environment.clock.advance(REFRESH_SECONDS)
    refresh(cache, files)
    assert keys_of(cache, files)


def test_key_expires_when_its_kms_is_unavailable_too_long(environment: KMSEnvironment) -> None:
    cache, files = cache_of(environment), files_of(environment)
    refresh(cache, files)
    before = cache.state()
    environment.kms.faults.status("", 500)
    environment.clock.advance(3 * REFRESH_SECONDS - 1)
    refresh(cache, files)
    assert keys_of(cache, files)
    assert cache.state() == before
    environment.clock.advance(1)
    assert "has to be read again" in not_ready(cache, files)
    assert cache.state() != before
    environment.clock.advance(RETRY_SECONDS)
    refresh(cache, files)
    assert "answers 500" in not_ready(cache, files)


def test_failed_refresh_is_retried_soon(environment: KMSEnvironment) -> None:
    cache, files = cache_of(environment), files_of(environment)
    environment.kms.faults.status("", 500, times=1)
    refresh(cache, files)
    assert "answers 500" in not_ready(cache, files)
    environment.clock.advance(RETRY_SECONDS)
    refresh(cache, files)
    assert keys_of(cache, files)


def test_a_key_that_no_policy_names_any_more_is_forgotten(environment: KMSEnvironment) -> None:
    cache, files = cache_of(environment), files_of(environment)
    refresh(cache, files)
    refresh(cache, files_of(environment, environment.source(keyId="other")))
    assert "has not been asked for yet" in not_ready(cache, files)


def test_keys_of_the_same_name_at_two_addresses_are_two_keys(environment: KMSEnvironment) -> None:
    with KMSEnvironment(DEWSimulator) as other:
        other.add_key()
        assert isinstance(environment.kms, DEWSimulator)
        assert isinstance(other.kms, DEWSimulator)
        other.kms.keys[other.key_id].private = new_key("ECDSA P-256", "of the other service")
        files = files_of(environment, environment.source(), other.source())
        here, there = kms_entries(files.authenticators)
        cache = KMSKeyCache(settings_for(environment.kms, other.kms), environment.clock)
        refresh(cache, files)
        assert len({cache.public_keys(entry)[0].fingerprint for entry in (here, there)}) == 2
        environment.kms.keys[environment.key_id].state = "3"
        environment.clock.advance(REFRESH_SECONDS)
        refresh(cache, files)
        assert cache.public_keys(there)
        with pytest.raises(KeyRefusedError, match="the key is disabled"):
            cache.public_keys(here)


class OddNames(Names):
    """A resolver with a fault in it."""

    def resolve(self, host: str, deadline: Deadline) -> tuple[str, ...]:
        if host == "odd.example.org":
            raise ZeroDivisionError
        return super().resolve(host, deadline)


def test_unexpected_error_affects_one_key_and_is_raised(environment: KMSEnvironment) -> None:
    files = files_of(environment, environment.source(endpoint="https://odd.example.org"), environment.source())
    odd, good = kms_entries(files.authenticators)
    cache = KMSKeyCache(settings_for(environment.kms), environment.clock, resolver=OddNames({"127.0.0.1": "127.0.0.1"}))
    with pytest.raises(ZeroDivisionError):
        refresh(cache, files)
    assert cache.public_keys(good)
    with pytest.raises(UnavailableError, match="has not been asked for yet"):
        cache.public_keys(odd)


def test_a_service_that_is_silent_does_not_keep_others_waiting(environment: KMSEnvironment) -> None:
    clock = environment.clock
    with DEWSimulator(clock=clock) as silent, DEWSimulator(clock=clock) as other:
        other.add(environment.key_id, "EC_P256")
        silence = silent.faults.hang("")
        with ServiceClient(settings_for(silent, other), clock=clock) as network:
            source = KMSKeySource(network, MappingServiceSecrets({SECRET: other.secret}), clock)
            entry = environment.entry(endpoint=silent.url)
            with pytest.raises(DeadlineError):
                source.fetch(entry, seconds=0.2)
            assert silence.hit.wait(100)
            asked = len(silent.requests)
            for further in (entry, environment.entry(endpoint=silent.url, keyId="another")):
                with pytest.raises(UnavailableError, match="asked again in a moment"):
                    source.fetch(further)
            assert len(silent.requests) == asked
            assert source.fetch(environment.entry(endpoint=other.url))


def test_keys_of_one_refresh_fail_independently(environment: KMSEnvironment) -> None:
    cache, files = (
        cache_of(environment),
        files_of(environment, environment.source(), environment.source(keyId="missing")),
    )
    refresh(cache, files)
    good, missing = kms_entries(files.authenticators)
    assert cache.public_keys(good)
    with pytest.raises(UnavailableError, match="has no such key"):
        cache.public_keys(missing)


def test_entry_for_one_version_finds_it_in_the_cache() -> None:
    with KMSEnvironment(AlibabaKMSSimulator) as environment:
        assert isinstance(environment.kms, AlibabaKMSSimulator)
        environment.kms.add(environment.key_id, "EC_SM2", "version-1", "version-2")
        cache, files = cache_of(environment), files_of(environment)
        refresh(cache, files)
        assert len(keys_of(cache, files)) == 2
        one = environment.entry(keyVersionId="version-2")
        assert len(cache.public_keys(one)) == 1
        with pytest.raises(UnavailableError, match="not read it yet"):
            cache.public_keys(environment.entry(keyVersionId="version-3"))


def test_version_of_a_refused_key_has_the_reason_of_the_key() -> None:
    with KMSEnvironment(AlibabaKMSSimulator) as environment:
        assert isinstance(environment.kms, AlibabaKMSSimulator)
        environment.kms.add(environment.key_id, "EC_SM2", "version-1", state="Disabled")
        cache, files = cache_of(environment), files_of(environment)
        refresh(cache, files)
        with pytest.raises(UnavailableError, match="the key is disabled"):
            cache.public_keys(environment.entry(keyVersionId="version-1"))


def test_credentials_are_read_from_the_secret_in_the_files(environment: KMSEnvironment) -> None:
    cache = cache_of(environment)
    environment.secrets[SECRET]["secretKey"] = b"wrong"
    files = files_of(environment)
    refresh(cache, files)
    message = not_ready(cache, files)
    assert "401 APIGW.0301; check the credentials in Secret cloud" in message
    assert "wrong" not in message


def test_operator_keeps_its_observations_during_a_kms_outage(environment: KMSEnvironment) -> None:
    source: KeySource = KMSKeySource(environment.client, MappingServiceSecrets(environment.secrets), environment.clock)
    entry = environment.entry()
    assert source.name(entry) == f"kms huawei cn-north-4/0a1b2c3d4e5f/b1c2-d3 at {environment.kms.url}"
    good = source.observe(entry, (), environment.clock.now())
    assert [key.state for key in good] == ["Accepted"]
    assert source.refresh_after(entry) == REFRESH_SECONDS
    environment.clock.advance(REFRESH_SECONDS)
    environment.kms.faults.status("", 500)
    assert source.observe(entry, good, environment.clock.now()) == good
    assert source.refresh_after(entry) == RETRY_SECONDS
    environment.clock.advance(2 * REFRESH_SECONDS)
    (gone,) = source.observe(entry, good, environment.clock.now())
    assert (gone.state, gone.source) == ("Refused", source.name(entry))


def test_the_operator_leaves_other_kinds_of_entries_alone(environment: KMSEnvironment) -> None:
    source = KMSKeySource(environment.client, MappingServiceSecrets({}), environment.clock)
    assert source.name(environment.entry().model_copy(update={"kms": None, "pem": "x"})) is None


def test_only_listed_versions_are_kept_during_a_kms_outage() -> None:
    with KMSEnvironment(AlibabaKMSSimulator) as environment:
        assert isinstance(environment.kms, AlibabaKMSSimulator)
        environment.kms.add(environment.key_id, "EC_SM2", "version-1", "version-2")
        source = KMSKeySource(environment.client, MappingServiceSecrets(environment.secrets), environment.clock)
        both = source.observe(environment.entry(), (), environment.clock.now())
        environment.kms.faults.status("", 500)
        one = source.observe(environment.entry(keyVersionId="version-2"), both, environment.clock.now())
        assert [key.key_version for key in one] == ["version-2"]
