"""OpenShift 3 and atomic: signatures of the real skopeo and gpg in the registry, on a web server or in a directory."""

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
from tests.e2e.objects import pod, workload
from tests.e2e.servers import ca_of, secrets, serve
from tests.support.real_tools.gpg_home import Home
from tests.support.real_tools.required import require_tool
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.openshift import OpenShiftSimulator
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.images import ImageBuilder
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

API = f"{release.OPENSHIFT}/team/api"
PLAIN = ("--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false")


@dataclass(frozen=True, slots=True)
class OpenShift:
    """A registry with the signature extension, signers, and a namespace that requires the release key.

    Attributes:
        registry: the simulator; the node pulls from it.
        home: skopeo and gpg.
        release: fingerprint of the trusted key.
        untrusted_key: fingerprint of another key.
        team: the namespace.
        image_builder: builds and pushes images.
        source: repository that images are copied from when they are signed.
    """

    registry: OpenShiftSimulator
    home: Home
    release: str
    untrusted_key: str
    team: Team
    image_builder: ImageBuilder
    source: str

    def signed(self, tagged: str, key: str, *options: str) -> Image:
        """Push a new image, copy it with skopeo and sign the copy."""
        made = self.image_builder.push(f"{self.source}:{tagged.rpartition(':')[2]}", tagged)
        self.home.skopeo(*options, *PLAIN, "--sign-by", key, f"docker://{made.tagged}", f"docker://{tagged}")
        return Image(tagged, made.digest)

    def copied(self, image: Image, tagged: str) -> Image:
        """Copy an image under another name with skopeo, without its signatures."""
        self.home.skopeo(*PLAIN, "--remove-signatures", f"docker://{image.tagged}", f"docker://{tagged}")
        return Image(tagged, image.digest)


@pytest.fixture(scope="module")
def openshift(
    tmp_path_factory: pytest.TempPathFactory,
    image_builder: ImageBuilder,
    repository: str,
    new_module_team: Callable[[], Team],
) -> Iterator[OpenShift]:
    """Start the registry, create the keys and wait until the policy is in force."""
    host, _, port = release.OPENSHIFT.partition(":")
    path = tmp_path_factory.mktemp("gnupg")
    path.chmod(0o700)
    home = Home(path)
    key, untrusted_key = home.key("release@example.org", "rsa2048"), home.key("untrusted@example.org", "rsa2048")
    with (
        serve(OpenShiftSimulator, host, int(port)) as registry,
        secrets(e2e_keyring={"release.asc": home.export(key).encode()}),
    ):
        team = new_module_team()
        openshift = OpenShift(registry, home, key, untrusted_key, team, image_builder, f"{repository}/source")
        team.require(spec({"openshift": {}}))
        eventually(lambda: condition("authenticator", team.name).get("status") == "True", "the authenticator is Ready")
        unsigned = image_builder.push(f"{API}:probe", "probe")
        team.wait_for_decision(unsigned.tagged, admitted=False)
        yield openshift
    subprocess.run([require_tool("gpgconf"), "--kill", "all"], env=home.environment, check=False, timeout=60)


def spec(store: Object) -> Object:
    """Return the spec of an Authenticator for a signature store."""
    return {
        "simpleSigning": {
            "keyring": {"secretRef": {"name": "e2e-keyring", "key": "release.asc"}},
            "store": store,
            "signedIdentity": {"matchPolicy": "MatchRepoDigestOrExact"},
        }
    }


def test_image_signed_by_skopeo_runs_by_tag_and_digest(openshift: OpenShift) -> None:
    image = openshift.signed(f"{API}:1", openshift.release)
    (found,) = openshift.team.expect_running(image)
    # The tag stays beside the digest that was verified, so that it can be compared with the tag in the signature.
    assert found["spec"]["containers"][0]["image"] == f"{image.tagged}@{image.digest}"
    openshift.team.expect_running(image, by_digest=True)
    assert any(path.startswith("/extensions/") for path in openshift.registry.paths)


def test_deployment_of_an_image_signed_by_skopeo_runs(openshift: OpenShift) -> None:
    image = openshift.signed(f"{API}:2", openshift.release)
    openshift.team.create(workload("Deployment", "app", image.tagged)).checked()
    openshift.team.kubectl("rollout", "status", "deployment/app", "--timeout=150s").checked()
    (made,) = openshift.team.get("pods", "-l", "app=app")["items"]
    assert made["spec"]["containers"][0]["image"] == f"{image.tagged}@{image.digest}"


