"""How a notary server is asked: tokens and passwords, private authorities, and answers that are none."""

from __future__ import annotations

import pytest

from sealgate.errors import NotFoundError, RateLimitedError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.formats.notary.limits import LIMITS
from sealgate.reasons import Reason
from tests.support.environments.notary import PATH, NotaryWorld
from tests.support.environments.registry_clients import docker_config, login, session_of
from tests.support.simulators.registry_auth import Auth

USERS = {"robot": "s3cret"}


def protected(mode: str, *, anonymous: bool = False, **options: bool) -> NotaryWorld:
    auth = Auth(mode=mode, users=dict(USERS), anonymous=anonymous)
    world = NotaryWorld(dtr_options={"auth": auth, **options})
    world.credentials = login(world.dtr)
    return world


def test_a_token_is_fetched_for_the_repository_s_full_name_by_the_server_s_own_challenge() -> None:
    with protected("bearer") as world:
        world.verify()
        scopes = {scope for granted in world.dtr.auth.issued.values() for scope in granted}
        assert f"repository:{world.repository.gun}:pull" in scopes
        assert scopes == {f"repository:{world.repository.gun}:pull", f"repository:{PATH}:pull"}
        # One token for the trust data, one for the manifest, however many files are asked for.
        assert world.dtr.paths.count("/token") == 2


def test_a_public_repository_needs_no_credentials() -> None:
    with NotaryWorld(dtr_options={"auth": Auth(mode="bearer", anonymous=True)}) as world:
        world.verify()


def test_a_password_is_given_where_a_server_asks_for_one() -> None:
    with protected("basic") as world:
        world.verify()


def test_credentials_kept_for_a_path_of_the_registry_are_those_of_its_trust_data() -> None:
    with NotaryWorld(dtr_options={"auth": Auth(mode="bearer", users=dict(USERS))}) as world:
        entry = {"username": "robot", "password": "s3cret"}
        world.credentials = docker_config({f"{world.dtr.host}/dev": entry})
        world.verify()
        world.credentials = docker_config({f"{world.dtr.host}/ops": entry})
        with pytest.raises(UnauthorizedError):
            world.verify()


@pytest.mark.parametrize("mode", ["bearer", "basic"])
def test_without_the_right_credentials_nothing_is_found_out(mode: str) -> None:
    with protected(mode) as world:
        world.credentials = login(world.dtr, password="wrong")
        with pytest.raises(UnauthorizedError):
            world.verify()


@pytest.mark.parametrize("auth", [Auth(), Auth(mode="bearer", users=dict(USERS))])
def test_a_private_authority_of_the_server_is_given_with_the_server(auth: Auth) -> None:
    with NotaryWorld(dtr_options={"tls": True, "auth": auth}) as world:
        world.credentials = login(world.dtr)
        ca = {"pem": world.dtr.ca_pem}
        sources = world.sources()
        world.check(ca=ca).verify(world.image(), sources)


def test_the_authority_of_the_server_holds_for_its_own_token_service_too() -> None:
    """The registry settings know nothing of it: only the authenticator does."""
    auth = Auth(mode="bearer", users=dict(USERS))
    with NotaryWorld(dtr_options={"tls": True, "auth": auth}, trust_registry=False) as world:
        session = session_of(world.client, login(world.dtr))
        url = f"{world.dtr.url}/v2/{world.repository.gun}/_trust/tuf/root.json"
        data = session.document(url, world.repository.gun, limit=LIMITS.root_bytes, ca=world.dtr.ca_pem)
        assert data == world.repository.files["root"]
        with pytest.raises(UnavailableError, match="certificate"):
            session.document(url, world.repository.gun, limit=LIMITS.root_bytes)


def test_an_authority_that_does_not_parse_leaves_the_authenticator_not_ready() -> None:
    with NotaryWorld(dtr_options={"tls": True}) as world, pytest.raises(UnavailableError) as caught:
        world.verify(ca={"pem": "not a certificate"})
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY


@pytest.mark.parametrize("status", [500, 502, 503, 400, 418])
def test_a_server_that_fails_means_unavailable(world: NotaryWorld, status: int) -> None:
    for name in ("root.json", "timestamp.json", r"targets\."):
        world.dtr.faults.clear()
        world.dtr.faults.status(name, status)
        with pytest.raises(UnavailableError) as caught:
            world.verify()
        assert not isinstance(caught.value, NotFoundError)


@pytest.mark.parametrize("name", ["timestamp.json", r"snapshot\.", r"tuf/targets\.", r"releases\."])
def test_a_file_that_others_promise_and_the_server_has_not_is_malformed_evidence(world: NotaryWorld, name: str) -> None:
    world.dtr.faults.status(name, 404)
    refusal = world.refuses(Reason.MALFORMED_EVIDENCE)
    assert "does not have it" in refusal.message


def test_a_forbidden_repository_is_not_an_unsigned_one(world: NotaryWorld) -> None:
    world.dtr.faults.status("root.json", 403)
    with pytest.raises(UnauthorizedError):
        world.verify()


def test_a_server_that_asks_to_come_back_later_is_heard(world: NotaryWorld) -> None:
    world.dtr.faults.rate_limit("timestamp.json", "120", times=None)
    with pytest.raises(RateLimitedError):
        world.verify()


def test_an_image_that_is_gone_is_not_verified(world: NotaryWorld) -> None:
    world.dtr.delete(PATH, world.digest)
    with pytest.raises(NotFoundError):
        world.verify()


def test_a_manifest_with_other_bytes_is_not_verified(world: NotaryWorld) -> None:
    world.dtr.faults.body(f"manifests/{world.digest}", world.manifest + b" ")
    with pytest.raises(VerificationError) as caught:
        world.verify()
    assert caught.value.reason is Reason.DIGEST_MISMATCH


def test_a_server_may_have_a_path_of_its_own(world: NotaryWorld) -> None:
    world.refuses(Reason.NO_SIGNATURE, server=f"{world.dtr.url}/notary/")
    assert world.dtr.paths == [f"/notary/v2/{world.repository.gun}/_trust/tuf/root.json"]
