"""Requests to the signature service, and the outcomes of its responses."""

from __future__ import annotations

import pytest

from sealgate.errors import DeadlineError, NotFoundError, UnauthorizedError
from sealgate.formats.evidence import MAX_PASSED_OVER
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.listing import MAX_RECORDS
from sealgate.reasons import Reason
from tests.support.environments.oracle import DIGEST, KEY, REPOSITORY, STRANGER, OracleEnvironment, trusted
from tests.support.signers.private_keys import fingerprint
from tests.support.simulators.ocir import COMPARTMENT, APIKey, foreign_api_key

API_KEY = APIKey()
OTHER_KEY_ID = "ocid1.key.oc1.phx.bbqehaq3aadfa.other"
PATH = "/20160918/container/imageSignatures"


def test_one_request_asks_for_the_images_signatures(environment: OracleEnvironment) -> None:
    environment.sign()
    environment.verify()
    (request,) = environment.server.requests
    assert (request.method, request.path) == ("GET", PATH)
    assert dict(request.query) == {
        "compartmentId": COMPARTMENT,
        "compartmentIdInSubtree": "false",
        "repositoryName": REPOSITORY,
        "imageDigest": DIGEST,
        "limit": "100",
    }
    assert "authorization" not in request.headers


def test_nested_compartments_are_searched_if_configured(environment: OracleEnvironment) -> None:
    environment.sign()
    environment.verify(environment.check(compartmentIdInSubtree=True))
    assert dict(environment.server.requests[0].query)["compartmentIdInSubtree"] == "true"


def test_requests_are_signed_with_the_api_key_of_the_secret() -> None:
    with OracleEnvironment(api_key=API_KEY) as environment:
        environment.secrets = {"oci": API_KEY.secret}
        environment.sign()
        environment.server.records_per_page = 1
        environment.sign(STRANGER)
        verified = environment.verify(
            environment.check(trusted(), trusted(STRANGER), credentialsSecret={"name": "oci"})
        )
        assert len(verified.fingerprints) == 2
        assert isinstance(environment.unavailable(), UnauthorizedError)


def test_foreign_api_key_makes_the_image_unavailable() -> None:
    with OracleEnvironment(api_key=API_KEY) as environment:
        environment.secrets = {"oci": foreign_api_key().secret}
        environment.sign()
        assert isinstance(
            environment.unavailable(environment.check(credentialsSecret={"name": "oci"})), UnauthorizedError
        )


@pytest.mark.parametrize("secrets", [{}, {"oci": {}}, {"oci": {**API_KEY.secret, "privateKey": b"no key"}}])
def test_a_secret_that_cannot_be_used_makes_it_unavailable(
    environment: OracleEnvironment, secrets: dict[str, dict[str, bytes]]
) -> None:
    environment.secrets = secrets
    environment.sign()
    error = environment.unavailable(environment.check(credentialsSecret={"name": "oci"}))
    assert error.reason is Reason.AUTHENTICATOR_NOT_READY
    assert "oci" in error.message
    assert environment.server.requests == []


def test_every_page_is_read_until_a_trusted_signature(environment: OracleEnvironment) -> None:
    environment.server.records_per_page = 2
    for _ in range(6):
        environment.sign(STRANGER, kmsKeyId=OTHER_KEY_ID)
    environment.sign()
    assert environment.verify().fingerprints == (fingerprint(KEY),)
    assert len(environment.server.requests) == 4


def test_no_page_is_fetched_after_every_key_has_verified(environment: OracleEnvironment) -> None:
    environment.server.records_per_page = 1
    for _ in range(3):
        environment.sign()
    environment.verify()
    assert len(environment.server.requests) == 1


def test_cyclic_pages_are_refused(environment: OracleEnvironment) -> None:
    environment.sign()
    environment.server.records_per_page = 0
    environment.refuses(Reason.MALFORMED_EVIDENCE)
    assert len(environment.server.requests) == 2


def test_foreign_records_hide_no_good_one_and_are_summarised(environment: OracleEnvironment) -> None:
    for _ in range(MAX_SIGNATURES * 2):
        environment.sign(STRANGER, kmsKeyId=OTHER_KEY_ID)
    error = environment.refuses(Reason.UNKNOWN_KEY)
    assert len(error.signatures) == MAX_PASSED_OVER
    environment.sign()
    environment.verify()


def test_a_listing_of_others_records_has_an_end(environment: OracleEnvironment) -> None:
    record = environment.sign(STRANGER, kmsKeyId=OTHER_KEY_ID)
    environment.server.records_per_page = 100
    environment.server.honours_filter = False  # to filter them all anew for each page takes the simulator seconds
    environment.server.records.extend([record] * MAX_RECORDS)
    assert "10000 records" in environment.refuses(Reason.EVIDENCE_TOO_LARGE).message


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFoundError), (401, UnauthorizedError), (403, UnauthorizedError)]
)
def test_a_service_that_refuses_makes_it_unavailable(environment: OracleEnvironment, status: int, error: type) -> None:
    environment.server.faults.status(PATH, status)
    assert isinstance(environment.unavailable(), error)


@pytest.mark.parametrize("status", [500, 502, 301, 204])
def test_a_service_that_fails_makes_it_unavailable(environment: OracleEnvironment, status: int) -> None:
    environment.server.faults.status(PATH, status)
    assert str(status) in environment.unavailable().message


def test_failing_page_keeps_the_earlier_findings(environment: OracleEnvironment) -> None:
    environment.server.records_per_page = 1
    environment.sign()
    environment.sign(STRANGER)
    environment.server.faults.status("&page=", 500)
    verified = environment.verify(environment.check(trusted(), trusted(STRANGER)))
    assert verified.fingerprints == (fingerprint(KEY),)
    assert verified.signatures[-1].reason is Reason.REGISTRY_UNAVAILABLE


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"items":{}}', b'{"items":[],"items":[]}', b"\xff"])
def test_response_without_a_list_of_signatures_is_refused(environment: OracleEnvironment, body: bytes) -> None:
    environment.server.faults.body(PATH, body)
    environment.refuses(Reason.MALFORMED_EVIDENCE)


def test_empty_list_means_unsigned(environment: OracleEnvironment) -> None:
    error = environment.refuses(Reason.NO_SIGNATURE)
    assert error.message == f"there is no signature for {DIGEST} of {REPOSITORY} in {COMPARTMENT}"


def test_private_ca_is_configured_per_authenticator() -> None:
    with OracleEnvironment(tls=True) as environment:
        environment.sign()
        environment.verify()
        error = environment.unavailable(environment.check(ca=None))
    assert "certificate" in error.message


def test_time_that_has_run_out_ends_it(environment: OracleEnvironment) -> None:
    environment.seconds = 0.0
    assert isinstance(environment.unavailable(), DeadlineError)
