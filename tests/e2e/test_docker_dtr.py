"""Docker DTR and UCP: tags signed by the real notary, and rollback protection that survives webhook restarts."""

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

    from tests.e2e.images import Image, ImageBuilder
    from tests.e2e.teams import Team

STATE = f"{release.NAME}-trusted-state"
RECORD = re.compile(r"([0-9a-f]{64}) in ConfigMap ([-a-z0-9]+)/([-a-z0-9]+)")


@dataclass(frozen=True, slots=True)
class DTR:
    """A registry, the real notary, and a namespace that requires signatures of the release team and the admins.

    Attributes:
        notary: the server and the command.
        gun: the repository's full name.
        team: the namespace.
        image_builder: builds and pushes images.
        folder: for files of manifests.
    """

    notary: Notary
    gun: str
    team: Team
    image_builder: ImageBuilder
    folder: Path

    def push(self, tag: str) -> Image:
        """Push an unsigned image."""
        return self.image_builder.push(f"{self.gun}:{tag}", tag)

    def sign(self, tag: str, image: Image, *roles: str) -> None:
        """Sign a tag for the digest of an image, in the given roles."""
        path = self.folder / f"{tag}.json"
        path.write_bytes(PlainRegistry(release.REGISTRY).manifest(image))
        self.notary.run("add", "-p", self.gun, tag, str(path), *(part for role in roles for part in ("-r", role)))

    def signed(self, tag: str, *roles: str) -> Image:
        """Push an image and sign its tag."""
        image = self.push(tag)
        self.sign(tag, image, *roles)
        return image

    def begin(self) -> None:
        """Initialise the trust data of the repository, with the existing root key and the keys of both teams."""
        self.notary.run("init", "-p", self.gun)
        self.notary.run("key", "rotate", self.gun, "snapshot", "-r")
        for role, name in ((RELEASES, "alice"), (ADMIN, "bob")):
            certificate = str(self.notary.folder / f"{name}.crt")
            self.notary.run("delegation", "add", "-p", self.gun, role, certificate, "--all-paths")


@pytest.fixture(scope="module")
def dtr(
    tmp_path_factory: pytest.TempPathFactory,
    image_builder: ImageBuilder,
    repository: str,
    new_module_team: Callable[[], Team],
) -> Iterator[DTR]:
    """Start the servers, sign the tags and wait until the policy is in force."""
    for tool in ("notary", "notary-server", "openssl"):
        require_tool(tool)
    folder = tmp_path_factory.mktemp("notary")
    with Notary(folder, host=require_machine().address, name="notary.test") as notary:
        signers = {RELEASES: notary.signer("alice", EC), ADMIN: notary.signer("bob", RSA)}
        dtr = DTR(notary, f"{repository}/dtr", new_module_team(), image_builder, folder)
        dtr.begin()
        root = next(line.split()[1] for line in notary.run("key", "list").splitlines() if line.startswith("root"))
        roles = [{"name": role, "keys": [{"pem": signer.certificate_pem}]} for role, signer in signers.items()]
        spec = {"server": notary.url, "ca": {"pem": notary.ca_pem}, "root": {"keyId": root}, "roles": roles}
        dtr.team.require({"notary": spec})
        dtr.team.wait_for_decision(dtr.push("probe").tagged, admitted=False)
        yield dtr


@dataclass(frozen=True, slots=True)
class Simulated:
    """A DTR that can serve older trust data: registry and notary in one, as DTR is.

    Attributes:
        server: the simulator; the node pulls from it.
        team: a namespace that pins its root key.
        yesterday: its trust data before all metadata was signed again.
        images: by their tags, all of them signed yesterday and today.
    """

    server: NotarySimulator
    team: Team
    yesterday: NotaryRepository
    images: dict[str, Image]


@pytest.fixture(scope="module")
def simulated(image_builder: ImageBuilder, repository: str, new_module_team: Callable[[], Team]) -> Iterator[Simulated]:
    """Start the servers, sign the tags and wait until the policy is in force."""
    host, _, port = release.DTR.partition(":")
    now = datetime.now(UTC)
    path = f"{repository.partition('/')[2]}/nginx"
    gun = f"{release.DTR}/{path}"
    with serve(NotarySimulator, host, int(port)) as server:
        images = {tag: image_builder.push(f"{gun}:{tag}", tag) for tag in ("1", "2", "3", "unsigned")}
        root = certified(gun, begins=now - timedelta(days=1), ends=now + timedelta(days=1))
        trust = server.host_repository(NotaryRepository(gun, now, root))
        for tag in ("1", "2", "3"):
            trust.sign_tag(tag, server.manifest(path, tag)[1], "targets")
        yesterday = trust.publish().copy()
        trust.bump("timestamp", "snapshot", "targets")
        trust.publish()
        team = new_module_team()
        team.require({"notary": {"server": server.url, "root": {"pem": root.certificate_pem}}})
        team.wait_for_decision(images["unsigned"].tagged, admitted=False)
        yield Simulated(server, team, yesterday, images)


