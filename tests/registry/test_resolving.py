"""Resolution of tags to digests with HEAD, and confirmation that a caller may read a manifest."""

from __future__ import annotations

import pytest

from sealgate.errors import InvalidReferenceError, NotFoundError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.reasons import Reason
from sealgate.registry.interface import OCI_MANIFEST
from tests.support.environments.registry_clients import client_for, login, repository_of, session_of
from tests.support.simulators.registry import RegistrySimulator, digest_of
from tests.support.simulators.registry_auth import Auth

SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


def _methods(registry: RegistrySimulator) -> list[str]:
    return [request.method for request in registry.requests]


def test_tag_is_resolved_by_one_head() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        assert session_of(client).resolve(repository_of(registry), "v1") == digest
        assert _methods(registry) == ["HEAD"]
        assert OCI_MANIFEST in registry.requests[0].headers["accept"]


@pytest.mark.parametrize("status", [400, 405, 500, 501])
def test_registry_without_head_is_asked_with_get(status: int) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        registry.faults.status("manifests", status, times=1)
        assert session_of(client).resolve(repository_of(registry), "v1") == digest
        assert _methods(registry) == ["HEAD", "GET"]


@pytest.mark.parametrize("said", [None, "", "sha256:", "x", "sha512:" + "0" * 128, "SHA256:" + "0" * 64])
def test_missing_digest_is_computed(said: str | None) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        headers = {"Content-Type": OCI_MANIFEST} | ({} if said is None else {"Docker-Content-Digest": said})
        registry.faults.answer("manifests", 200, headers, b"", times=1)
        assert session_of(client).resolve(repository_of(registry), "v1") == digest
        assert _methods(registry) == ["HEAD", "GET"]


def test_tag_of_an_unverifiable_artifact_is_refused_with_its_reason() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_manifest("team/app", "v1", b"{}", SCHEMA_1)
        with pytest.raises(VerificationError) as refused:
            session_of(client).resolve(repository_of(registry), "v1")
        assert refused.value.reason is Reason.UNSUPPORTED_IMAGE


def test_tag_that_is_not_there_costs_one_request() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        with pytest.raises(NotFoundError, match="does not have the manifest team/app:v1"):
            session_of(client).resolve(repository_of(registry), "v1")
        assert _methods(registry) == ["HEAD"]


def test_digest_is_not_resolved() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        with pytest.raises(InvalidReferenceError):
            session_of(client).resolve(repository_of(registry), digest_of(b""))
        assert registry.requests == []


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_head_is_sent_again_with_credentials(mode: str) -> None:
    auth = Auth(mode, users={"robot": "s3cret"})
    with RegistrySimulator(auth=auth) as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        assert session_of(client, login(registry)).resolve(repository_of(registry), "v1") == digest
        assert [method for method in _methods(registry) if method == "HEAD"] == ["HEAD", "HEAD"]
        with pytest.raises(UnauthorizedError):
            session_of(client).resolve(repository_of(registry), "v1")


def test_head_is_redirected_as_a_get_is() -> None:
    with RegistrySimulator() as registry, RegistrySimulator() as storage, client_for(registry, storage) as client:
        digest = storage.push_image("team/app", "v1")
        registry.faults.redirect("manifests", f"{storage.url}/v2/team/app/manifests/v1")
        assert session_of(client).resolve(repository_of(registry), "v1") == digest
        assert session_of(client).manifest(repository_of(registry), "v1").digest == digest
        assert _methods(storage) == ["HEAD", "GET"]


def test_mirror_is_resolved_first_then_the_origin() -> None:
    with RegistrySimulator() as registry, RegistrySimulator() as mirror:
        registry.push_image("team/app", "v1", content=b"origin")
        digest = mirror.push_image("team/app", "v1", content=b"mirror")
        newer = registry.push_image("team/app", "v2")
        with client_for(registry, mirror, mirrors={registry.host: mirror.host}) as client:
            assert client.locations(repository_of(registry)) == (repository_of(mirror), repository_of(registry))
            assert session_of(client).resolve(repository_of(registry), "v1") == digest
            assert session_of(client).resolve(repository_of(registry), "v2") == newer


def test_manifest_that_may_be_read_is_confirmed_by_one_head() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        session_of(client).confirm(repository_of(registry), digest)
        assert _methods(registry) == ["HEAD"]
        with pytest.raises(NotFoundError):
            session_of(client).confirm(repository_of(registry), digest_of(b"absent"))


def test_manifest_is_confirmed_by_its_bytes_without_head() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        for _ in range(2):
            registry.faults.status("manifests", 405, times=1)
            session_of(client).confirm(repository_of(registry), digest)
        registry.faults.status("manifests", 405, times=1)
        registry.faults.answer("manifests", 200, {"Content-Type": OCI_MANIFEST}, b"{}")
        with pytest.raises((VerificationError, UnavailableError)):
            session_of(client).confirm(repository_of(registry), digest)


def test_manifest_that_may_not_be_read_is_not_confirmed() -> None:
    auth = Auth("basic", users={"robot": "s3cret"})
    with RegistrySimulator(auth=auth) as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        session_of(client, login(registry)).confirm(repository_of(registry), digest)
        for credentials in (None, login(registry, "robot", "wrong")):
            with pytest.raises(UnauthorizedError):
                session_of(client, credentials).confirm(repository_of(registry), digest)


def test_session_reports_the_credentials_of_its_results() -> None:
    auth = Auth("none", users={"robot": "s3cret"}, anonymous=True)
    with RegistrySimulator(auth=auth) as registry, client_for(registry) as client:
        registry.push_image("team/app", "v1")
        repository, credentials = repository_of(registry), login(registry)
        session = session_of(client, credentials)
        session.resolve(repository, "v1")
        assert not session.access
        assert not client.needs_credentials(repository)
        auth.mode = "bearer"
        session.resolve(repository, "v1")
        (candidate,) = credentials.candidates(repository)
        assert session.access == ((repository, (candidate.credentials.fingerprint,)),)
        assert client.needs_credentials(repository)
        anonymous = session_of(client)
        anonymous.resolve(repository, "v1")
        assert anonymous.access == ((repository, ()),)
