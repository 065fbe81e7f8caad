"""Requests to a notary server: tokens and passwords, private CAs, and invalid responses."""

from __future__ import annotations

import pytest

from sealgate.errors import NotFoundError, RateLimitedError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.formats.notary.limits import LIMITS
from sealgate.reasons import Reason
from tests.support.environments.notary import PATH, NotaryEnvironment
from tests.support.environments.registry_clients import docker_config, login, session_of
from tests.support.simulators.registry_auth import Auth

USERS = {"robot": "s3cret"}


def protected(mode: str, *, anonymous: bool = False, **options: bool) -> NotaryEnvironment:
    auth = Auth(mode=mode, users=dict(USERS), anonymous=anonymous)
    environment = NotaryEnvironment(dtr_options={"auth": auth, **options})
    environment.credentials = login(environment.dtr)
    return environment


def test_token_scope_is_the_full_name_from_the_server_challenge() -> None:
    with protected("bearer") as environment:
        environment.verify()
        scopes = {scope for granted in environment.dtr.auth.issued.values() for scope in granted}
        assert f"repository:{environment.repository.gun}:pull" in scopes
        assert scopes == {f"repository:{environment.repository.gun}:pull", f"repository:{PATH}:pull"}
        # One token for all trust data files, one for the manifest.
        assert environment.dtr.paths.count("/token") == 2


def test_a_public_repository_needs_no_credentials() -> None:
    with NotaryEnvironment(dtr_options={"auth": Auth(mode="bearer", anonymous=True)}) as environment:
        environment.verify()


def test_password_is_sent_if_the_server_requires_one() -> None:
    with protected("basic") as environment:
        environment.verify()


def test_credentials_of_a_registry_path_apply_to_its_trust_data() -> None:
    with NotaryEnvironment(dtr_options={"auth": Auth(mode="bearer", users=dict(USERS))}) as environment:
        entry = {"username": "robot", "password": "s3cret"}
        environment.credentials = docker_config({f"{environment.dtr.host}/dev": entry})
        environment.verify()
        environment.credentials = docker_config({f"{environment.dtr.host}/ops": entry})
        with pytest.raises(UnauthorizedError):
            environment.verify()


@pytest.mark.parametrize("mode", ["bearer", "basic"])
def test_wrong_credentials_are_unauthorized(mode: str) -> None:
    with protected(mode) as environment:
        environment.credentials = login(environment.dtr, password="wrong")
        with pytest.raises(UnauthorizedError):
            environment.verify()


@pytest.mark.parametrize("auth", [Auth(), Auth(mode="bearer", users=dict(USERS))])
def test_private_ca_of_the_server_is_configured_with_the_server(auth: Auth) -> None:
    with NotaryEnvironment(dtr_options={"tls": True, "auth": auth}) as environment:
        environment.credentials = login(environment.dtr)
        ca = {"pem": environment.dtr.ca_pem}
        sources = environment.sources()
        environment.check(ca=ca).verify(environment.image(), sources)


def test_ca_of_the_server_also_covers_its_token_service() -> None:
    """Only the authenticator has this CA; the registry settings do not."""
    auth = Auth(mode="bearer", users=dict(USERS))
    with NotaryEnvironment(dtr_options={"tls": True, "auth": auth}, trust_registry=False) as environment:
        session = session_of(environment.client, login(environment.dtr))
        url = f"{environment.dtr.url}/v2/{environment.repository.gun}/_trust/tuf/root.json"
        data = session.document(url, environment.repository.gun, limit=LIMITS.root_bytes, ca=environment.dtr.ca_pem)
        assert data == environment.repository.files["root"]
        with pytest.raises(UnavailableError, match="certificate"):
            session.document(url, environment.repository.gun, limit=LIMITS.root_bytes)


def test_unparsable_ca_makes_the_authenticator_not_ready() -> None:
    with NotaryEnvironment(dtr_options={"tls": True}) as environment, pytest.raises(UnavailableError) as caught:
        environment.verify(ca={"pem": "not a certificate"})
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY


@pytest.mark.parametrize("status", [500, 502, 503, 400, 418])
def test_failing_server_means_unavailable(environment: NotaryEnvironment, status: int) -> None:
    for name in ("root.json", "timestamp.json", r"targets\."):
        environment.dtr.faults.clear()
        environment.dtr.faults.status(name, status)
        with pytest.raises(UnavailableError) as caught:
            environment.verify()
        assert not isinstance(caught.value, NotFoundError)


@pytest.mark.parametrize("name", ["timestamp.json", r"snapshot\.", r"tuf/targets\.", r"releases\."])
def test_promised_file_that_is_missing_is_malformed_evidence(environment: NotaryEnvironment, name: str) -> None:
    environment.dtr.faults.status(name, 404)
    refusal = environment.refuses(Reason.MALFORMED_EVIDENCE)
    assert "does not have it" in refusal.message


def test_a_forbidden_repository_is_not_an_unsigned_one(environment: NotaryEnvironment) -> None:
    environment.dtr.faults.status("root.json", 403)
    with pytest.raises(UnauthorizedError):
        environment.verify()


def test_rate_limit_of_the_server_is_reported(environment: NotaryEnvironment) -> None:
    environment.dtr.faults.rate_limit("timestamp.json", "120", times=None)
    with pytest.raises(RateLimitedError):
        environment.verify()


def test_deleted_image_is_not_verified(environment: NotaryEnvironment) -> None:
    environment.dtr.delete(PATH, environment.digest)
    with pytest.raises(NotFoundError):
        environment.verify()


def test_a_manifest_with_other_bytes_is_not_verified(environment: NotaryEnvironment) -> None:
    environment.dtr.faults.body(f"manifests/{environment.digest}", environment.manifest + b" ")
    with pytest.raises(VerificationError) as caught:
        environment.verify()
    assert caught.value.reason is Reason.DIGEST_MISMATCH


def test_a_server_may_have_a_path_of_its_own(environment: NotaryEnvironment) -> None:
    environment.refuses(Reason.NO_SIGNATURE, server=f"{environment.dtr.url}/notary/")
    assert environment.dtr.paths == [f"/notary/v2/{environment.repository.gun}/_trust/tuf/root.json"]
