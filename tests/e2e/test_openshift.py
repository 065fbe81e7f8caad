"""OpenShift 3 and atomic: the real skopeo and gpg sign; the image's registry, or a web server, has the signatures."""

from __future__ import annotations

import json
import secrets as randomness
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e import release
from tests.e2e.images import Image
from tests.e2e.kube import condition, eventually
from tests.e2e.objects import maker, pod
from tests.e2e.servers import ca_of, secrets, serve
from tests.support.real_tools.gpg_home import Home
from tests.support.real_tools.required import require_tool
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.openshift import OpenShiftSimulator
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.images import Workshop
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

API = f"{release.OPENSHIFT}/team/api"
PLAIN = ("--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false")


@dataclass(frozen=True, slots=True)
class OpenShift:
    """A registry with the signature extension, whoever signs, and a namespace that demands the release key.

    Attributes:
        registry: the simulator; the node pulls from it.
        home: skopeo and gpg.
        release: fingerprint of the key that counts.
        stranger: of another.
        team: the namespace.
        workshop: makes images.
        source: where images are before they are copied and signed.
    """

    registry: OpenShiftSimulator
    home: Home
    release: str
    stranger: str
    team: Team
    workshop: Workshop
    source: str

    def signed(self, tagged: str, key: str, *options: str) -> Image:
        """Have skopeo copy a new image and sign the copy."""
        made = self.workshop.push(f"{self.source}:{tagged.rpartition(':')[2]}", tagged)
        self.home.skopeo(*options, *PLAIN, "--sign-by", key, f"docker://{made.tagged}", f"docker://{tagged}")
        return Image(tagged, made.digest)

    def copied(self, image: Image, tagged: str) -> Image:
        """Have skopeo copy an image as it is, under another name."""
        self.home.skopeo(*PLAIN, "--remove-signatures", f"docker://{image.tagged}", f"docker://{tagged}")
        return Image(tagged, image.digest)


@pytest.fixture(scope="module")
def openshift(
    tmp_path_factory: pytest.TempPathFactory, workshop: Workshop, repository: str, new_module_team: Callable[[], Team]
) -> Iterator[OpenShift]:
    """Everything, with the keyring read."""
    host, _, port = release.OPENSHIFT.partition(":")
    path = tmp_path_factory.mktemp("gnupg")
    path.chmod(0o700)
    home = Home(path)
    key, stranger = home.key("release@example.org", "rsa2048"), home.key("stranger@example.org", "rsa2048")
    with (
        serve(OpenShiftSimulator, host, int(port)) as registry,
        secrets(e2e_keyring={"release.asc": home.export(key).encode()}),
    ):
        team = new_module_team()
        openshift = OpenShift(registry, home, key, stranger, team, workshop, f"{repository}/source")
        team.demand(spec({"openshift": {}}))
        eventually(lambda: condition("authenticator", team.name).get("status") == "True", "the keyring was read")
        unsigned = workshop.push(f"{API}:probe", "probe")
        team.settle(unsigned.tagged, admitted=False)
        yield openshift
    subprocess.run([require_tool("gpgconf"), "--kill", "all"], env=home.environment, check=False, timeout=60)


def spec(store: Object) -> Object:
    """Return what an Authenticator says."""
    return {
        "simpleSigning": {
            "keyring": {"secretRef": {"name": "e2e-keyring", "key": "release.asc"}},
            "store": store,
            "signedIdentity": {"matchPolicy": "MatchRepoDigestOrExact"},
        }
    }


def test_what_skopeo_has_signed_into_the_registry_runs_by_tag_and_by_digest(openshift: OpenShift) -> None:
    image = openshift.signed(f"{API}:1", openshift.release)
    (found,) = openshift.team.runs(image)
    # The tag stays beside the digest that was verified, so that it can be compared with the one that was signed.
    assert found["spec"]["containers"][0]["image"] == f"{image.tagged}@{image.digest}"
    openshift.team.runs(image, by_digest=True)
    assert any(path.startswith("/extensions/") for path in openshift.registry.paths)


def test_what_makes_pods_of_it_runs_as_well(openshift: OpenShift) -> None:
    image = openshift.signed(f"{API}:2", openshift.release)
    openshift.team.create(maker("Deployment", "app", image.tagged)).checked()
    openshift.team.kubectl("rollout", "status", "deployment/app", "--timeout=60s").checked()
    (made,) = openshift.team.get("pods", "-l", "app=app")["items"]
    assert made["spec"]["containers"][0]["image"] == f"{image.tagged}@{image.digest}"


