"""Signing by policy: what is pushed to a real docker-registry is signed and runs; who may do what, by impersonation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.kube import apply, eventually, get, kubectl, wait_for_right
from tests.e2e.objects import authenticator
from tests.e2e.servers import ca_of, secrets
from tests.e2e.signing.environment import (
    EVENTS,
    SECONDS,
    SECRETS,
    TOKEN,
    WORKER,
    Signing,
    policy,
    states,
    wait_until_signed,
)
from tests.webhook.events.bodies import docker_body, docker_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.images import Image, ImageBuilder
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

COSIGN, SIMPLE = "e2e-cosign", "e2e-simple"


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Repositories that are signed.

    Attributes:
        cosign: prefix of those that are signed as cosign does.
        simple: prefix of those that are signed with OpenPGP.
    """

    cosign: str
    simple: str


@pytest.fixture(scope="module")
def prefixes(signing: Signing) -> Iterator[Prefixes]:
    """Create a SigningPolicy for each of two formats."""
    key = {"secretRef": {"name": "release-pgp", "key": "key.asc"}}
    with (
        signing.policy(COSIGN) as cosign,
        signing.policy(SIMPLE, simpleSigning={"store": _store(signing)}, key=key) as simple,
    ):
        yield Prefixes(cosign, simple)


def _store(signing: Signing) -> Object:
    """Return the store of OpenPGP signatures, as policies name it."""
    server = signing.services.lookaside
    return {"lookaside": {"url": f"{server.url}/sigstore", "ca": ca_of(server)}}


@pytest.fixture(scope="module")
def cosign_team(signing: Signing, unsigned: Image, new_module_team: Callable[[], Team]) -> Team:
    """A namespace whose policy requires a signature by the key that signs."""
    team = new_module_team()
    team.require_signature({"pem": signing.pem}, probe=unsigned.tagged)
    return team


@pytest.mark.usefixtures("prefixes")
def test_policies_are_ready() -> None:
    for name in (COSIGN, SIMPLE):
        conditions = {item["type"]: item for item in get("signingpolicy", name)["status"]["conditions"]}
        assert conditions["Ready"]["status"] == "True", conditions
    assert COSIGN in kubectl("get", "spol").checked().out


def test_pushed_image_is_signed_as_cosign_does_and_runs(
    prefixes: Prefixes, cosign_team: Team, image_builder: ImageBuilder
) -> None:
    image = image_builder.push(f"{prefixes.cosign}/app:1", "app")
    wait_until_signed(image.tagged)
    cosign_team.wait_for_decision(image.tagged, admitted=True)
    cosign_team.expect_running(image)


def test_pushed_image_is_signed_with_openpgp_and_runs(
    signing: Signing, prefixes: Prefixes, image_builder: ImageBuilder, new_team: Callable[[], Team]
) -> None:
    team = new_team()
    keyring = {"secretRef": {"name": "e2e-keyring", "key": "release.asc"}}
    with secrets(e2e_keyring={"release.asc": signing.keyring.encode()}):
        team.require({"simpleSigning": {"keyring": keyring, "store": _store(signing)}})
        image = image_builder.push(f"{prefixes.simple}/api:1", "api")
        wait_until_signed(image.tagged)
        team.wait_for_decision(image.tagged, admitted=True)
        team.expect_running(image)
    assert any(path.endswith("/signature-1") for path in signing.services.lookaside.files)


def test_image_from_before_the_policy_is_signed_by_a_run_only(
    signing: Signing, prefixes: Prefixes, cosign_team: Team, image_builder: ImageBuilder
) -> None:
    name = "e2e-old"

    def ended() -> Any:  # noqa: ANN401 - any JSON
        run = get("signingpolicy", name)["status"].get("lastRun", {})
        return run.get("id") == "first" and run["state"] == "Ended" and run

    image = image_builder.push(f"{signing.run}/{name}/app:1", "old")
    # The registry reports pushes in their order: after this one, that of the old image has been reported.
    wait_until_signed(image_builder.push(f"{prefixes.cosign}/after-old:1", "after-old").tagged)
    with signing.policy(name) as prefix:
        newer = image_builder.push(f"{prefix}/app:2", "new")
        wait_until_signed(newer.tagged)
        cosign_team.wait_for_decision(newer.tagged, admitted=True)
        cosign_team.expect_denied(image.tagged, "NoSignature")
        kubectl("annotate", "spol", name, "sealgate.dev/run=first").checked()
        counts = eventually(ended, "the run has ended", SECONDS)["counts"]
    assert (counts["signed"], counts["failed"]) == (1, 0), counts
    cosign_team.wait_for_decision(image.tagged, admitted=True)
    cosign_team.expect_running(image)


