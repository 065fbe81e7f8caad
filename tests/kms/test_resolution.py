"""Behaviour common to every KMS: validity of keys, outages, and messages."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.api.v1alpha1.status import KeyStatus
from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.cloud.responses import MAX_ANSWER_BYTES
from sealgate.errors import (
    ForbiddenAddressError,
    NotFoundError,
    RateLimitedError,
    SealgateError,
    UnauthorizedError,
    UnavailableError,
)
from sealgate.http.services import ServiceClient
from sealgate.kms.budgeted_services import BudgetedServices
from sealgate.kms.key_source import KMSKeySource
from sealgate.kms.resolve import REFRESH_SECONDS, resolve_kms
from sealgate.reasons import Reason
from sealgate.service_secrets import MappingServiceSecrets
from tests.support.environments.kms import SECRET, KMSEnvironment


def observe(environment: KMSEnvironment, known: tuple[KeyStatus, ...] = ()) -> tuple[KeyStatus, ...]:
    keys = KMSKeySource(environment.client, MappingServiceSecrets(environment.secrets), environment.clock)
    return keys.observe(environment.entry(), known, environment.clock.now())


def moment(text: str | None) -> datetime:
    assert text is not None
    return datetime.fromisoformat(text)


def test_accepted_key_is_valid_for_three_refresh_intervals(any_kms: KMSEnvironment) -> None:
    now = any_kms.clock.now()
    status = any_kms.resolve_one()
    assert moment(status.observed_at) == now
    assert moment(status.valid_until) == now + timedelta(seconds=3 * REFRESH_SECONDS)
    services = any_kms.client.services(Deadline.after(any_kms.clock, 20))
    (short,) = resolve_kms(any_kms.entry(), any_kms.credentials, services, any_kms.clock, refresh=10)
    assert moment(short.valid_until) == now + timedelta(seconds=30)


def test_key_is_kept_during_an_outage_until_it_expires(any_kms: KMSEnvironment) -> None:
    good = observe(any_kms)
    any_kms.kms.faults.status("", 500)
    any_kms.clock.advance(3 * REFRESH_SECONDS - 1)
    assert observe(any_kms, good) == good
    any_kms.clock.advance(1)
    (gone,) = observe(any_kms, good)
    assert (gone.state, gone.reason, gone.pem) == ("Refused", "RegistryUnavailable", None)
    assert "answers 500" in gone.message
    any_kms.kms.faults.clear()
    assert [key.state for key in observe(any_kms, (gone,))] == ["Accepted"]


def test_a_key_that_the_service_refuses_is_refused_at_once(any_kms: KMSEnvironment) -> None:
    good = observe(any_kms)
    any_kms.kms.keys.clear()
    (gone,) = observe(any_kms, good)
    assert (gone.state, gone.reason) == ("Refused", "KeyNotFound")


def test_refused_key_stays_refused_during_an_outage(any_kms: KMSEnvironment) -> None:
    refused = KeyStatus(source="kms", state="Refused", reason="Disabled")
    any_kms.kms.faults.status("", 503)
    (status,) = observe(any_kms, (refused,))
    assert status.state == "Refused"


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, UnavailableError), (401, UnauthorizedError), (403, UnauthorizedError), (302, UnavailableError)],
)
def test_inconclusive_responses_leave_the_key_unknown(
    any_kms: KMSEnvironment, status: int, error: type[SealgateError]
) -> None:
    any_kms.kms.faults.answer("", status, {"Location": "https://elsewhere.example.org/"}, b"<html>")
    with pytest.raises(error, match=f"answers {status}") as caught:
        any_kms.resolve()
    assert not isinstance(caught.value, NotFoundError)


@pytest.mark.parametrize("body", [b"", b"null", b"[1]", b'"x"', b'{"a":1,"a":1}', b"{}", b"\xff", b"[" * 5000])
def test_malformed_response_is_unavailable(any_kms: KMSEnvironment, body: bytes) -> None:
    any_kms.kms.faults.body("", body)
    with pytest.raises(UnavailableError, match="unexpected response") as caught:
        any_kms.resolve()
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY


def test_an_answer_is_bounded(any_kms: KMSEnvironment) -> None:
    any_kms.kms.faults.body("", b" " * (MAX_ANSWER_BYTES + 1))
    with pytest.raises(UnavailableError, match="more than 262144 bytes"):
        any_kms.resolve()


def test_missing_or_empty_secret_is_reported_with_the_key_to_add(any_kms: KMSEnvironment) -> None:
    any_kms.secrets.clear()
    with pytest.raises(UnavailableError, match=f"Secret {SECRET} is not among the policy files"):
        any_kms.resolve()
    any_kms.secrets[SECRET] = {}
    with pytest.raises(UnavailableError, match=f"Secret {SECRET}: it has no [A-Za-z.]+; add it"):
        any_kms.resolve()
    assert any_kms.kms.requests == []


def test_a_service_that_asks_to_wait_is_heard(any_kms: KMSEnvironment) -> None:
    any_kms.kms.faults.rate_limit("", "3600", times=None)
    with pytest.raises(RateLimitedError):
        any_kms.resolve()


def test_plain_http_and_loopback_need_the_host_to_be_listed(any_kms: KMSEnvironment) -> None:
    with ServiceClient(clock=any_kms.clock) as client:
        services = client.services(Deadline.after(any_kms.clock, 20))
        with pytest.raises(ForbiddenAddressError):
            resolve_kms(any_kms.entry(), any_kms.credentials, services, any_kms.clock)


def test_private_ca_is_taken_from_the_entry(any_kms: KMSEnvironment) -> None:
    with KMSEnvironment(type(any_kms.kms), tls=True) as private:
        private.add_key()
        with ServiceClient(clock=private.clock) as strict:
            # The system does not trust the certificate, and loopback is not allowed: this checks the entry's CA only.
            services = strict.services(Deadline.after(private.clock, 20))
            with pytest.raises(UnavailableError):
                resolve_kms(private.entry(), private.credentials, services, private.clock)
        assert private.resolve_one(private.entry(ca={"pem": private.kms.ca_pem})).state == "Accepted"
        with pytest.raises(UnavailableError):
            private.resolve(private.entry(ca={"pem": "no certificate"}))


def test_every_request_is_counted_against_the_budget_of_its_host(any_kms: KMSEnvironment) -> None:
    budgets = Budgets(60, 1, any_kms.clock)
    deadline = Deadline.after(any_kms.clock, 60)
    services = BudgetedServices(any_kms.client.services(deadline), budgets, deadline)
    resolve_kms(any_kms.entry(), any_kms.credentials, services, any_kms.clock)
    assert any_kms.clock.slept == [1.0] * (len(any_kms.kms.requests) - 1)
    tight = Deadline.after(any_kms.clock, 0.5)
    short = BudgetedServices(any_kms.client.services(tight), budgets, tight)
    with pytest.raises(RateLimitedError, match="retry in 1 s"):
        resolve_kms(any_kms.entry(), any_kms.credentials, short, any_kms.clock)


HUAWEI = {"region": "cn-north-4", "projectId": "0a", "keyId": "b1", "credentialsSecret": {"name": "dew"}}


@pytest.mark.parametrize(
    ("kms", "message"),
    [
        ({}, "has no KMS; write exactly one"),
        ({"huawei": HUAWEI, "alibaba": {**HUAWEI, "projectId": None}}, "projectId"),
        ({"huawei": {**HUAWEI, "region": "evil.example.org/"}}, "region"),
        ({"huawei": {**HUAWEI, "projectId": "../.."}}, "projectId"),
        ({"huawei": {**HUAWEI, "keyId": "a/b"}}, "keyId"),
        ({"huawei": {**HUAWEI, "endpoint": "https://user@host"}}, "endpoint"),
        ({"huawei": {**HUAWEI, "endpoint": "https://host/path"}}, "endpoint"),
        ({"alibaba": {"region": "r", "keyId": "alias/x", "credentialsSecret": {"name": "a"}}}, "keyId"),
        ({"oracle": {"keyId": "ocid1.key.a", "credentialsSecret": {"name": "a"}}}, "endpoint"),
        ({"oracle": {"keyId": "ocid1.key.a/../b", "endpoint": "https://v", "credentialsSecret": {"name": "a"}}}, "key"),
    ],
)
def test_invalid_entry_is_refused_by_the_model(kms: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        KeyEntry.model_validate({"kms": kms})


def test_region_of_an_oracle_key_is_ignored() -> None:
    oracle = {"keyId": "ocid1.key.a", "endpoint": "https://v", "credentialsSecret": {"name": "a"}}
    without = KeyEntry.model_validate({"kms": {"oracle": oracle}})
    with_region = KeyEntry.model_validate({"kms": {"oracle": {**oracle, "region": "us-phoenix-1"}}})
    assert without == with_region
    assert without.kms is not None
    assert with_region.kms is not None
    assert with_region.kms.is_same_key(without.kms)
    with pytest.raises(ValidationError, match="region"):
        KeyEntry.model_validate({"kms": {"oracle": {**oracle, "region": "no region/"}}})


def test_an_entry_with_two_kms_or_two_sources_is_refused() -> None:
    alibaba = {"region": "r", "keyId": "k", "credentialsSecret": {"name": "a"}}
    with pytest.raises(ValidationError, match="has huawei and alibaba; write exactly one KMS"):
        KeyEntry.model_validate({"kms": {"huawei": HUAWEI, "alibaba": alibaba}})
    with pytest.raises(ValidationError, match="has pem and kms; write exactly one key source"):
        KeyEntry.model_validate({"pem": "x", "kms": {"huawei": HUAWEI}})


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"distinguishingId": "x"}, "belongs to algorithm SM2"),
        ({"distinguishingId": "x", "algorithm": "ECDSA_SHA_256"}, "belongs to algorithm SM2"),
        ({"distinguishingId": "", "algorithm": "SM2"}, "distinguishingId"),
        ({"distinguishingId": "x" * 129, "algorithm": "SM2"}, "distinguishingId"),
        ({"distinguishingId": "\u7b7e" * 43, "algorithm": "SM2"}, "more than 128 bytes"),
    ],
)
def test_a_distinguishing_id_belongs_to_sm2(members: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        KeyEntry.model_validate({"pem": "x", **members})