def test_what_nobody_or_somebody_else_has_signed_is_refused(openshift: OpenShift) -> None:
    unsigned = openshift.workshop.push(f"{API}:unsigned", "unsigned")
    openshift.team.refuses(unsigned.tagged, "NoSignature")
    strange = openshift.signed(f"{API}:strange", openshift.stranger)
    openshift.team.refuses(strange.tagged, "UnknownKey", openshift.stranger)
    assert openshift.registry.signatures[strange.digest]


def test_an_image_under_a_name_that_it_was_not_signed_for_is_refused(openshift: OpenShift) -> None:
    image = openshift.signed(f"{API}:3", openshift.release)
    retagged = openshift.copied(image, f"{API}:4")
    openshift.team.refuses(retagged.tagged, "IdentityMismatch", f"{API}:3")
    openshift.team.refuses(f"{retagged.tagged}@{image.digest}", "IdentityMismatch")
    moved = openshift.copied(image, f"{release.OPENSHIFT}/team/other:3")
    openshift.team.refuses(moved.tagged, "RepositoryMismatch", f"{API}:3")
    openshift.team.refuses(moved.by_digest, "RepositoryMismatch")
    # By digest alone the repository is enough, and under its own name it is admitted, so that the name is what counts.
    openshift.team.runs(image)
    openshift.team.runs(retagged, by_digest=True)


def test_the_extension_is_asked_with_the_pod_s_own_pull_secret(openshift: OpenShift) -> None:
    image = openshift.signed(f"{API}:5", openshift.release)
    openshift.registry.auth.users["robot"] = "e2e-password"
    openshift.registry.auth.mode = "basic"
    try:
        said = openshift.team.refuses(image.tagged, "RegistryUnauthorized")
        assert "e2e-password" not in said
        options = ("--docker-username=robot", "--docker-password=e2e-password")
        server = f"--docker-server={release.OPENSHIFT}"
        openshift.team.kubectl("create", "secret", "docker-registry", "pull", server, *options).checked()
        openshift.team.create(pod("with-secret", image.tagged, imagePullSecrets=[{"name": "pull"}])).checked()
        openshift.team.wait("condition=Ready", "pod/with-secret")
    finally:
        openshift.registry.auth.mode = "none"


def signed_aside(openshift: OpenShift, tagged: str, folder: Path, configuration: Path) -> Image:
    """Have skopeo sign an image and put the signature into a folder."""
    configuration.mkdir()
    place = json.dumps({"docker": {release.REGISTRY: {"lookaside-staging": folder.as_uri()}}})
    (configuration / "default.yaml").write_text(place)
    return openshift.signed(tagged, openshift.release, "--registries.d", str(configuration))


def test_signatures_on_a_web_server_of_a_private_authority_count(
    openshift: OpenShift, repository: str, new_team: Callable[[], Team], tmp_path: Path
) -> None:
    folder = tmp_path / "signatures"
    image = signed_aside(openshift, f"{repository}/aside:1", folder, tmp_path / "registries.d")
    unsigned = openshift.workshop.push(f"{repository}/aside:2", "unsigned")
    with serve(RegistrySimulator, "lookaside.test") as server:
        for file in folder.rglob("signature-*"):
            path = f"/signatures/{file.relative_to(folder)}"
            server.documents[path] = Answer(200, {"Content-Type": "application/octet-stream"}, file.read_bytes())
        assert server.documents
        url = f"{server.url}/signatures"
        team = new_team()
        team.demand(spec({"lookaside": {"url": url, "ca": ca_of(server)}}))
        team.settle(image.tagged, admitted=True)
        team.runs(image)
        team.refuses(unsigned.tagged, "NoSignature")
        # Without the authority nobody knows who it is that answers.
        team.demand(spec({"lookaside": {"url": url}}))
        team.settle(image.tagged, admitted=False)
        team.refuses(image.tagged, "RegistryUnavailable", "lookaside.test", "certificate")


def test_signatures_in_a_folder_that_the_webhook_mounts_count(
    openshift: OpenShift, repository: str, new_team: Callable[[], Team], tmp_path: Path
) -> None:
    folder = release.NODE_FOLDER / randomness.token_hex(4)
    image = signed_aside(openshift, f"{repository}/folder:1", folder, tmp_path / "registries.d")
    unsigned = openshift.workshop.push(f"{repository}/folder:2", "unsigned")
    try:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        team = new_team()
        team.demand(spec({"lookaside": {"url": f"file://{release.FOLDER}/{folder.name}"}}))
        team.settle(image.tagged, admitted=True)
        team.runs(image)
        team.refuses(unsigned.tagged, "NoSignature")
    finally:
        shutil.rmtree(folder)
