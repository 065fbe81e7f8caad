"""`sealgate sign --policy`: named images, and every tag that a SigningPolicy covers."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from sealgate.clocks import Deadline, SystemClock
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.keys.private_keys import public_pem_of
from sealgate.kubernetes.secrets import encode
from sealgate.registry.interface import OCI_MANIFEST
from sealgate.signing import runs, streams
from sealgate.signing.checkpoints import default_checkpoint_directory
from sealgate.signing.locks import RepositoryLocks, default_lock_directory
from tests.cli.clusters import kubeconfig
from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.objects import api_object, authenticator, policy
from tests.support.environments.signing_policies import signing_policy
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.simulators.http_messages import encode as encode_json
from tests.support.simulators.huawei_dew import PROJECT, DEWSimulator
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.support.simulators.registry import IMAGE_CONFIG, RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from tests.support.simulators.http_messages import Answer, RecordedRequest

KEY = generate_key(KeyType.ECDSA_P256)
PEM = write_private_key(KEY, None).decode()
OF_RELEASE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "release"},
    "stringData": {"key.pem": PEM},
}


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for contested signatures once more at once; `tests/signing` has the time."""
    monkeypatch.setattr(runs, "RECHECK_SECONDS", 0.0)


class Registry(RegistrySimulator):
    """A registry in which the user presses Ctrl-C while a signature is stored."""

    interrupt_at = 0

    def respond(self, request: RecordedRequest) -> Answer:
        if request.method == "PUT" and "/manifests/sha256-" in request.path:
            self.interrupt_at -= 1
            if self.interrupt_at == 0:
                os.kill(os.getpid(), signal.SIGINT)
        return super().respond(request)


@dataclass
class Release:
    """A registry, and policy files that sign the tags `v*` of its repositories `shop/*`."""

    registry: Registry
    folder: Path
    more: dict[str, Any] = field(default_factory=dict)

    def write(self, *objects: dict[str, Any], **spec: Any) -> None:
        images = [{"repository": f"{self.registry.host}/shop/*", "tags": ["v*"]}]
        merged = {"images": images, "tagsPerMinute": 30000, **self.more, **spec}
        write(self.folder / "policies.yaml", signing_policy(**merged), *(objects or (OF_RELEASE,)))

    def image(self, name: str) -> str:
        return f"{self.registry.host}/{name}"

    def sign(self, *arguments: object) -> Result:
        options = ("--insecure-registry", self.registry.host, "--policy", "release")
        return sealgate("sign", *options, "--policies", self.folder, *arguments)

    def entries(self, *arguments: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.sign(*arguments, "-o", "json").stdout)
        return found

    def outcomes(self, *arguments: object) -> dict[str, str]:
        return {entry["image"].partition("/")[2]: entry["outcome"] for entry in self.entries(*arguments)}


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    folder = tmp_path / "policies"
    folder.mkdir()
    with Registry() as registry:
        for path in ("shop/api", "shop/web"):
            for tag in ("v1", "v2", "dev"):
                registry.push_image(path, tag)
        registry.push_image("other/app", "v1")
        found = Release(registry, folder)
        found.write()
        yield found


def test_image_is_signed_as_the_policy_says(release: Release, tmp_path: Path) -> None:
    release.write(cosign={"annotations": {"env": "prod"}})
    assert release.sign(release.image("shop/web:v1")).exit_code == 0
    trusted = authenticator("qa", public_pem_of(KEY).decode(), annotations={"env": "prod"})
    checked = write(tmp_path / "verify.yaml", trusted, policy("all", "**", authenticators=["qa"]))
    options = ("--insecure-registry", release.registry.host, "--policies", checked, "--policies", release.folder)
    assert sealgate("verify", release.image("shop/web:v1"), *options).exit_code == 0
    assert sealgate("verify", release.image("shop/web:v2"), *options).exit_code == 1