def test_tag_signed_by_both_roles_runs(dtr: DTR) -> None:
    dtr.team.expect_running(dtr.signed("1", RELEASES, ADMIN))


def test_tag_without_both_signatures_is_denied(dtr: DTR) -> None:
    dtr.team.expect_denied(dtr.push("2").tagged, "NoSignature")
    dtr.team.expect_denied(dtr.signed("3", RELEASES).tagged, "NoSignature", ADMIN)
    dtr.team.expect_denied(dtr.signed("4", ADMIN).tagged, "NoSignature", RELEASES)


def test_tag_signed_for_another_image_is_denied(dtr: DTR) -> None:
    dtr.sign("5", dtr.push("something-else"), RELEASES, ADMIN)
    dtr.team.expect_denied(dtr.push("5").tagged, "DigestMismatch")


def test_digest_without_its_tag_is_denied(dtr: DTR) -> None:
    image = dtr.signed("6", RELEASES, ADMIN)
    dtr.team.expect_denied(image.by_digest, "NoSignature", "allowAnyTag")
    dtr.team.expect_running(image)


def test_removed_signature_is_not_accepted(dtr: DTR) -> None:
    image = dtr.signed("7", RELEASES, ADMIN)
    dtr.notary.run("remove", "-p", dtr.gun, "7", "-r", ADMIN)
    dtr.team.expect_denied(image.tagged, "NoSignature", ADMIN)


def test_without_roles_the_targets_role_counts(simulated: Simulated) -> None:
    simulated.team.expect_running(simulated.images["1"])
    simulated.team.expect_denied(simulated.images["unsigned"].tagged, "NoSignature")


def test_metadata_versions_are_stored_in_configmaps(dtr: DTR, simulated: Simulated) -> None:
    records = [json.loads(text) for shard in _shards() for text in (shard.get("data") or {}).values()]
    stored = {record["name"]: record["versions"] for record in records}
    assert stored[dtr.gun]["timestamp"] > 1
    assert stored[simulated.yesterday.gun] == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2}
    assert simulated.yesterday.signed["timestamp"]["version"] == 1


def test_recreated_or_rolled_back_repository_is_denied(dtr: DTR, simulated: Simulated) -> None:
    dtr.notary.run("delete", dtr.gun, "--remote")
    dtr.begin()
    # Signed with the same keys as before, the pinned root key included.
    dtr.team.expect_denied(dtr.signed("8", RELEASES, ADMIN).tagged, "Rollback", f"ConfigMap {NAMESPACE}/{STATE}-")
    simulated.server.host_repository(simulated.yesterday)
    simulated.team.expect_denied(simulated.images["2"].tagged, "Rollback", f"ConfigMap {NAMESPACE}/{STATE}-")


def test_rollback_is_denied_after_a_webhook_restart(dtr: DTR, simulated: Simulated) -> None:
    before = [pod["metadata"]["name"] for pod in release.pods("webhook")]
    release.restart("webhook")
    release.wait_until_ready()
    # Terminating replicas still answer, from what they have cached.
    kubectl("-n", NAMESPACE, "wait", "--for=delete", "--timeout=150s", *(f"pod/{name}" for name in before)).checked()
    # The tag that was admitted before the restart is denied too: no cached finding is left.
    for image in (dtr.signed("1", RELEASES, ADMIN), dtr.push("8")):
        dtr.team.expect_denied(image.tagged, "Rollback")
    for tag in ("1", "2", "3"):
        simulated.team.expect_denied(simulated.images[tag].tagged, "Rollback")


def test_removing_the_record_accepts_the_new_repository(dtr: DTR, simulated: Simulated) -> None:
    image = dtr.signed("9", RELEASES, ADMIN)
    found = RECORD.search(dtr.team.expect_denied(image.tagged, "Rollback"))
    assert found is not None
    key, namespace, name = found.groups()
    patch = json.dumps([{"op": "remove", "path": f"/data/{key}"}])
    kubectl("-n", namespace, "patch", "configmap", name, "--type=json", "-p", patch).checked()
    dtr.team.expect_running(dtr.signed("10", RELEASES, ADMIN))
    # The record of the other repository is unchanged.
    simulated.team.expect_denied(simulated.images["3"].tagged, "Rollback")


def _shards() -> list[Any]:
    found = get("configmaps", "-n", NAMESPACE)["items"]
    return [shard for shard in found if shard["metadata"]["name"].startswith(f"{STATE}-")]
