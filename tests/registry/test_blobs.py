"""Fetching blobs: bounded in size, checked against their digest, with redirects to storage."""

from __future__ import annotations

import pytest

from sealgate.errors import UnavailableError, VerificationError
from sealgate.reasons import Reason
from tests.support.environments.registry_clients import client_for, repository_of, session_of
from tests.support.simulators.registry import RegistrySimulator


def test_blob_size_limit_is_inclusive() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_blob("team/app", b"12345")
        assert session_of(client).blob(repository_of(registry), digest, 5) == b"12345"
        with pytest.raises(VerificationError) as refused:
            session_of(client).blob(repository_of(registry), digest, 4)
        assert refused.value.reason is Reason.EVIDENCE_TOO_LARGE


def test_an_empty_blob_is_a_blob() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_blob("team/app", b"")
        assert session_of(client).blob(repository_of(registry), digest, 0) == b""


def test_a_large_blob_arrives_whole() -> None:
    data = bytes(range(256)) * 20_000
    with RegistrySimulator(tls=True) as registry, client_for(registry) as client:
        digest = registry.push_blob("team/app", data)
        assert session_of(client).blob(repository_of(registry), digest, len(data)) == data


def test_a_blob_in_chunks_arrives_whole() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_blob("team/app", b"12345")
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        registry.faults.raw("blobs", head + b"2\r\n12\r\n3;name=value\r\n345\r\n0\r\nTrailer: x\r\n\r\n", times=1)
        session = session_of(client)
        assert session.blob(repository_of(registry), digest, 5) == b"12345"
        assert session.blob(repository_of(registry), digest, 5) == b"12345"
        assert {request.connection for request in registry.requests} == {1}


def test_a_blob_may_be_kept_by_another_host() -> None:
    with RegistrySimulator() as registry, RegistrySimulator() as storage, client_for(registry, storage) as client:
        digest = registry.push_blob("team/app", b"kept elsewhere")
        storage.push_blob("team/app", b"kept elsewhere")
        registry.faults.redirect("blobs", f"{storage.url}/v2/team/app/blobs/{digest}?signature=x", status=302)
        assert session_of(client).blob(repository_of(registry), digest, 100) == b"kept elsewhere"
        assert [request.query for request in storage.requests] == [(("signature", "x"),)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_may_be_relative(status: int) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_blob("team/app", b"12345")
        registry.faults.redirect("blobs", f"/v2/team/app/blobs/{digest}", status=status, times=1)
        assert session_of(client).blob(repository_of(registry), digest, 5) == b"12345"


def test_redirects_end() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_blob("team/app", b"12345")
        registry.faults.redirect("blobs", f"/v2/team/app/blobs/{digest}")
        with pytest.raises(UnavailableError, match="redirects more than"):
            session_of(client).blob(repository_of(registry), digest, 5)
        assert len(registry.requests) == 6


@pytest.mark.parametrize("location", ["ftp://x/", "https://a@b/", "http://[::1", "https://x:0/", "//", "http://ä/"])
def test_redirect_to_an_invalid_url_is_refused(location: str) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_blob("team/app", b"12345")
        registry.faults.redirect("blobs", location)
        with pytest.raises(UnavailableError):
            session_of(client).blob(repository_of(registry), digest, 5)


def test_redirect_without_a_location_is_refused() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_blob("team/app", b"12345")
        registry.faults.answer("blobs", 302)
        with pytest.raises(UnavailableError, match="302"):
            session_of(client).blob(repository_of(registry), digest, 5)


def test_storage_never_gets_the_registry_credentials() -> None:
    with RegistrySimulator() as registry, RegistrySimulator() as storage, client_for(registry, storage) as client:
        digest = registry.push_blob("team/app", b"12345")
        storage.auth.mode = "basic"
        registry.faults.redirect("blobs", f"{storage.url}/v2/team/app/blobs/{digest}")
        with pytest.raises(UnavailableError):
            session_of(client).blob(repository_of(registry), digest, 5)
        assert len(storage.requests) == 1
