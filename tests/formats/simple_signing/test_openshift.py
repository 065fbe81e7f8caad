"""The signature extension of OpenShift's registry."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import DeadlineError, InvalidReferenceError, UnauthorizedError, VerificationError
from sealgate.formats.interface import MAX_SIGNATURES, Image, Sources
from sealgate.reasons import Reason
from sealgate.references import Digest, Repository, parse_reference
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import client_for, login, repository_of, session_of
from tests.support.environments.simple_signing import SimpleSigningEnvironment, simple_check
from tests.support.signers.simple_signing import keyring, message
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import Auth

GOOD = message("good-ed25519")
SIGNER = keyring("ed25519").fingerprints


def test_extension_is_requested_once_by_digest(environment: SimpleSigningEnvironment) -> None:
    environment.registry.sign(environment.digest, GOOD)
    environment.registry.requests.clear()
    assert environment.verify(simple_check()).fingerprints == SIGNER
    assert environment.registry.paths == [f"/extensions/v2/team/api/signatures/{environment.digest}"]


@pytest.mark.parametrize("field", ["schemaVersion", "version"])
def test_the_version_may_have_either_of_its_names(environment: SimpleSigningEnvironment, field: str) -> None:
    environment.registry.version_field = field
    environment.registry.sign(environment.digest, GOOD)
    assert environment.verify(simple_check()).fingerprints == SIGNER


def test_version_has_two_spellings_and_unknown_members_are_ignored(
    environment: SimpleSigningEnvironment,
) -> None:
    environment.registry.sign(environment.digest, GOOD, version=2, comment="x")
    assert environment.verify(simple_check()).fingerprints == SIGNER


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"schemaVersion": 1}, Reason.MALFORMED_EVIDENCE),
        ({"schemaVersion": 3}, Reason.MALFORMED_EVIDENCE),
        ({"schemaVersion": "2"}, Reason.MALFORMED_EVIDENCE),
        ({"schemaVersion": None}, Reason.MALFORMED_EVIDENCE),
        ({"version": 1}, Reason.MALFORMED_EVIDENCE),
        ({"type": "cosign"}, Reason.TYPE_MISMATCH),
        ({"type": ""}, Reason.TYPE_MISMATCH),
        ({"type": None}, Reason.MALFORMED_EVIDENCE),
        ({"name": f"sha256:{'0' * 64}@{'a' * 32}"}, Reason.DIGEST_MISMATCH),
        ({"name": "x"}, Reason.MALFORMED_EVIDENCE),
        ({"name": 7}, Reason.MALFORMED_EVIDENCE),
        ({"content": "%"}, Reason.MALFORMED_EVIDENCE),
        ({"content": b64encode(GOOD).decode() + "\n"}, Reason.MALFORMED_EVIDENCE),
        ({"content": ""}, Reason.MALFORMED_EVIDENCE),
        ({"content": None}, Reason.MALFORMED_EVIDENCE),
        ({"content": b64encode(bytes(1 << 20) + b"x").decode()}, Reason.EVIDENCE_TOO_LARGE),
    ],
)
def test_an_entry_that_is_not_one_does_not_count(
    environment: SimpleSigningEnvironment, members: dict[str, Any], reason: Reason
) -> None:
    environment.registry.sign(environment.digest, GOOD, **members)
    assert environment.refusal(simple_check()).reason is reason
    environment.registry.sign(environment.digest, GOOD)
    found = environment.verify(simple_check())
    assert found.fingerprints == SIGNER
    assert [seen.reason for seen in found.signatures] == [reason, Reason.VERIFIED]


@pytest.mark.parametrize("name", ["{}@{}", "{}@{}b", "{}{}@", "@{}{}", "{}@ {}"])
def test_the_name_of_an_entry_is_a_digest_and_thirty_two_characters(
    environment: SimpleSigningEnvironment, name: str
) -> None:
    given = name.format(environment.digest, "a" * 32 if name == "{}@{}" else "a" * 31)
    environment.registry.sign(environment.digest, GOOD, name=given)
    if name in {"{}@{}", "{}@{}b"}:
        assert environment.verify(simple_check()).fingerprints == SIGNER
    else:
        assert environment.refusal(simple_check()).reason is Reason.MALFORMED_EVIDENCE


def test_imported_openshift_signature_is_named_after_its_hash(environment: SimpleSigningEnvironment) -> None:
    environment.registry.sign(environment.digest, GOOD, name=f"{environment.digest}@{sha256(GOOD).hexdigest()}")
    assert environment.verify(simple_check()).fingerprints == SIGNER


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65])
def test_a_name_of_another_length_is_refused(environment: SimpleSigningEnvironment, length: int) -> None:
    environment.registry.sign(environment.digest, GOOD, name=f"{environment.digest}@{'a' * length}")
    assert environment.refusal(simple_check()).reason is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize("entry", [None, 7, "x", [], {}])
def test_entry_that_is_not_an_object_does_not_count(environment: SimpleSigningEnvironment, entry: Any) -> None:
    environment.registry.signatures[environment.digest] = [entry]
    assert environment.refusal(simple_check()).reason is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"signatures": {}}',
        b'{"signatures": null}',
        b'{"signatures": [], "signatures": []}',
        b'{"signatures": []} x',
        b"\xff",
        b'{"signatures": ' + b"[" * 100 + b"]" * 100 + b"}",
    ],
)
def test_invalid_list_is_refused(environment: SimpleSigningEnvironment, body: bytes) -> None:
    environment.registry.faults.answer("/extensions/", body=body)
    error = environment.refusal(simple_check())
    assert error.reason is Reason.MALFORMED_EVIDENCE


def test_empty_list_means_unsigned(environment: SimpleSigningEnvironment) -> None:
    environment.registry.signatures[environment.digest] = []
    assert environment.refusal(simple_check()).reason is Reason.NO_SIGNATURE


def test_a_registry_without_the_extension_has_no_signatures() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "1")
        image = Image(parse_reference(f"{registry.host}/team/app:1"), digest)
        deadline = Deadline.after(SystemClock(), 30)
        sources = Sources(session_of(client), client.services(deadline), FakeClock(), deadline)
        with pytest.raises(VerificationError) as caught:
            simple_check().verify(image, sources)
        assert caught.value.reason is Reason.NO_SIGNATURE


@pytest.mark.parametrize("status", [405, 501])
def test_registry_without_the_extension_has_no_signatures(environment: SimpleSigningEnvironment, status: int) -> None:
    environment.registry.faults.status("/extensions/", status)
    with pytest.raises(VerificationError) as caught:
        simple_check().verify(environment.image(f"{environment.registry.host}/team/api:1.4"), environment.sources())
    assert caught.value.reason is Reason.NO_SIGNATURE


def test_image_unknown_to_the_registry_has_no_signatures(environment: SimpleSigningEnvironment) -> None:
    unknown = environment.image(f"{environment.registry.host}/team/api:1.4", Digest("sha256:" + "0" * 64))
    with pytest.raises(VerificationError) as caught:
        simple_check().verify(unknown, environment.sources())
    assert caught.value.reason is Reason.NO_SIGNATURE


def test_more_than_the_most_signatures_are_refused_unseen(environment: SimpleSigningEnvironment) -> None:
    for _ in range(MAX_SIGNATURES):
        environment.registry.sign(environment.digest, GOOD)
    assert environment.verify(simple_check()).fingerprints == SIGNER
    environment.registry.sign(environment.digest, GOOD)
    error = environment.refusal(simple_check())
    assert error.reason is Reason.EVIDENCE_TOO_LARGE
    assert error.signatures == ()


def test_an_endless_list_is_refused(environment: SimpleSigningEnvironment) -> None:
    environment.registry.faults.endless("/extensions/", chunk=b" " * 65536)
    assert environment.refusal(simple_check()).reason is Reason.EVIDENCE_TOO_LARGE


@pytest.mark.parametrize("status", [500, 502, 403, 401, 418, 204, 301])
def test_a_registry_that_does_not_answer_makes_it_unavailable(
    environment: SimpleSigningEnvironment, status: int
) -> None:
    environment.registry.faults.status("/extensions/", status)
    environment.unavailable(simple_check())


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_the_pods_own_credentials_are_used(mode: str) -> None:
    with SimpleSigningEnvironment(auth=Auth(mode=mode, users={"robot": "s3cret"})) as environment:
        environment.registry.sign(environment.digest, GOOD)
        credentials = login(environment.registry)
        assert environment.verify(simple_check(), credentials=credentials).fingerprints == SIGNER
        with pytest.raises(UnauthorizedError):
            environment.verify(simple_check())


def test_registry_with_tls_is_asked_over_tls() -> None:
    with SimpleSigningEnvironment(tls=True) as environment:
        environment.registry.sign(environment.digest, GOOD)
        assert environment.verify(simple_check()).fingerprints == SIGNER


def test_signature_uploaded_as_documented_is_read(environment: SimpleSigningEnvironment) -> None:
    name = f"{environment.digest}@cddeb7006d914716e2728000746a0b23"
    entry = {"schemaVersion": 2, "version": 2, "type": "atomic", "name": name, "content": b64encode(GOOD).decode()}
    path = f"/extensions/v2/team/api/signatures/{environment.digest}"
    assert environment.request("PUT", path, json.dumps(entry)).status == 201
    assert environment.verify(simple_check()).fingerprints == SIGNER


def test_signature_counts_only_for_its_own_repository(
    environment: SimpleSigningEnvironment,
) -> None:
    media_type, body = environment.registry.manifest("team/api", "1.4")
    environment.registry.push_manifest("other/api", "1.4", body, media_type)
    environment.registry.sign(environment.digest, GOOD)
    assert environment.verify(simple_check()).fingerprints == SIGNER
    error = environment.refusal(simple_check(), "registry.example.org/other/api:1.4")
    assert error.reason is Reason.REPOSITORY_MISMATCH


def test_no_name_gets_into_the_path_that_is_not_one() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        session = session_of(client)
        for repository in (Repository(registry.host, "../x"), Repository(registry.host, "a?b")):
            with pytest.raises(InvalidReferenceError):
                session.signatures(repository, Digest("sha256:" + "0" * 64), 100)
        with pytest.raises(InvalidReferenceError):
            session.signatures(repository_of(registry), Digest("../../x"), 100)
        assert registry.paths == []


def test_time_that_runs_out_between_two_signatures_ends_the_search(environment: SimpleSigningEnvironment) -> None:
    environment.registry.sign(environment.digest, message("one-byte-changed"))
    sources = environment.sources()
    spent = replace(sources, deadline=Deadline(environment.clock, environment.clock.monotonic()))
    with pytest.raises(DeadlineError):
        simple_check().verify(environment.image(), spent)


def test_simulator_announces_the_extension_like_the_server(environment: SimpleSigningEnvironment) -> None:
    assert environment.request("GET", "/v2/").headers["X-Registry-Supports-Signatures"] == "1"
