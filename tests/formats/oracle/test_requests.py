"""What is asked of the service, and what becomes of its answers."""

from __future__ import annotations

import pytest

from sealgate.errors import DeadlineError, NotFoundError, UnauthorizedError
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.listing import MAX_PASSED_OVER, MAX_RECORDS
from sealgate.reasons import Reason
from tests.support.environments.oracle import DIGEST, KEY, REPOSITORY, STRANGER, OracleStand, trusted
from tests.support.signers.private_keys import fingerprint
from tests.support.simulators.ocir import COMPARTMENT, APIKey

API_KEY = APIKey()
OTHER_KEY_ID = "ocid1.key.oc1.phx.bbqehaq3aadfa.other"
PATH = "/20160918/container/imageSignatures"


def test_one_request_asks_for_the_images_signatures(stand: OracleStand) -> None:
    stand.sign()
    stand.verify()
    (request,) = stand.server.requests
    assert (request.method, request.path) == ("GET", PATH)
    assert dict(request.query) == {
        "compartmentId": COMPARTMENT,
        "compartmentIdInSubtree": "false",
        "repositoryName": REPOSITORY,
        "imageDigest": DIGEST,
        "limit": "100",
    }
    assert "authorization" not in request.headers


def test_compartments_below_are_looked_into_where_the_authenticator_says_so(stand: OracleStand) -> None:
    stand.sign()
    stand.verify(stand.check(compartmentIdInSubtree=True))
    assert dict(stand.server.requests[0].query)["compartmentIdInSubtree"] == "true"


def test_requests_are_signed_with_the_api_key_of_the_secret() -> None:
    with OracleStand(api_key=API_KEY) as stand:
        stand.secrets = {"oci": API_KEY.secret}
        stand.sign()
        stand.server.records_per_page = 1
        stand.sign(STRANGER)
        verified = stand.verify(stand.check(trusted(), trusted(STRANGER), credentialsSecret={"name": "oci"}))
        assert len(verified.fingerprints) == 2
        assert isinstance(stand.unavailable(), UnauthorizedError)


def test_an_api_key_of_somebody_else_makes_it_unavailable() -> None:
    with OracleStand(api_key=API_KEY) as stand:
        stand.secrets = {"oci": APIKey().secret}
        stand.sign()
        assert isinstance(stand.unavailable(stand.check(credentialsSecret={"name": "oci"})), UnauthorizedError)


@pytest.mark.parametrize("secrets", [{}, {"oci": {}}, {"oci": {**API_KEY.secret, "privateKey": b"no key"}}])
def test_a_secret_that_cannot_be_used_makes_it_unavailable(
    stand: OracleStand, secrets: dict[str, dict[str, bytes]]
) -> None:
    stand.secrets = secrets
    stand.sign()
    error = stand.unavailable(stand.check(credentialsSecret={"name": "oci"}))
    assert error.reason is Reason.AUTHENTICATOR_NOT_READY
    assert "oci" in error.message
    assert stand.server.requests == []


def test_every_page_is_followed_though_the_first_has_no_trusted_signature(stand: OracleStand) -> None:
    stand.server.records_per_page = 2
    for _ in range(6):
        stand.sign(STRANGER, kmsKeyId=OTHER_KEY_ID)
    stand.sign()
    assert stand.verify().fingerprints == (fingerprint(KEY),)
    assert len(stand.server.requests) == 4


def test_no_page_is_fetched_after_every_key_has_verified(stand: OracleStand) -> None:
    stand.server.records_per_page = 1
    for _ in range(3):
        stand.sign()
    stand.verify()
    assert len(stand.server.requests) == 1


def test_pages_that_go_round_in_circles_are_refused(stand: OracleStand) -> None:
    stand.sign()
    stand.server.records_per_page = 0
    stand.refuses(Reason.MALFORMED_EVIDENCE)
    assert len(stand.server.requests) == 2


def test_records_of_others_do_not_hide_a_good_one_and_are_told_of_shortly(stand: OracleStand) -> None:
    for _ in range(MAX_SIGNATURES * 2):
        stand.sign(STRANGER, kmsKeyId=OTHER_KEY_ID)
    error = stand.refuses(Reason.UNKNOWN_KEY)
    assert len(error.signatures) == MAX_PASSED_OVER
    stand.sign()
    stand.verify()


def test_a_listing_of_others_records_has_an_end(stand: OracleStand) -> None:
    record = stand.sign(STRANGER, kmsKeyId=OTHER_KEY_ID)
    stand.server.records_per_page = 100
    stand.server.honours_filter = False  # to filter them all anew for each page takes the simulator seconds
    stand.server.records.extend([record] * MAX_RECORDS)
    assert "10000 records" in stand.refuses(Reason.EVIDENCE_TOO_LARGE).message


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFoundError), (401, UnauthorizedError), (403, UnauthorizedError)]
)
def test_a_service_that_refuses_makes_it_unavailable(stand: OracleStand, status: int, error: type) -> None:
    stand.server.faults.status(PATH, status)
    assert isinstance(stand.unavailable(), error)


@pytest.mark.parametrize("status", [500, 502, 301, 204])
def test_a_service_that_fails_makes_it_unavailable(stand: OracleStand, status: int) -> None:
    stand.server.faults.status(PATH, status)
    assert str(status) in stand.unavailable().message


def test_a_page_that_fails_leaves_what_was_found_before(stand: OracleStand) -> None:
    stand.server.records_per_page = 1
    stand.sign()
    stand.sign(STRANGER)
    stand.server.faults.status("&page=", 500)
    verified = stand.verify(stand.check(trusted(), trusted(STRANGER)))
    assert verified.fingerprints == (fingerprint(KEY),)
    assert verified.signatures[-1].reason is Reason.REGISTRY_UNAVAILABLE


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"items":{}}', b'{"items":[],"items":[]}', b"\xff"])
def test_an_answer_that_is_no_list_of_signatures_is_refused(stand: OracleStand, body: bytes) -> None:
    stand.server.faults.body(PATH, body)
    stand.refuses(Reason.MALFORMED_EVIDENCE)


def test_an_empty_list_means_that_there_is_no_signature(stand: OracleStand) -> None:
    error = stand.refuses(Reason.NO_SIGNATURE)
    assert error.message == f"there is no signature for {DIGEST} of {REPOSITORY} in {COMPARTMENT}"


def test_a_private_authority_is_the_authenticators_own() -> None:
    with OracleStand(tls=True) as stand:
        stand.sign()
        stand.verify()
        error = stand.unavailable(stand.check(ca=None))
    assert "certificate" in error.message


def test_time_that_has_run_out_ends_it(stand: OracleStand) -> None:
    stand.seconds = 0.0
    assert isinstance(stand.unavailable(), DeadlineError)
