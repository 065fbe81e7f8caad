"""Writes to registries: with the right to push, only to the registry itself, and never over what changed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import (
    ConflictError,
    ForbiddenAddressError,
    ImmutableTagError,
    NotFoundError,
    SigningError,
    UnauthorizedError,
    UnavailableError,
)
from sealgate.registry.interface import OCI_MANIFEST
from tests.support.environments.registry_clients import client_for, login, repository_of, session_of, writer_of
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.http_messages import Answer, encode, json_answer
from tests.support.simulators.openshift import OpenShiftSimulator
from tests.support.simulators.registry import RegistrySimulator, digest_of
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from sealgate.registry.client import RegistryClient
    from tests.support.simulators.http import HTTPSimulator

USERS = {"robot": "s3cret"}
MANIFEST = encode({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": []})
OTHER = encode({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": [], "annotations": {}})


def _methods(simulator: HTTPSimulator) -> list[str]:
    return [request.method for request in simulator.requests]


def _answer(
    method: str, path: str, status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> Fault:
    answer = json_answer({"errors": [{"code": code, "message": message}]}, status)
    answer.headers.update(headers or {})
    return Fault(path, lambda _: answer, method=method)


def _put(client: RegistryClient, registry: HTTPSimulator, tag: str = "v1") -> None:
    writer_of(client).put_manifest(repository_of(registry), tag, MANIFEST, OCI_MANIFEST)


def test_blob_and_manifest_are_stored() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        writer, repository = writer_of(client), repository_of(registry)
        digest = writer.put_blob(repository, b"a payload")
        stored = writer.put_manifest(repository, "v1", MANIFEST, OCI_MANIFEST)
        session = session_of(client)
        assert session.blob(repository, digest, 100) == b"a payload"
        assert session.manifest(repository, "v1").digest == stored.digest == digest_of(MANIFEST)


def test_blob_that_is_there_is_not_sent() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.push_blob("team/app", b"a payload")
        writer_of(client).put_blob(repository_of(registry), b"a payload")
        assert _methods(registry) == ["HEAD"]


def test_one_token_with_the_right_to_push_serves_all_writes() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, client_for(registry) as client:
        writer, repository = writer_of(client, login(registry)), repository_of(registry)
        writer.put_blob(repository, b"a payload")
        writer.put_manifest(repository, "v1", MANIFEST, OCI_MANIFEST)
        asked = [dict(request.query)["scope"] for request in registry.requests if request.path == "/token"]
        assert asked == ["repository:team/app:pull,push"]


def test_reads_still_ask_only_for_pull() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, client_for(registry) as client:
        writer_of(client, login(registry)).put_manifest(repository_of(registry), "v1", MANIFEST, OCI_MANIFEST)
        session_of(client, login(registry)).manifest(repository_of(registry), "v1")
        asked = [dict(request.query)["scope"] for request in registry.requests if request.path == "/token"]
        assert asked == ["repository:team/app:pull,push", "repository:team/app:pull"]


def test_right_to_push_is_asked_for_even_if_the_challenge_names_pull() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, client_for(registry) as client:
        registry.auth.challenge = f'Bearer realm="{registry.url}/token",scope="repository:team/app:pull"'
        writer_of(client, login(registry)).put_manifest(repository_of(registry), "v1", MANIFEST, OCI_MANIFEST)
        assert registry.manifest("team/app", "v1")[1] == MANIFEST


def test_scopes_that_the_challenge_names_besides_are_asked_for_too() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, client_for(registry) as client:
        scope = "repository:team/app:push,pull registry:audit:write"
        registry.auth.challenge = f'Bearer realm="{registry.url}/token",scope="{scope}"'
        writer_of(client, login(registry)).put_manifest(repository_of(registry), "v1", MANIFEST, OCI_MANIFEST)
        (token,) = registry.auth.issued.values()
        assert token == ("repository:team/app:pull,push", "registry:audit:write")


def test_missing_right_to_push_is_named() -> None:
    auth = Auth("bearer", users=USERS, pull_only={"robot"})
    with RegistrySimulator(auth=auth) as registry, client_for(registry) as client:
        with pytest.raises(UnauthorizedError, match="repository:team/app:pull,push"):
            writer_of(client, login(registry)).put_blob(repository_of(registry), b"a payload")
        registry.auth.anonymous, registry.auth.pull_only = True, {""}
        with pytest.raises(UnauthorizedError, match="callers without credentials may not write"):
            writer_of(client).put_blob(repository_of(registry), b"a payload")
        assert not registry.repositories


def test_denied_write_quotes_the_registry() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.add(_answer("PUT", "/manifests/", 403, "DENIED", "not on \x1b[31mFridays"))
        with pytest.raises(UnauthorizedError, match=r"status 403, DENIED: not on \\x1b\[31mFridays.*pull,push"):
            _put(client, registry)


def test_upload_to_another_host_gets_no_credentials() -> None:
    auth = Auth("basic", users=USERS)
    with RegistrySimulator(auth=auth) as registry, RegistrySimulator(address="127.0.0.2") as storage:
        registry.faults.add(_redirect_upload(f"{storage.url}/v2/team/app/blobs/uploads/7?token=t"))
        with client_for(registry, storage) as client:
            writer_of(client, login(registry)).put_blob(repository_of(registry), b"a payload")
        (request,) = storage.requests
        assert request.method == "PUT"
        assert "authorization" not in request.headers
        assert dict(request.query) == {"token": "t", "digest": digest_of(b"a payload")}


def test_upload_to_a_forbidden_address_is_refused() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.add(_redirect_upload("http://169.254.169.254/latest"))
        with pytest.raises(ForbiddenAddressError):
            writer_of(client).put_blob(repository_of(registry), b"a payload")


@pytest.mark.parametrize(
    "where", ["/v2/team/app/blobs/uploads/9", "7?state=x", "https://127.0.0.1/v2/team/app/blobs/uploads/9"]
)
def test_upload_location_may_be_relative_or_have_a_wrong_port(where: str) -> None:
    with RegistrySimulator(auth=Auth("basic", users=USERS)) as registry, client_for(registry) as client:
        registry.faults.add(_redirect_upload(where))
        digest = writer_of(client, login(registry)).put_blob(repository_of(registry), b"a payload")
        assert registry.repositories["team/app"].blobs == {digest: b"a payload"}


def test_write_is_repeated_when_a_kept_connection_was_closed() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        writer, repository = writer_of(client), repository_of(registry)
        writer.put_blob(repository, b"one")
        registry.close_idle_connections()
        writer.put_manifest(repository, "v1", MANIFEST, OCI_MANIFEST)
        registry.close_idle_connections()
        writer.put_blob(repository, b"two")
        assert registry.repositories["team/app"].tags == {"v1": digest_of(MANIFEST)}


def test_referrer_that_the_registry_lists_needs_no_fallback_tag() -> None:
    for api in (True, False):
        with RegistrySimulator(referrers_api=api) as registry, client_for(registry) as client:
            subject = registry.push_image("team/app", "v1")
            body = encode({"schemaVersion": 2, "subject": {"digest": subject}, "config": {}, "layers": []})
            stored = writer_of(client).put_manifest(repository_of(registry), digest_of(body), body, OCI_MANIFEST)
            assert stored.lists_subject is api


def test_conditional_write_keeps_what_another_writer_stored() -> None:
    with RegistrySimulator(etags=True) as registry, client_for(registry) as client:
        writer, repository = writer_of(client), repository_of(registry)
        _put(client, registry)
        seen = session_of(client).manifest(repository, "v1")
        registry.push_manifest("team/app", "v1", OTHER)
        with pytest.raises(ConflictError, match="another writer changed the manifest team/app:v1"):
            writer.put_manifest(repository, "v1", MANIFEST, OCI_MANIFEST, replaces=seen)
        assert registry.manifest("team/app", "v1")[1] == OTHER
        now = session_of(client).manifest(repository, "v1")
        writer.put_manifest(repository, "v1", MANIFEST, OCI_MANIFEST, replaces=now)
        assert registry.manifest("team/app", "v1")[1] == MANIFEST


def test_weak_etag_makes_no_condition() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        _put(client, registry)
        registry.faults.header("/manifests/v1", "ETag", 'W/"1"')
        seen = session_of(client).manifest(repository_of(registry), "v1")
        writer_of(client).put_manifest(repository_of(registry), "v1", OTHER, OCI_MANIFEST, replaces=seen)
        assert "if-match" not in registry.requests[-1].headers


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (
            400,
            "TAG_INVALID",
            "The image tag 'v1' already exists and cannot be overwritten because the repository is immutable.",
        ),
        (400, "ImageTagAlreadyExistsException", "The image tag 'v1' already exists in the 'app' repository"),
        (412, "PRECONDITION", "Failed to process request due to 'v1' configured as immutable."),
        (405, "TAG_LOCKED", "the tag v1 is locked"),
        (409, "TAG_IMMUTABLE", "tag v1"),
    ],
)
def test_immutable_tag_is_named_as_the_cause(status: int, code: str, message: str) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.add(_answer("PUT", "/manifests/v1", status, code, message))
        with pytest.raises(ImmutableTagError, match=f"team/app:v1 .*immutable.*{status}, {code}"):
            _put(client, registry)


@pytest.mark.parametrize(
    ("status", "code", "message", "error", "said"),
    [
        (405, "UNSUPPORTED", "The operation is unsupported.", SigningError, "read-only"),
        (403, "DENIED", "registry is in read-only mode", SigningError, "read-only"),
        (404, "NAME_UNKNOWN", "repository not found", SigningError, "Create it first"),
        (400, "MANIFEST_INVALID", "bad", SigningError, "status 400, MANIFEST_INVALID: bad"),
        (412, "PRECONDITION", "quota", SigningError, "quota"),
        (502, "UNKNOWN", "bad gateway", UnavailableError, "try again later"),
    ],
)
def test_refused_write_says_why(status: int, code: str, message: str, error: type[Exception], said: str) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.add(_answer("PUT", "/manifests/", status, code, message))
        with pytest.raises(error, match=said):
            _put(client, registry)


def test_redirect_of_a_write_is_not_followed() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.redirect("/manifests/", "/v2/other/manifests/v1")
        with pytest.raises(SigningError, match="status 307"):
            _put(client, registry)
        assert len(registry.requests) == 1


def test_writes_go_past_the_mirror() -> None:
    with RegistrySimulator() as registry, RegistrySimulator() as mirror:
        with client_for(registry, mirror, mirrors={registry.host: mirror.host}) as client:
            _put(client, registry)
        assert registry.manifest("team/app", "v1")[1] == MANIFEST
        assert not mirror.requests


def test_manifest_is_deleted_by_digest() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        writer_of(client).delete_manifest(repository_of(registry), digest)
        assert digest not in registry.repositories["team/app"].manifests
        with pytest.raises(NotFoundError):
            writer_of(client).delete_manifest(repository_of(registry), digest)


def test_registry_without_deletes_is_named_with_what_helps() -> None:
    with RegistrySimulator(deletes=False) as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        with pytest.raises(SigningError, match=r"does not delete .*UNSUPPORTED.*storage\.delete\.enabled"):
            writer_of(client).delete_manifest(repository_of(registry), digest)


def test_deletion_has_a_token_with_the_right_to_delete() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        writer, repository = writer_of(client, login(registry)), repository_of(registry)
        writer.put_blob(repository, b"a payload")
        writer.delete_manifest(repository, digest)
        assert digest not in registry.repositories["team/app"].manifests
        asked = [dict(request.query)["scope"] for request in registry.requests if request.path == "/token"]
        assert asked == ["repository:team/app:pull,push", "repository:team/app:delete"]


def test_signature_goes_through_the_extension_once() -> None:
    with OpenShiftSimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        body = encode({"schemaVersion": 2, "type": "atomic", "name": f"{digest}@{'a' * 32}", "content": "AA=="})
        writer_of(client).put_signature(repository_of(registry), digest, body)
        assert len(registry.signatures[digest]) == 1
        with pytest.raises(ConflictError, match="of that name already"):
            writer_of(client).put_signature(repository_of(registry), digest, body)


def test_signature_extension_names_the_role_and_what_to_use_instead() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        digest = registry.push_image("team/app", "v1")
        with pytest.raises(SigningError, match="does not have the signature extension"):
            writer_of(client).put_signature(repository_of(registry), digest, b"{}")
        registry.faults.add(_answer("PUT", "/extensions/", 403, "DENIED", "requested access is denied"))
        with pytest.raises(UnauthorizedError, match="oc adm policy add-cluster-role-to-user system:image-signer USER"):
            writer_of(client).put_signature(repository_of(registry), digest, b"{}")


def test_document_is_sent_with_the_rights_that_the_caller_names() -> None:
    with RegistrySimulator(auth=Auth("bearer", users=USERS)) as server, client_for(server) as client:
        url = f"{server.url}/v2/app/_trust/tuf/"
        response = writer_of(client, login(server)).send_document("DELETE", url, "app", actions="*", named=True)
        assert response.status == 404
        assert [dict(request.query)["scope"] for request in server.requests if request.path == "/token"] == [
            "repository:app:*"
        ]


def _redirect_upload(location: str) -> Fault:
    answer = Answer(202, {"Location": location})
    return Fault("/blobs/uploads/$", lambda _: answer, method="POST")
