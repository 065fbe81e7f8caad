"""Fetching image manifests: one request, a checked digest, and a supported media type."""

from __future__ import annotations

import hashlib

import pytest

from sealgate.errors import NotFoundError, UnauthorizedError, UnavailableError, UnreachableError, VerificationError
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from sealgate.registry.interface import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.support.environments.registry_clients import Names, client_for, repository_of, session_of
from tests.support.simulators.registry import RegistrySimulator, digest_of


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST])
def test_tag_costs_one_request_and_its_digest_is_computed(media_type: str) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_manifest("team/app", "v1", b'{"schemaVersion":2}', media_type)
        manifest = session_of(client).manifest(repository_of(registry), "v1")
        assert (manifest.digest, manifest.media_type, manifest.body) == (digest, media_type, b'{"schemaVersion":2}')
        assert registry.paths == ["/v2/team/app/manifests/v1"]
        assert registry.requests[0].headers["accept"].count("application/vnd.") == 4


def test_a_digest_is_fetched_by_digest() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app")
        assert session_of(client).manifest(repository_of(registry), digest).digest == digest
        assert registry.paths == [f"/v2/team/app/manifests/{digest}"]


def test_parameters_of_the_content_type_are_left_out() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        registry.faults.header("manifests", "Content-Type", "Application/vnd.OCI.image.manifest.v1+json; charset=utf-8")
        assert session_of(client).manifest(repository_of(registry), "v1").media_type == OCI_MANIFEST


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/json",
        "text/html",
        None,
        f"{OCI_MANIFEST}, {OCI_INDEX}",
    ],
)
def test_document_that_is_not_an_image_manifest_is_refused(media_type: str | None) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        registry.faults.header("manifests", "Content-Type", media_type)
        with pytest.raises(VerificationError) as refused:
            session_of(client).manifest(repository_of(registry), "v1")
        assert refused.value.reason is Reason.UNSUPPORTED_IMAGE


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_digest_header_of_any_algorithm_must_match_the_bytes(algorithm: str) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_manifest("team/app", "v1", b"{}")
        said = f"{algorithm}:{hashlib.new(algorithm, b'{}').hexdigest()}"
        registry.faults.header("manifests", "Docker-Content-Digest", said, times=1)
        assert session_of(client).manifest(repository_of(registry), "v1").digest == digest
        registry.faults.header("manifests", "Docker-Content-Digest", said[:-1] + "x")
        with pytest.raises(VerificationError) as refused:
            session_of(client).manifest(repository_of(registry), "v1")
        assert refused.value.reason is Reason.DIGEST_MISMATCH


def test_digest_header_may_be_missing() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        registry.faults.header("manifests", "Docker-Content-Digest", None)
        assert session_of(client).manifest(repository_of(registry), "v1").digest == digest


def test_missing_manifest_is_not_found() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        with pytest.raises(NotFoundError) as missing:
            session_of(client).manifest(repository_of(registry), "v2")
        assert missing.value.message == f"{registry.host} does not have the manifest team/app:v2"
        with pytest.raises(NotFoundError):
            session_of(client).blob(repository_of(registry), digest_of(b"x"), 10)


def test_refusal_names_the_action_and_quotes_no_response_body() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        body = b'{"errors":[{"code":"DENIED","message":"hunter2"},{"code":"x\\ny"},{"code":1},1]}'
        registry.faults.answer("manifests", 403, {}, body)
        with pytest.raises(UnauthorizedError) as refused:
            session_of(client).manifest(repository_of(registry), "v1")
        expected = (
            f"{registry.host} does not give out the manifest team/app:v1 (DENIED); check the pull secret and its rights"
        )
        assert refused.value.message == expected


@pytest.mark.parametrize("status", [204, 304, 400, 500, 502, 503])
def test_unexpected_responses_are_unavailable(status: int) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.answer(
            "manifests", status, {}, b"" if status in (204, 304) else b"<html>internal things</html>"
        )
        with pytest.raises(UnavailableError) as failed:
            session_of(client).manifest(repository_of(registry), "v1")
        assert type(failed.value) is (UnreachableError if status >= 500 else UnavailableError)
        assert str(status) in failed.value.message
        assert "internal" not in failed.value.message


def test_a_registry_that_is_not_there_is_unavailable() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.close()
        with pytest.raises(UnavailableError, match="refuses connections"):
            session_of(client).manifest(repository_of(registry), "v1")


def test_docker_hub_requests_go_to_its_api_host() -> None:
    names = Names({})
    with client_for(resolver=names) as client, pytest.raises(UnavailableError):
        session_of(client).manifest(parse_reference("nginx").repository, "latest")
    assert names.asked == ["registry-1.docker.io"]