def test_images_that_the_policy_does_not_cover_are_refused_by_name(release: Release) -> None:
    digest = release.registry.push_image("shop/web", "v3")
    images = ["other/app:v1", "shop/web:dev", "shop/web:v1", f"shop/web:v3@{digest}", "shop/web"]
    ran = release.sign(*map(release.image, images), "-o", "json")
    assert [entry["outcome"] for entry in json.loads(ran.stdout)] == [
        *("refused", "refused", "signed", "refused", "refused")
    ]
    assert ran.exit_code == 1
    assert f"does not cover {release.image('shop/web')}:dev" in ran.stderr
    assert "leave the digest out" in ran.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--key", "a.key"), "--key does not go with --policy"),
        (("--format", "notary"), "--format does not go with --policy"),
        (("--storage", "bundle"), "--storage does not go with --policy"),
        (("--annotation", "a=b"), "--annotation does not go with --policy"),
        (("--recursive",), "--recursive does not go with --policy"),
        (("--all",), "leave the images out"),
        (("--restart",), "--restart belongs to --all"),
        (("--context", "production"), "--policies does not go with --context"),
        (("--secrets-namespace", "signing"), "--secrets-namespace belongs to --context"),
    ],
)
def test_options_that_do_not_fit_a_policy_are_refused(release: Release, options: tuple[str, ...], problem: str) -> None:
    ran = release.sign(release.image("shop/web:v1"), *options)
    assert ran.exit_code == 2
    assert problem in ran.stderr
    assert release.registry.requests == []


def test_policy_needs_files_or_a_cluster(release: Release) -> None:
    ran = sealgate("sign", release.image("shop/web:v1"), "--policy", "release")
    assert ran.exit_code == 2
    assert "--policy needs the files that have it (--policies) or a cluster (--context)" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "name the images to sign"),
        (("--all",), "--all needs --policy"),
        (("a:1", "--policies", "a"), "--policies belongs to --policy"),
        (("a:1", "--policy", "release"), "--policy needs the files"),
    ],
)
def test_options_of_a_policy_need_one(arguments: tuple[str, ...], problem: str) -> None:
    ran = sealgate("sign", *arguments)
    assert ran.exit_code == 2
    assert problem in ran.stderr


def test_unknown_policy_suggests_one_that_is_there(release: Release) -> None:
    options = ("--policies", release.folder, "--policy", "relaese")
    ran = sealgate("sign", release.image("shop/web:v1"), *options)
    assert ran.exit_code == 2
    assert "did you mean release?" in ran.stderr


