"""Policies are not bypassed by a false tag beside a digest, nor if this release cannot read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e import release
from tests.e2e.kube import apply, condition, eventually, get, kubectl
from tests.e2e.objects import authenticator, pod, policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.images import ImageBuilder
    from tests.e2e.teams import Team

CRD = "verificationpolicies.sealgate.dev"
SCHEMA = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-preserve-unknown-fields"
#: Label of policies that are not sent to the webhook for policy objects.
UNCHECKED = "e2e.sealgate.dev/unchecked"


def test_attack_43_false_tag_with_digest_bypasses_no_policy(
    new_team: Callable[[], Team], samples: SampleImages, image_builder: ImageBuilder, repository: str
) -> None:
    team = new_team()
    debug = image_builder.push(f"{repository}/tools:debug", "tools")
    tagged = policy(team.name, [team.name], team.name)
    tagged["spec"]["images"] = [{"repository": "**", "tags": ["1", "debug"]}]
    tagged["spec"]["excludeImages"] = [{"repository": "**", "tags": ["debug"]}]
    # Covers the images that the first policy excludes, so that they are pinned.
    audit = policy(f"{team.name}-audit", [team.name], team.name, "Audit")
    team.authenticators.append(audit["metadata"]["name"])
    # Watches report changes in their order: when the second policy is in force, the first one is too.
    apply(authenticator(team.name, samples.key.entry), audit, tagged).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)

    for tag in ("made-up", "debug"):
        done = team.create(pod("bad", f"{samples.unsigned.name}:{tag}@{samples.unsigned.digest}"))
        assert not done.ok
        assert f"tag {tag} does not name this digest" in done.err
    assert not team.create(pod("bad", samples.unsigned.by_digest)).ok
    team.create(pod("excluded", debug.tagged)).checked()
    assert team.get("pod/excluded")["spec"]["containers"][0]["image"] == f"{debug.tagged}@{debug.digest}"
    team.create(pod("good", f"{samples.signed.tagged}@{samples.signed.digest}")).checked()


@pytest.fixture
def later_release() -> Iterator[str]:
    """Make the API server store unknown fields of policies with a label, as a later release would; return the label."""
    selector = {"matchExpressions": [{"key": UNCHECKED, "operator": "DoesNotExist"}]}
    try:
        _patch("crd", CRD, {"op": "add", "path": SCHEMA, "value": True})
        _select(selector)
        yield UNCHECKED
    finally:
        _select({})
        _patch("crd", CRD, {"op": "remove", "path": SCHEMA})


def _select(selector: object) -> None:
    kind = "validatingwebhookconfigurations"
    for configuration in get(kind, "-l", f"app.kubernetes.io/instance={release.NAME}")["items"]:
        for index, hook in enumerate(configuration["webhooks"]):
            if hook["name"] == "policies.sealgate.dev":
                path = f"/webhooks/{index}/objectSelector"
                _patch(kind, configuration["metadata"]["name"], {"op": "add", "path": path, "value": selector})


def _patch(kind: str, name: str, operation: dict[str, object]) -> None:
    kubectl("patch", kind, name, "--type=json", "-p", json.dumps([operation])).checked()


def test_attack_45_unreadable_policy_denies_every_image(
    team: Team, new_team: Callable[[], Team], samples: SampleImages, later_release: str
) -> None:
    name = f"{team.name}-later"
    later = policy(name, [team.name], team.name)
    later["metadata"]["labels"] = {later_release: "true"}
    later["spec"]["fieldOfALaterRelease"] = True
    neighbour = new_team()
    neighbour.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
    team.create(pod("before", samples.signed.tagged)).checked()
    try:
        eventually(lambda: apply(later).ok, "the API server takes the policy")
        team.wait_for_decision(samples.signed.tagged, admitted=False)
        done = team.create(pod("after", samples.signed.tagged))
        assert f"policy {name} cannot be read" in done.err
        assert f"kubectl delete vpol {name}" in done.err
        neighbour.create(pod("app", samples.signed.tagged)).checked()
        eventually(lambda: _refusal(name), "the policy is not Ready because of the field")
    finally:
        kubectl("delete", "vpol", name, "--ignore-not-found").checked()
    team.wait_for_decision(samples.signed.tagged, admitted=True)


def _refusal(name: str) -> bool:
    """Return whether a policy is not Ready because of its unknown field, rather than because of the webhook."""
    ready = condition("verificationpolicy", name)
    return ready.get("status") == "False" and "fieldOfALaterRelease" in ready["message"]
