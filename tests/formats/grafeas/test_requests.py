"""Requests to the Grafeas server, and the outcomes of its responses."""

from __future__ import annotations

import pytest

from sealgate.errors import DeadlineError, ForbiddenAddressError, NotFoundError, RateLimitedError, UnauthorizedError
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.listing import MAX_RECORDS
from sealgate.reasons import Reason
from tests.support.environments.grafeas import (
    DIGEST,
    KEY,
    OTHER_DIGEST,
    REPOSITORY,
    STRANGER,
    GrafeasEnvironment,
    key_entry,
    uri,
)
from tests.support.signers.private_keys import fingerprint
from tests.support.simulators.grafeas import NOTE


def test_one_request_asks_for_the_notes_attestations_of_the_image(environment: GrafeasEnvironment) -> None:
    environment.attest()
    environment.verify()
    (request,) = environment.server.requests
    assert request.path == f"/v1/{NOTE}/occurrences"
    wanted = f'resourceUrl="https://{REPOSITORY}@{DIGEST}" AND kind="ATTESTATION"'
    assert dict(request.query) == {"pageSize": "1000", "filter": wanted}
    assert "authorization" not in request.headers


def test_the_older_api_has_another_path_and_another_filter() -> None:
    with GrafeasEnvironment("v1beta1") as environment:
        environment.attest()
        environment.verify()
        (request,) = environment.server.requests
    assert request.path == f"/v1beta1/{NOTE}/occurrences"
    assert dict(request.query)["filter"].startswith('resource_url="')


def test_project_is_listed_if_configured(environment: GrafeasEnvironment) -> None:
    environment.attest(noteName="projects/prod/notes/dev")
    environment.refuses(Reason.NO_SIGNATURE, environment.check(project="projects/images"))
    environment.attest()
    environment.verify(environment.check(project="projects/images"))
    assert set(environment.server.paths) == {"/v1/projects/images/occurrences"}


@pytest.mark.parametrize(("setting", "start"), [("resource_url", 'resource_url="'), ("none", None)])
def test_the_filter_can_be_written_for_servers_that_differ(
    environment: GrafeasEnvironment, setting: str, start: str | None
) -> None:
    environment.attest()
    environment.verify(environment.check(filter=setting))
    sent = dict(environment.server.requests[0].query).get("filter")
    assert sent is None if start is None else (sent or "").startswith(start)


def test_every_page_is_followed(either: GrafeasEnvironment) -> None:
    either.server.occurrences_per_page = 2
    for _ in range(6):
        either.attest(STRANGER)
    either.attest()
    assert either.verify().fingerprints == (fingerprint(KEY),)
    assert len(either.server.requests) == 4


def test_no_page_is_fetched_after_every_key_has_verified(environment: GrafeasEnvironment) -> None:
    environment.server.occurrences_per_page = 1
    for _ in range(3):
        environment.attest()
    environment.verify()
    assert len(environment.server.requests) == 1


def test_pages_are_followed_while_another_key_may_verify(environment: GrafeasEnvironment) -> None:
    environment.server.occurrences_per_page = 1
    environment.attest()
    environment.attest(STRANGER)
    assert len(environment.verify(environment.check(key_entry(KEY), key_entry(STRANGER))).fingerprints) == 2


def test_a_server_that_ignores_filters_is_compared_with(environment: GrafeasEnvironment) -> None:
    environment.server.honours_filter = False
    for _ in range(300):
        environment.attest(uri=uri(OTHER_DIGEST))
    environment.attest()
    assert environment.verify().fingerprints == (fingerprint(KEY),)


def test_cyclic_pages_are_refused(environment: GrafeasEnvironment) -> None:
    environment.server.faults.body("occurrences", b'{"occurrences":[],"nextPageToken":"1"}')
    environment.refuses(Reason.MALFORMED_EVIDENCE)
    assert len(environment.server.requests) == 2


def test_a_listing_of_others_records_has_an_end(environment: GrafeasEnvironment) -> None:
    environment.server.honours_filter = False
    environment.server.occurrences_per_page = 5000
    occurrence = environment.attest(uri=uri(OTHER_DIGEST))
    environment.server.occurrences.extend([occurrence] * MAX_RECORDS)
    environment.server.occurrences[0] = "x"
    assert "10000 records" in environment.refuses(Reason.EVIDENCE_TOO_LARGE).message