def test_event_without_the_token_of_its_source_is_refused(signing: Signing, prefixes: Prefixes) -> None:
    repository = f"{prefixes.cosign}/forged"
    host, _, path = repository.partition("/")
    body = docker_body(docker_event(path, "1", host=host))
    with urllib3.PoolManager(cert_reqs="CERT_NONE", retries=False, timeout=20) as pool:
        for headers in ({}, {"Authorization": "Bearer other"}):
            answer = pool.request("POST", f"{signing.url}/events/main", body=body, headers=headers)
            assert answer.status == 401  # noqa: PLR2004 - HTTP's status
            assert TOKEN.encode() not in answer.data
    assert states(repository) == {}


@pytest.mark.usefixtures("signing")
def test_only_the_worker_can_read_the_secrets_that_sign() -> None:
    def may(component: str, verb: str, what: str, *options: str) -> bool:
        account = f"system:serviceaccount:{NAMESPACE}:{release.NAME}-{component}"
        done = kubectl("auth", "can-i", verb, what, *options, "-n", SECRETS, f"--as={account}")
        assert done.out.strip() in {"yes", "no"}, done.err
        return done.out.strip() == "yes"

    readers = [
        component
        for component in ("webhook", "operator", WORKER, EVENTS)
        if may(component, "get", "secrets/release-key")
    ]
    assert readers == [WORKER]
    assert not may(WORKER, "list", "secrets")
    assert not may(WORKER, "get", "secrets/another")
    assert not may("operator", "get", "signingpolicies")


@pytest.mark.usefixtures("signing")
def test_policy_editor_cannot_write_signing_policies() -> None:
    role = f"{release.NAME}-policy-editor"
    names = {"e2e-editor": role, "e2e-releaser": f"{release.NAME}-signing-editor"}
    for user, bound in names.items():
        kubectl("create", "clusterrolebinding", user, f"--clusterrole={bound}", f"--user={user}").checked()
    try:
        wait_for_right("e2e-editor", "create", "authenticators")
        wait_for_right("e2e-releaser", "create", "signingpolicies")
        for user, allowed in (("e2e-editor", "no"), ("e2e-releaser", "yes")):
            for verb in ("create", "patch", "delete"):
                assert kubectl("auth", "can-i", verb, "signingpolicies", f"--as={user}").out.strip() == allowed
        assert kubectl("auth", "can-i", "create", "authenticators", "--as=e2e-releaser").out.strip() == "no"
    finally:
        kubectl("delete", "clusterrolebinding", *names)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": [{"repository": "*/shop/*"}]}, "names its registry with a wildcard"),
        ({"cosign": None}, "set exactly one format"),
        ({"key": {"authenticator": "e2e-inline", "credentialsSecret": {"name": "a"}}}, "key management service"),
    ],
)
def test_signing_policy_that_cannot_work_is_refused_at_apply(signing: Signing, change: Object, said: str) -> None:
    obj = policy("e2e-refused", f"{signing.run}/refused")
    obj["spec"] = {name: value for name, value in {**obj["spec"], **change}.items() if value is not None}
    apply(authenticator("e2e-inline", {"pem": signing.pem})).checked()
    try:
        done = eventually(lambda: _refusal(obj, said), "the policy is refused")
        assert said in done
    finally:
        kubectl("delete", "authenticator", "e2e-inline")


def _refusal(obj: Object, said: str) -> str:
    """Return the refusal; empty while a replica does not know the Authenticator yet."""
    done = apply(obj, dry_run=True)
    return done.err if not done.ok and said in done.err else ""


@pytest.mark.usefixtures("prefixes")
def test_no_secret_is_in_status_events_or_logs() -> None:
    objects = kubectl("get", "spol,signingrequests,signingbaselines,events", "-A", "-o", "yaml").checked().out
    logs = "".join(
        kubectl("-n", NAMESPACE, "logs", f"deployment/{release.NAME}-{component}", "--all-pods", "--tail=-1")
        .checked()
        .out
        for component in (WORKER, EVENTS, "operator", "webhook")
    )
    for text in (objects, logs):
        assert COSIGN in text
        assert TOKEN not in text
        assert "PRIVATE KEY" not in text