class TestAll:
    def test_every_covered_tag_is_signed_once(self, release: Release) -> None:
        ran = release.sign("--all")
        assert ran.exit_code == 0, ran.output
        assert "4 images: 4 signed" in ran.stdout
        again = release.sign("--all")
        assert "4 images: 4 already signed" in again.stdout
        assert {*release.registry.repositories["other/app"].tags} == {"v1"}

    def test_entries_keep_to_the_published_schema(self, release: Release) -> None:
        release.registry.faults.status(r"/shop/api/tags/list", 503)
        entries = release.entries("--all")
        jsonschema.Draft202012Validator(json.loads(sealgate("sign", "--schema").stdout)).validate(entries)
        assert [entry["outcome"] for entry in entries] == ["unavailable", "signed", "signed"]
        assert entries[0]["image"] == release.image("shop/api")

    def test_failures_are_listed_with_reasons(self, release: Release) -> None:
        release.registry.push_manifest("shop/api", "v0", b"not a manifest")
        release.registry.faults.status(r"/shop/web/manifests/v2", 503)
        ran = release.sign("--all")
        assert ran.exit_code == 3
        assert "signed, 1 not determined" in ran.stdout
        (row,) = [line for line in ran.stdout.splitlines() if line.startswith(release.image("shop/web:v2"))]
        assert "503" in row

    def test_registry_without_a_catalog_is_named_with_what_to_do(self, release: Release) -> None:
        release.registry.catalog = False
        ran = release.sign("--all")
        assert ran.exit_code == 3
        assert "name the repositories in the policy without wildcards" in ran.stdout
        assert "1 image: 1 not determined" in ran.stdout

    def test_nothing_to_sign_is_no_failure(self, release: Release) -> None:
        release.write(images=[{"repository": release.image("shop/web"), "tags": ["none"]}])
        assert "0 images" in release.sign("--all").stdout
        assert release.entries("--all") == []

    def test_interrupted_run_goes_on_where_it_ended(self, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streams, "CONCURRENCY", 1)
        release.registry.interrupt_at = 2
        first = release.sign("--all")
        assert first.exit_code == 130
        assert "2 images: 2 signed; interrupted" in first.stdout
        second = release.sign("--all")
        assert second.exit_code == 0, second.output
        assert f"Going on after {release.image('shop/api:v2')}; 2 done before" in second.stderr
        assert "4 images: 4 signed" in second.stdout
        assert "4 images: 4 already signed" in release.sign("--all").stdout

    @pytest.mark.parametrize("change", ["policy", "--restart"])
    def test_run_of_a_changed_policy_begins_anew(
        self, release: Release, monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        monkeypatch.setattr(streams, "CONCURRENCY", 1)
        release.registry.interrupt_at = 1
        assert release.sign("--all").exit_code == 130
        if change == "policy":
            release.write(description="changed")
        ran = release.sign("--all", *([change] if change == "--restart" else []))
        assert "Going on" not in ran.stderr
        assert "4 images: 3 signed, 1 already signed" in ran.stdout


def test_runs_of_one_policy_exclude_each_other(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CONCURRENCY", 1)
    release.registry.interrupt_at = 1
    assert release.sign("--all").exit_code == 130
    (checkpoint,) = default_checkpoint_directory().glob("*.json")
    name = f"the checkpoint of the SigningPolicy release ({checkpoint.stem[:12]})"
    with RepositoryLocks(default_lock_directory()).hold(name, Deadline.after(SystemClock(), 5)):
        ran = release.sign("--all")
    assert ran.exit_code == 3
    assert f"another sealgate on this machine is still writing to {name}" in ran.stderr


def test_tags_of_a_real_registry_are_signed(release: Release, tmp_path: Path) -> None:
    with DockerRegistry(tmp_path / "registry") as registry:
        config = registry.push_blob("shop/web", b"{}")
        descriptor = {"mediaType": IMAGE_CONFIG, "digest": config, "size": 2}
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor, "layers": []}
        for tag in ("v1", "v2", "dev"):
            registry.push_manifest("shop/web", tag, encode_json({**document, "annotations": {"tag": tag}}))
        release.write(images=[{"repository": f"{registry.host}/shop/*", "tags": ["v*"]}])
        ran = release.sign("--all", "--insecure-registry", registry.host)
        assert ran.exit_code == 0, ran.output
        assert "2 images: 2 signed" in ran.stdout
        assert "2 images: 2 already signed" in release.sign("--all", "--insecure-registry", registry.host).stdout


def test_key_in_a_kms_signs_with_credentials_among_the_files(release: Release) -> None:
    with DEWSimulator() as kms:
        kms.add("b1c2", "EC_P256")
        data = {name: value.decode() for name, value in kms.secret.items()}
        secret = {**OF_RELEASE, "metadata": {"name": "dew"}, "stringData": data}
        named = {"region": "cn-north-4", "projectId": PROJECT, "keyId": "b1c2", "endpoint": kms.url}
        release.write(secret, key={"kms": {"huawei": {**named, "credentialsSecret": {"name": "dew"}}}})
        ran = release.sign(release.image("shop/web:v1"), "--insecure-registry", kms.host)
        assert ran.exit_code == 0, ran.output


class TestCluster:
    @pytest.fixture
    def cluster(
        self, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[KubernetesSimulator]:
        with KubernetesSimulator() as simulator:
            objects = yaml.safe_load_all((release.folder / "policies.yaml").read_text())
            simulator.put("/apis/sealgate.dev/v1alpha1/signingpolicies", next(objects))
            monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, simulator.url)))
            yield simulator

    def sign(self, release: Release, *options: object) -> Result:
        known = ("--insecure-registry", release.registry.host, "--policy", "release", "--context", "production")
        return sealgate("sign", release.image("shop/web:v1"), *known, *options)

    def test_policy_and_secret_are_read_by_name(self, release: Release, cluster: KubernetesSimulator) -> None:
        data = {"data": {"key.pem": encode(PEM.encode())}}
        cluster.put("/api/v1/namespaces/signing/secrets", {**api_object("Secret", "release", {}), **data})
        ran = self.sign(release, "--secrets-namespace", "signing")
        assert ran.exit_code == 0, ran.output
        assert "1 image: 1 signed" in ran.stdout

    @pytest.mark.usefixtures("cluster")
    def test_missing_namespace_and_missing_secret_are_named(self, release: Release) -> None:
        assert "name its namespace with --secrets-namespace" in self.sign(release).stderr
        ran = self.sign(release, "--secrets-namespace", "signing")
        assert ran.exit_code == 3
        assert "Secret release: the namespace signing does not have it" in ran.stderr

    @pytest.mark.usefixtures("cluster")
    def test_missing_policy_is_named(self, release: Release) -> None:
        ran = sealgate("sign", release.image("shop/web:v1"), "--policy", "other", "--context", "production")
        assert ran.exit_code == 2
        assert "the cluster has no SigningPolicy named other" in ran.stderr