def test_unsigned_and_untrusted_images_are_denied(openshift: OpenShift) -> None:
    unsigned = openshift.image_builder.push(f"{API}:unsigned", "unsigned")
    openshift.team.expect_denied(unsigned.tagged, "NoSignature")
    untrusted = openshift.signed(f"{API}:untrusted", openshift.untrusted_key)
    openshift.team.expect_denied(untrusted.tagged, "UnknownKey", openshift.untrusted_key)
    assert openshift.registry.signatures[untrusted.digest]


def test_image_under_another_name_is_denied(openshift: OpenShift) -> None:
    image = openshift.signed(f"{API}:3", openshift.release)
    retagged = openshift.copied(image, f"{API}:4")
    openshift.team.expect_denied(retagged.tagged, "IdentityMismatch", f"{API}:3")
    openshift.team.expect_denied(f"{retagged.tagged}@{image.digest}", "IdentityMismatch")
    moved = openshift.copied(image, f"{release.OPENSHIFT}/team/other:3")
    openshift.team.expect_denied(moved.tagged, "RepositoryMismatch", f"{API}:3")
    openshift.team.expect_denied(moved.by_digest, "RepositoryMismatch")
    # By digest alone the repository is enough, and the image is admitted under its own name, so the name is the reason.
    openshift.team.expect_running(image)
    openshift.team.expect_running(retagged, by_digest=True)


def test_signature_extension_gets_the_pull_secret_of_the_pod(openshift: OpenShift) -> None:
    image = openshift.signed(f"{API}:5", openshift.release)
    openshift.registry.auth.users["robot"] = "e2e-password"
    openshift.registry.auth.mode = "basic"
    try:
        said = openshift.team.expect_denied(image.tagged, "RegistryUnauthorized")
        assert "e2e-password" not in said
        options = ("--docker-username=robot", "--docker-password=e2e-password")
        server = f"--docker-server={release.OPENSHIFT}"
        openshift.team.kubectl("create", "secret", "docker-registry", "pull", server, *options).checked()
        openshift.team.create(pod("with-secret", image.tagged, imagePullSecrets=[{"name": "pull"}])).checked()
        openshift.team.wait("condition=Ready", "pod/with-secret")
    finally:
        openshift.registry.auth.mode = "none"


def signed_into_folder(openshift: OpenShift, tagged: str, folder: Path, configuration: Path) -> Image:
    """Push an image and sign it with skopeo, which writes the signature into a folder."""
    configuration.mkdir()
    staging = json.dumps({"docker": {release.REGISTRY: {"lookaside-staging": folder.as_uri()}}})
    (configuration / "default.yaml").write_text(staging)
    return openshift.signed(tagged, openshift.release, "--registries.d", str(configuration))


def test_signatures_on_a_web_server_with_private_ca_count(
    openshift: OpenShift, repository: str, new_team: Callable[[], Team], tmp_path: Path
) -> None:
    folder = tmp_path / "signatures"
    image = signed_into_folder(openshift, f"{repository}/aside:1", folder, tmp_path / "registries.d")
    unsigned = openshift.image_builder.push(f"{repository}/aside:2", "unsigned")
    with serve(RegistrySimulator, "lookaside.test") as server:
        for file in folder.rglob("signature-*"):
            path = f"/signatures/{file.relative_to(folder)}"
            server.documents[path] = Answer(200, {"Content-Type": "application/octet-stream"}, file.read_bytes())
        assert server.documents
        url = f"{server.url}/signatures"
        team = new_team()
        team.require(spec({"lookaside": {"url": url, "ca": ca_of(server)}}))
        team.wait_for_decision(image.tagged, admitted=True)
        team.expect_running(image)
        team.expect_denied(unsigned.tagged, "NoSignature")
        # Without the CA, the certificate of the server cannot be verified.
        team.require(spec({"lookaside": {"url": url}}))
        team.wait_for_decision(image.tagged, admitted=False)
        team.expect_denied(image.tagged, "RegistryUnavailable", "lookaside.test", "certificate")


def test_signatures_in_a_mounted_directory_count(
    openshift: OpenShift, repository: str, new_team: Callable[[], Team], tmp_path: Path
) -> None:
    folder = release.NODE_FOLDER / randomness.token_hex(4)
    image = signed_into_folder(openshift, f"{repository}/folder:1", folder, tmp_path / "registries.d")
    unsigned = openshift.image_builder.push(f"{repository}/folder:2", "unsigned")
    try:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        team = new_team()
        team.require(spec({"lookaside": {"url": f"file://{release.FOLDER}/{folder.name}"}}))
        team.wait_for_decision(image.tagged, admitted=True)
        team.expect_running(image)
        team.expect_denied(unsigned.tagged, "NoSignature")
    finally:
        shutil.rmtree(folder)
