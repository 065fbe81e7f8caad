"""Amazon ECR with the IAM role of the webhook's ServiceAccount, set up by values of the chart alone.

Registry, ECR's API and STS have their real names and fixed addresses: the cluster's DNS leads them to a simulator that
checks each signature as AWS does, as a private endpoint would, and `registries.ca` names its CA. STS asks the API
server for whom a token was issued, and the role trusts the webhook's ServiceAccount alone. What EKS writes into pods
(two variables, and a token of the ServiceAccount) is in `webhook.env` and `webhook.extraVolumes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.clusters import require_machine
from tests.e2e.kube import api
from tests.e2e.objects import pod
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.aws_ecr import REGISTRY
from tests.support.simulators.aws_kms import ROLE
from tests.support.simulators.ecr_registry import API, NAMES, OTHER, STS, ECRRegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

PATH = "team/app"
SIGNED, UNSIGNED = f"{REGISTRY}/{PATH}:signed", f"{REGISTRY}/{PATH}:unsigned"
AUDIENCE = "sts.amazonaws.com"
SUBJECT = f"system:serviceaccount:{NAMESPACE}:{release.NAME}-webhook"
FOLDER = "/var/run/secrets/eks.amazonaws.com/serviceaccount"


class Trust:
    """The trust policy of the role: whose tokens it takes.

    Attributes:
        subject: the user for whom the API server issued a token; empty for none.
        presented: the users whose tokens were presented.
    """

    def __init__(self) -> None:
        self.subject = ""
        self.presented: set[str] = set()

    def __call__(self, token: str) -> bool:
        """Ask the API server whose token it is."""
        review: Object = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        answer = api().send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).checked().document
        user = answer["status"]["user"]["username"] if answer["status"].get("authenticated") else "unknown"
        self.presented.add(user)
        return bool(user == self.subject)


@pytest.fixture(scope="module")
def trust() -> Trust:
    """The role, which trusts no token at first."""
    return Trust()


@pytest.fixture(scope="module")
def registry(trust: Trust) -> Iterator[ECRRegistrySimulator]:
    """The registry of two accounts, with a release that lists the first one."""
    address = require_machine().address
    with ECRRegistrySimulator(trust, address=address, port=443, tls=True, names=NAMES) as registry:
        release.upgrade(_values(registry.ca_pem))
        try:
            release.wait_for_old_replicas()
            yield registry
        finally:
            release.rollback()


def _values(ca: str) -> Object:
    given = release.values()["webhook"]
    token: Object = {"serviceAccountToken": {"path": "token", "audience": AUDIENCE, "expirationSeconds": 3600}}
    volume: Object = {"name": "aws-iam-token", "projected": {"sources": [token]}}
    mount: Object = {"name": "aws-iam-token", "mountPath": FOLDER, "readOnly": True}
    environ = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": f"{FOLDER}/token"}
    return {
        "registries": {
            "ca": dict.fromkeys(NAMES, ca),
            "private": [OTHER],
            "platformCredentials": [{"provider": "aws", "hosts": [REGISTRY]}],
        },
        "webhook": {
            "env": [{"name": name, "value": value} for name, value in environ.items()],
            "extraVolumes": [*given["extraVolumes"], volume],
            "extraVolumeMounts": [*given["extraVolumeMounts"], mount],
        },
    }


@pytest.fixture(scope="module")
def team(registry: ECRRegistrySimulator, new_module_team: Callable[[], Team]) -> Team:
    """A namespace without any pull secret, which requires a signature."""
    key = new_key("EC_P256")
    push_classic(registry, PATH, Classic(registry.push_image(PATH, "signed"), key))
    registry.push_image(PATH, "unsigned")
    team = new_module_team()
    team.require_signature({"pem": public_pem(key)}, probe=f"{OTHER}/{PATH}:signed")
    return team


def test_registry_that_the_release_does_not_list_is_sent_no_credential(
    team: Team, registry: ECRRegistrySimulator, trust: Trust
) -> None:
    team.expect_denied(f"{OTHER}/{PATH}:signed", "RegistryUnauthorized")
    assert {request.headers["host"] for request in registry.requests} == {OTHER}
    assert not trust.presented


def test_image_is_denied_while_the_role_does_not_trust_the_webhook(team: Team, trust: Trust) -> None:
    said = team.expect_denied(
        SIGNED,
        "RegistryUnavailable",
        f"no pull credentials for {REGISTRY} by the IAM role {ROLE}",
        "AWS STS answers 400",
    )
    assert "let the role trust the ServiceAccount, and permit it ecr:GetAuthorizationToken" in said
    assert trust.presented == {SUBJECT}


def test_image_is_admitted_with_the_credential(team: Team, registry: ECRRegistrySimulator, trust: Trust) -> None:
    trust.subject = SUBJECT
    team.wait_for_decision(SIGNED, admitted=True)
    team.create(pod("app", SIGNED)).checked()
    assert {request.headers["host"] for request in registry.requests} == {OTHER, REGISTRY, STS, API}
    # One password for each replica, which all of its reviews share.
    assert 1 <= len(registry.api.passwords) <= 2
    issued = 'sealgate_pull_credential_requests_total{provider="aws",result="issued"}'
    assert sum(samples.get(issued, 0) for samples in release.metrics("webhook")) == len(registry.api.passwords)


def test_unsigned_image_is_denied_with_the_credential(team: Team, registry: ECRRegistrySimulator) -> None:
    said = team.expect_denied(UNSIGNED, "NoSignature")
    assert not [password for password in registry.api.passwords if password in said]
