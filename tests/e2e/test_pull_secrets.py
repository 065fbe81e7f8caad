"""A registry with a password: the pull secrets of the pod and of its ServiceAccount are used, no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.objects import pod, workload
from tests.e2e.private_registry import PASSWORD, give_secret, private

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import SampleImages
    from tests.e2e.images import Image
    from tests.e2e.teams import Team

__all__ = ["private"]


def test_private_image_without_credentials_is_denied(team: Team, private: Image) -> None:
    said = team.expect_denied(private.tagged, "RegistryUnauthorized")
    assert PASSWORD not in said


def test_pull_secret_of_the_pod_is_used(team: Team, private: Image) -> None:
    give_secret(team)
    team.create(pod("app", private.tagged, imagePullSecrets=[{"name": "pull"}])).checked()
    team.wait("condition=Ready", "pod/app")
    assert team.get("pod/app")["status"]["containerStatuses"][0]["imageID"].endswith(private.digest)


def test_pull_secret_of_the_service_account_is_used(team: Team, private: Image) -> None:
    give_secret(team)
    patch = '{"imagePullSecrets": [{"name": "pull"}]}'
    team.kubectl("patch", "serviceaccount", "default", "-p", patch).checked()
    team.create(workload("Deployment", "app", private.tagged)).checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=150s").checked()


def test_secret_of_another_namespace_is_not_used(
    team: Team, new_team: Callable[[], Team], samples: SampleImages, private: Image
) -> None:
    give_secret(team)
    team.create(pod("app", private.tagged, imagePullSecrets=[{"name": "pull"}])).checked()
    other = new_team()
    other.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
    done = other.create(pod("app", private.tagged, imagePullSecrets=[{"name": "pull"}]))
    assert not done.ok
