"""Docker DTR and UCP: tags that the real notary signs, and a memory of their versions that outlives the webhook."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import NAMESPACE
from tests.data.notary.recording import ADMIN, EC, RELEASES, RSA, Notary
from tests.e2e import release
from tests.e2e.clusters import require_machine
from tests.e2e.images import PlainRegistry
from tests.e2e.kube import get, kubectl
from tests.e2e.servers import serve
from tests.support.real_tools.required import require_tool
from tests.support.signers.notary import certified
from tests.support.simulators.notary import NotaryRepository, NotarySimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.images import Image, Workshop
    from tests.e2e.teams import Team

STATE = f"{release.NAME}-trusted-state"
RECORD = re.compile(r"([0-9a-f]{64}) in ConfigMap ([-a-z0-9]+)/([-a-z0-9]+)")


@dataclass(frozen=True, slots=True)
class DTR:
    """A registry, the real notary beside it, and a namespace with UCP's rule: the release team and the admins.

    Attributes:
        notary: the server and the command.
        gun: the repository's full name.
        team: the namespace.
        workshop: makes images.
        folder: for manifests.
    """

    notary: Notary
    gun: str
    team: Team
    workshop: Workshop
    folder: Path

    def push(self, tag: str) -> Image:
        """Push an image that nobody has signed."""
        return self.workshop.push(f"{self.gun}:{tag}", tag)

    def sign(self, tag: str, image: Image, *roles: str) -> None:
        """Let roles name a tag with the digest of an image."""
        path = self.folder / f"{tag}.json"
        path.write_bytes(PlainRegistry(release.REGISTRY).manifest(image))
        self.notary.run("add", "-p", self.gun, tag, str(path), *(part for role in roles for part in ("-r", role)))

    def signed(self, tag: str, *roles: str) -> Image:
        """Push an image and have it signed."""
        image = self.push(tag)
        self.sign(tag, image, *roles)
        return image

    def begin(self) -> None:
        """Set up the repository's trust, with the root key that there is and both teams' keys."""
        self.notary.run("init", "-p", self.gun)
        self.notary.run("key", "rotate", self.gun, "snapshot", "-r")
        for role, name in ((RELEASES, "alice"), (ADMIN, "bob")):
            certificate = str(self.notary.folder / f"{name}.crt")
            self.notary.run("delegation", "add", "-p", self.gun, role, certificate, "--all-paths")


@pytest.fixture(scope="module")
def dtr(
    tmp_path_factory: pytest.TempPathFactory, workshop: Workshop, repository: str, new_module_team: Callable[[], Team]
) -> Iterator[DTR]:
    """Everything, with a policy in force."""
    for tool in ("notary", "notary-server", "openssl"):
        require_tool(tool)
    folder = tmp_path_factory.mktemp("notary")
    with Notary(folder, host=require_machine().address, name="notary.test") as notary:
        signers = {RELEASES: notary.signer("alice", EC), ADMIN: notary.signer("bob", RSA)}
        dtr = DTR(notary, f"{repository}/dtr", new_module_team(), workshop, folder)
        dtr.begin()
        root = next(line.split()[1] for line in notary.run("key", "list").splitlines() if line.startswith("root"))
        roles = [{"name": role, "keys": [{"pem": signer.certificate_pem}]} for role, signer in signers.items()]
        spec = {"server": notary.url, "ca": {"pem": notary.ca_pem}, "root": {"keyId": root}, "roles": roles}
        dtr.team.demand({"notary": spec})
        dtr.team.settle(dtr.push("probe").tagged, admitted=False)
        yield dtr


@dataclass(frozen=True, slots=True)
class Simulated:
    """A DTR that can go back in time: registry and notary in one, as DTR is.

    Attributes:
        server: the simulator; the node pulls from it.
        team: a namespace with the pin of its root.
        yesterday: its trust data before everything was signed again.
        images: by their tags, all of them signed yesterday and today.
    """

    server: NotarySimulator
    team: Team
    yesterday: NotaryRepository
    images: dict[str, Image]


@pytest.fixture(scope="module")
def simulated(workshop: Workshop, repository: str, new_module_team: Callable[[], Team]) -> Iterator[Simulated]:
    """Everything, with a policy in force."""
    host, _, port = release.DTR.partition(":")
    now = datetime.now(UTC)
    path = f"{repository.partition('/')[2]}/nginx"
    gun = f"{release.DTR}/{path}"
    with serve(NotarySimulator, host, int(port)) as server:
        images = {tag: workshop.push(f"{gun}:{tag}", tag) for tag in ("1", "2", "3", "unsigned")}
        root = certified(gun, begins=now - timedelta(days=1), ends=now + timedelta(days=1))
        trust = server.host_repository(NotaryRepository(gun, now, root))
        for tag in ("1", "2", "3"):
            trust.sign_tag(tag, server.manifest(path, tag)[1], "targets")
        yesterday = trust.publish().copy()
        trust.bump("timestamp", "snapshot", "targets")
        trust.publish()
        team = new_module_team()
        team.demand({"notary": {"server": server.url, "root": {"pem": root.certificate_pem}}})
        team.settle(images["unsigned"].tagged, admitted=False)
        yield Simulated(server, team, yesterday, images)


def test_a_tag_that_both_roles_sign_runs(dtr: DTR) -> None:
    dtr.team.runs(dtr.signed("1", RELEASES, ADMIN))


def test_other_tags_are_refused(dtr: DTR) -> None:
    dtr.team.refuses(dtr.push("2").tagged, "NoSignature")
    dtr.team.refuses(dtr.signed("3", RELEASES).tagged, "NoSignature", ADMIN)
    dtr.team.refuses(dtr.signed("4", ADMIN).tagged, "NoSignature", RELEASES)


def test_a_tag_that_was_signed_for_another_image_is_refused(dtr: DTR) -> None:
    dtr.sign("5", dtr.push("something-else"), RELEASES, ADMIN)
    dtr.team.refuses(dtr.push("5").tagged, "DigestMismatch")


def test_a_digest_without_its_tag_is_refused(dtr: DTR) -> None:
    image = dtr.signed("6", RELEASES, ADMIN)
    dtr.team.refuses(image.by_digest, "NoSignature", "allowAnyTag")
    dtr.team.runs(image)


def test_a_signature_that_is_taken_back_counts_no_more(dtr: DTR) -> None:
    image = dtr.signed("7", RELEASES, ADMIN)
    dtr.notary.run("remove", "-p", dtr.gun, "7", "-r", ADMIN)
    dtr.team.refuses(image.tagged, "NoSignature", ADMIN)


def test_without_roles_targets_count_as_for_docker_itself(simulated: Simulated) -> None:
    simulated.team.runs(simulated.images["1"])
    simulated.team.refuses(simulated.images["unsigned"].tagged, "NoSignature")


def test_versions_are_remembered_in_the_config_maps_of_the_release(dtr: DTR, simulated: Simulated) -> None:
    records = [json.loads(text) for shard in _shards() for text in (shard.get("data") or {}).values()]
    remembered = {record["name"]: record["versions"] for record in records}
    assert remembered[dtr.gun]["timestamp"] > 1
    assert remembered[simulated.yesterday.gun] == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2}
    assert simulated.yesterday.signed["timestamp"]["version"] == 1


def test_a_repository_that_is_made_anew_or_set_back_is_refused_by_every_replica(dtr: DTR, simulated: Simulated) -> None:
    dtr.notary.run("delete", dtr.gun, "--remote")
    dtr.begin()
    # Signed by the same people as before, by the root key that is pinned.
    dtr.team.refuses(dtr.signed("8", RELEASES, ADMIN).tagged, "Rollback", f"ConfigMap {NAMESPACE}/{STATE}-")
    simulated.server.host_repository(simulated.yesterday)
    simulated.team.refuses(simulated.images["2"].tagged, "Rollback", f"ConfigMap {NAMESPACE}/{STATE}-")


def test_a_new_webhook_remembers_as_well(dtr: DTR, simulated: Simulated) -> None:
    before = [pod["metadata"]["name"] for pod in release.pods("webhook")]
    release.restart("webhook")
    release.settled()
    # Replicas on their way out answer a little longer, as they did before.
    kubectl("-n", NAMESPACE, "wait", "--for=delete", "--timeout=60s", *(f"pod/{name}" for name in before)).checked()
    # What was admitted before the restart too: nothing is left of that answer.
    for image in (dtr.signed("1", RELEASES, ADMIN), dtr.push("8")):
        dtr.team.refuses(image.tagged, "Rollback")
    for tag in ("1", "2", "3"):
        simulated.team.refuses(simulated.images[tag].tagged, "Rollback")


def test_a_record_that_is_removed_on_purpose_lets_the_new_repository_in(dtr: DTR, simulated: Simulated) -> None:
    image = dtr.signed("9", RELEASES, ADMIN)
    found = RECORD.search(dtr.team.refuses(image.tagged, "Rollback"))
    assert found is not None
    key, namespace, name = found.groups()
    patch = json.dumps([{"op": "remove", "path": f"/data/{key}"}])
    kubectl("-n", namespace, "patch", "configmap", name, "--type=json", "-p", patch).checked()
    dtr.team.runs(dtr.signed("10", RELEASES, ADMIN))
    # The other repository's record is another one.
    simulated.team.refuses(simulated.images["3"].tagged, "Rollback")


def _shards() -> list[Any]:
    found = get("configmaps", "-n", NAMESPACE)["items"]
    return [shard for shard in found if shard["metadata"]["name"].startswith(f"{STATE}-")]
