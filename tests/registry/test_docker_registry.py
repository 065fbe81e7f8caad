"""The client against Debian's docker-registry: plain HTTP, no referrers API, htpasswd authentication."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import NotFoundError, UnauthorizedError, VerificationError
from sealgate.references import Repository
from sealgate.registry.credentials import CredentialChain
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.support.environments.registry_clients import client_for, docker_config, session_of
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.simulators.http_messages import encode
from tests.support.simulators.registry import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from sealgate.references import Digest

pytestmark = pytest.mark.real

#: The password is "s3cret".
HTPASSWD = "robot:$2b$05$wpnVnahdtf5u0qHj8lvDruHjvEI90IiFz8xNyFGP.Q.j..jOclG1G\n"
PAYLOAD = b"a payload"


def _fill(registry: DockerRegistry) -> tuple[Digest, Digest]:
    """Push an image and something that refers to it; return both digests."""
    config = registry.push_blob("team/app", b"{}")
    registry.push_blob("team/app", PAYLOAD)
    descriptor = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2}
    image = encode({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor, "layers": []})
    subject = registry.push_manifest("team/app", "v1", image)
    about = {"mediaType": OCI_MANIFEST, "digest": subject, "size": len(image)}
    referrer = encode({**_document(descriptor), "subject": about})
    digest = registry.push_manifest("team/app", None, referrer)
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(referrer), "artifactType": "x/y"}
    index = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]})
    registry.push_manifest("team/app", subject.replace(":", "-"), index, OCI_INDEX)
    return subject, digest


def _document(config: dict[str, object]) -> dict[str, object]:
    return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}


def test_every_kind_of_read_works_with_a_real_registry(tmp_path: Path) -> None:
    with DockerRegistry(tmp_path) as registry, client_for(insecure=frozenset({registry.host})) as client:
        subject, referrer = _fill(registry)
        session, repository = session_of(client), Repository(registry.host, "team/app")
        assert session.manifest(repository, "v1").digest == session.resolve(repository, "v1") == subject
        session.confirm(repository, subject)
        assert session.manifest(repository, subject) == session.manifest(repository, "v1")
        assert session.blob(repository, digest_of(PAYLOAD), 100) == PAYLOAD
        assert [found.digest for found in session.referrers(repository, digest_of(b""), 10)] == []
        found = session.referrers(repository, session.manifest(repository, "v1").digest, 10)
        assert [(descriptor.digest, descriptor.artifact_type) for descriptor in found] == [(referrer, "x/y")]
        for read in (session.manifest, session.resolve):
            with pytest.raises(NotFoundError):
                read(repository, "v2")
        with pytest.raises(NotFoundError):
            session.confirm(repository, digest_of(b"absent"))
        with pytest.raises(NotFoundError):
            session.blob(repository, digest_of(b"no such blob"), 100)
        with pytest.raises(VerificationError):
            session.blob(repository, digest_of(PAYLOAD), 3)


def test_passwords_of_the_real_registry(tmp_path: Path) -> None:
    with DockerRegistry(tmp_path) as registry:
        _fill(registry)
    users = tmp_path / "htpasswd"
    users.write_text(HTPASSWD)
    auth = f"auth: {{htpasswd: {{realm: a realm, path: {users}}}}}\n"
    with (
        DockerRegistry(tmp_path, more=auth) as registry,
        client_for(insecure=frozenset({registry.host})) as client,
    ):
        repository = Repository(registry.host, "team/app")
        good = docker_config({registry.host: {"username": "robot", "password": "s3cret"}})
        assert session_of(client, good).manifest(repository, "v1").media_type == OCI_MANIFEST
        assert session_of(client, good).blob(repository, digest_of(PAYLOAD), 100) == PAYLOAD
        bad = docker_config({registry.host: {"username": "robot", "password": "guess"}})
        for credentials in (bad, None):
            with pytest.raises(UnauthorizedError):
                session_of(client, credentials).manifest(repository, "v1")
        several = CredentialChain([bad, good])
        assert session_of(client, several).resolve(repository, "v1")
        assert session_of(client, several).manifest(repository, "v1").media_type == OCI_MANIFEST


def test_tags_and_repositories_of_a_real_registry_are_listed(tmp_path: Path) -> None:
    with DockerRegistry(tmp_path) as registry, client_for(insecure=frozenset({registry.host})) as client:
        config = registry.push_blob("team/app", b"{}")
        descriptor = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2}
        for tag in ("1", "2", "3", "4", "5"):
            registry.push_manifest("team/app", tag, encode(_document(descriptor)))
        lists = client.tag_lists(CredentialChain([]), Deadline.after(SystemClock(), 30.0))
        assert sorted(lists.tags(Repository(registry.host, "team/app"), 10)) == registry.tags("team/app")
        with pytest.raises(NotFoundError):
            lists.tags(Repository(registry.host, "team/none"), 10)
        catalogs = client.catalogs(CredentialChain([]), Deadline.after(SystemClock(), 30.0))
        assert catalogs.repositories(registry.host, 10) == (Repository(registry.host, "team/app"),)