def test_good_attestation_counts_before_any_number_of_others(environment: GrafeasEnvironment) -> None:
    environment.attest()
    for _ in range(MAX_SIGNATURES + 1):
        environment.attest(STRANGER, key_id="stranger")
    verified = environment.verify(environment.check(key_entry(KEY), key_entry(STRANGER)))
    assert verified.signatures[-1].reason is Reason.EVIDENCE_TOO_LARGE


def test_response_that_is_not_an_object_is_refused(environment: GrafeasEnvironment) -> None:
    environment.server.faults.body("occurrences", b"[]")
    environment.refuses(Reason.MALFORMED_EVIDENCE)


def test_empty_response_means_unattested(environment: GrafeasEnvironment) -> None:
    environment.server.faults.body("occurrences", b"{}")
    error = environment.refuses(Reason.NO_SIGNATURE)
    assert error.message == f"there is no attestation of {uri()} under {NOTE}"


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, NotFoundError), (401, UnauthorizedError), (403, UnauthorizedError), (429, RateLimitedError)],
)
def test_a_server_that_refuses_makes_it_unavailable(environment: GrafeasEnvironment, status: int, error: type) -> None:
    # Longer than any deadline of a review.
    environment.server.faults.answer("occurrences", status, {"Retry-After": "300"})
    assert isinstance(environment.unavailable(), error)


@pytest.mark.parametrize("status", [500, 502, 301, 204])
def test_a_server_that_fails_makes_it_unavailable(environment: GrafeasEnvironment, status: int) -> None:
    environment.server.faults.status("occurrences", status)
    assert str(status) in environment.unavailable().message


def test_failing_page_keeps_the_earlier_findings(environment: GrafeasEnvironment) -> None:
    environment.server.occurrences_per_page = 1
    environment.attest()
    environment.attest(STRANGER)
    environment.server.faults.status("pageToken", 500)
    verified = environment.verify(environment.check(key_entry(KEY), key_entry(STRANGER)))
    assert verified.fingerprints == (fingerprint(KEY),)
    assert verified.signatures[-1].reason is Reason.REGISTRY_UNAVAILABLE


def test_the_token_of_the_secret_is_sent(environment: GrafeasEnvironment) -> None:
    environment.server.token = "s3cret"
    environment.attest()
    environment.unavailable()
    environment.secrets = {"grafeas": {"token": b"s3cret\n"}}
    environment.verify(environment.check(credentialsSecret={"name": "grafeas"}))


@pytest.mark.parametrize("content", [{}, {"grafeas": {}}, {"grafeas": {"token": b"a\r\nX-Evil: 1"}}])
def test_a_secret_that_cannot_be_used_makes_it_unavailable(
    environment: GrafeasEnvironment, content: dict[str, dict[str, bytes]]
) -> None:
    environment.secrets = content
    error = environment.unavailable(environment.check(credentialsSecret={"name": "grafeas"}))
    assert error.reason is Reason.AUTHENTICATOR_NOT_READY
    assert "Evil" not in error.message
    assert environment.server.requests == []


def test_private_ca_is_configured_per_authenticator() -> None:
    with GrafeasEnvironment(tls=True) as environment:
        environment.attest()
        environment.verify()
        error = environment.unavailable(environment.check(ca=None))
    assert "certificate" in error.message


def test_plain_http_needs_the_server_to_be_listed_as_insecure(environment: GrafeasEnvironment) -> None:
    assert isinstance(environment.unavailable(environment.check(server="http://127.0.0.2:9")), ForbiddenAddressError)


def test_time_that_has_run_out_ends_it(environment: GrafeasEnvironment) -> None:
    environment.seconds = 0.0
    assert isinstance(environment.unavailable(), DeadlineError)


def test_the_budget_is_the_servers(environment: GrafeasEnvironment) -> None:
    check = environment.check()
    assert check.budget_host(environment.image()) == environment.server.host
    assert (check.format, check.depends_on_tag, check.named_hosts) == ("grafeas", False, frozenset())


def test_a_path_in_the_servers_address_is_kept(environment: GrafeasEnvironment) -> None:
    environment.unavailable(environment.check(server=f"{environment.server.url}/grafeas/"))
    assert environment.server.paths == [f"/grafeas/v1/{NOTE}/occurrences"]
