"""`cache.staleTagSeconds`: new pods of a known tag are admitted while the registry is down; without it they are not."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import release
from tests.e2e.kube import api, eventually
from tests.e2e.objects import pod
from tests.e2e.servers import serve
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team

HOST = release.OPENSHIFT
PATH = "team/app"
IMAGE = f"{HOST}/{PATH}:v1"
STALE_SECONDS = 600
EVERYTHING = "/"


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistrySimulator]:
    """A registry that can be stopped, reached by plain HTTP; pods of its images are created in dry runs only."""
    name, _, port = HOST.partition(":")
    with serve(RegistrySimulator, name, int(port)) as registry:
        yield registry


@pytest.fixture(scope="module")
def team(new_module_team: Callable[[], Team], samples: SampleImages, registry: RegistrySimulator) -> Team:
    """A namespace that requires a signature, which the registry's image has."""
    key = new_key("EC_P256")
    push_classic(registry, PATH, Classic(registry.push_image(PATH, "v1"), key))
    team = new_module_team()
    team.require_signature({"pem": public_pem(key)}, probe=samples.unsigned.tagged)
    return team


@pytest.fixture
def _enabled() -> Iterator[None]:
    release.upgrade({"cache": {"staleTagSeconds": STALE_SECONDS}})
    release.wait_for_old_replicas()
    yield
    release.rollback()


def test_tag_is_refused_without_the_option_while_its_registry_is_down(team: Team, registry: RegistrySimulator) -> None:
    team.wait_for_decision(IMAGE, admitted=True)
    registry.faults.drop(EVERYTHING)
    team.wait_for_decision(IMAGE, admitted=False)
    registry.faults.clear()
    team.wait_for_decision(IMAGE, admitted=True)


@pytest.mark.usefixtures("_enabled")
def test_known_tag_is_admitted_with_the_option_while_its_registry_is_down(
    team: Team, registry: RegistrySimulator, samples: SampleImages
) -> None:
    pinned = f"{IMAGE}@{registry.repositories[PATH].tags['v1']}"

    def served_by_age() -> bool:
        """Have each replica pin the tag, which it must do, and return whether both have done so by its age."""
        answers = release.review_on_each_replica(team.name, pod("app", IMAGE), "mutate")
        assert all(pinned in base64.b64decode(answer["patch"]).decode() for answer in answers)
        return len(answers) == 2 and all(map(_age, answers))

    team.wait_for_decision(IMAGE, admitted=True)
    # Each replica answers from what it has seen itself.
    assert not served_by_age()
    registry.close()
    eventually(served_by_age, "both replicas serve the tag by its age")
    assert all(map(_stale_tags, release.metrics("webhook")))
    # The whole way, through the API server: pinned by one webhook, admitted by the other.
    path = f"/api/v1/namespaces/{team.name}/pods?dryRun=All"
    created = api().send("POST", path, pod("app", IMAGE)).checked().document
    assert created["spec"]["containers"][0]["image"] == pinned
    # What the registry never answered about, and what another registry denies, is as before.
    team.wait_for_decision(f"{HOST}/{PATH}:v2", admitted=False)
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)


def _age(answer: Mapping[str, Any]) -> str:
    """Return what the audit annotations say about the age of the image's digest; empty if it is not old."""
    annotations = answer.get("auditAnnotations") or {}
    about = f"{IMAGE}: the registry cannot be reached; it answered "
    return next((text for key, text in annotations.items() if key.startswith("stale.") and text.startswith(about)), "")


def _stale_tags(samples: Mapping[str, float]) -> float:
    """Return how many tags a replica has served by their age."""
    return sum(value for sample, value in samples.items() if sample.startswith("sealgate_stale_tags_total{"))
