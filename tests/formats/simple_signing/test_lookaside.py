"""Signatures as numbered files on a web server."""

from __future__ import annotations

from typing import Any

import pytest

from sealgate.errors import ForbiddenAddressError, RateLimitedError, UnauthorizedError
from sealgate.formats.interface import MAX_SIGNATURE_BYTES, MAX_SIGNATURES
from sealgate.http.settings import HostSettings
from sealgate.reasons import Reason
from sealgate.registry.client import RegistryClient
from tests.support.environments.simple_signing import SimpleSigningEnvironment, simple_check
from tests.support.signers.simple_signing import keyring, message
from tests.support.simulators.registry import RegistrySimulator

GOOD = message("good-ed25519")
SIGNER = keyring("ed25519").fingerprints


def folder(environment: SimpleSigningEnvironment) -> str:
    return f"/sigstore/team/api@{environment.digest.replace(':', '=')}"


def test_files_are_fetched_by_number_until_one_is_missing(environment: SimpleSigningEnvironment) -> None:
    check = simple_check("ed25519", "rsa-2048", store=environment.lookaside(GOOD, message("good-rsa-2048")))
    assert environment.verify(check).fingerprints == keyring("ed25519", "rsa-2048").fingerprints
    assert environment.registry.paths == [f"{folder(environment)}/signature-{number}" for number in (1, 2, 3)]


def test_a_gap_ends_the_list(environment: SimpleSigningEnvironment) -> None:
    store = environment.lookaside(message("by-stranger"), b"", GOOD)
    del environment.registry.documents[f"{folder(environment)}/signature-2"]
    assert environment.refusal(simple_check(store=store)).reason is Reason.UNKNOWN_KEY


def test_missing_file_means_unsigned(environment: SimpleSigningEnvironment) -> None:
    assert environment.refusal(simple_check(store=environment.lookaside())).reason is Reason.NO_SIGNATURE


@pytest.mark.parametrize("base", ["", "/", "/a/b", "/a/b/"])
def test_the_address_may_end_in_a_slash_or_not(environment: SimpleSigningEnvironment, base: str) -> None:
    store: dict[str, Any] = environment.lookaside(GOOD, base=base.rstrip("/"))
    store["lookaside"]["url"] = f"{environment.registry.url}{base}"
    assert environment.verify(simple_check(store=store)).fingerprints == SIGNER


def test_path_has_no_registry_but_the_library_of_docker_hub(
    environment: SimpleSigningEnvironment,
) -> None:
    store = environment.lookaside(message("skopeo-library"), repository="library/busybox")
    check = simple_check("skopeo", store=store)
    assert environment.verify(check, "busybox:1").fingerprints == keyring("skopeo").fingerprints


@pytest.mark.parametrize("status", [500, 503, 204, 206, 302, 400, 410])
def test_an_error_is_not_the_end_of_the_list(environment: SimpleSigningEnvironment, status: int) -> None:
    store = environment.lookaside(message("by-stranger"), GOOD)
    environment.registry.faults.status("signature-2", status)
    environment.unavailable(simple_check(store=store))


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_credentials_is_unavailable(environment: SimpleSigningEnvironment, status: int) -> None:
    store = environment.lookaside(GOOD)
    environment.registry.faults.status("signature-1", status)
    assert isinstance(environment.unavailable(simple_check(store=store)), UnauthorizedError)


def test_a_server_that_asks_for_patience_is_rate_limited(environment: SimpleSigningEnvironment) -> None:
    store = environment.lookaside(GOOD)
    environment.registry.faults.rate_limit("signature-1", "3600")
    assert isinstance(environment.unavailable(simple_check(store=store)), RateLimitedError)


def test_once_one_verifies_an_error_after_it_is_only_reported(environment: SimpleSigningEnvironment) -> None:
    store = environment.lookaside(GOOD, GOOD)
    environment.registry.faults.status("signature-2", 500)
    found = environment.verify(simple_check(store=store))
    assert found.fingerprints == SIGNER
    assert [seen.reason for seen in found.signatures] == [Reason.VERIFIED, Reason.REGISTRY_UNAVAILABLE]


def test_a_file_that_is_too_large_does_not_hide_the_next(environment: SimpleSigningEnvironment) -> None:
    store = environment.lookaside(bytes(MAX_SIGNATURE_BYTES + 1), GOOD)
    found = environment.verify(simple_check(store=store))
    assert [seen.reason for seen in found.signatures] == [Reason.EVIDENCE_TOO_LARGE, Reason.VERIFIED]


def test_more_than_the_most_files_are_refused(environment: SimpleSigningEnvironment) -> None:
    store = environment.lookaside(*[GOOD] * MAX_SIGNATURES)
    assert environment.verify(simple_check(store=store)).fingerprints == SIGNER
    store = environment.lookaside(*[GOOD] * (MAX_SIGNATURES + 1))
    assert environment.refusal(simple_check(store=store)).reason is Reason.EVIDENCE_TOO_LARGE


def test_number_of_requested_files_is_bounded(
    environment: SimpleSigningEnvironment,
) -> None:
    store = environment.lookaside()
    environment.registry.faults.answer("/signature-", body=b"x")
    error = environment.refusal(simple_check(store=store))
    assert error.reason is Reason.EVIDENCE_TOO_LARGE
    assert len(environment.registry.paths) == MAX_SIGNATURES + 1


def test_a_redirect_to_another_host_is_not_followed(environment: SimpleSigningEnvironment) -> None:
    with RegistrySimulator() as elsewhere:
        store = environment.lookaside(GOOD)
        environment.registry.faults.redirect("signature-1", f"{elsewhere.url}/x")
        environment.unavailable(simple_check(store=store))
        assert elsewhere.requests == []


def test_private_ca_of_a_server_is_configured_in_the_store() -> None:
    with SimpleSigningEnvironment(tls=True) as environment:
        environment.client = RegistryClient(HostSettings(insecure=frozenset({environment.registry.host})))
        store: dict[str, Any] = environment.lookaside(GOOD)
        assert "certificate" in environment.unavailable(simple_check(store=store)).message
        store["lookaside"]["ca"] = {"pem": environment.registry.ca_pem}
        assert environment.verify(simple_check(store=store)).fingerprints == SIGNER
        store["lookaside"]["ca"] = {"pem": "not a certificate"}
        assert environment.unavailable(simple_check(store=store)).reason is Reason.AUTHENTICATOR_NOT_READY
        environment.client.close()


def test_plain_http_needs_the_server_to_be_listed_as_insecure(environment: SimpleSigningEnvironment) -> None:
    store = environment.lookaside(GOOD)
    environment.client.close()
    environment.client = RegistryClient(HostSettings())
    assert isinstance(environment.unavailable(simple_check(store=store)), ForbiddenAddressError)
    assert environment.registry.requests == []


def test_no_credentials_of_the_pod_are_sent(environment: SimpleSigningEnvironment) -> None:
    from tests.support.environments.registry_clients import login

    store = environment.lookaside(GOOD)
    environment.verify(simple_check(store=store), credentials=login(environment.registry))
    assert all("authorization" not in request.headers for request in environment.registry.requests)
