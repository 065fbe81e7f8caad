"""What is pushed is signed by policy and runs: Docker's Notary, Grafeas with Alibaba Cloud KMS, Oracle Cloud's OCIR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.data.notary.recording import EC, RELEASES, Notary
from tests.e2e.clusters import require_machine
from tests.e2e.kube import apply, condition, eventually
from tests.e2e.objects import secret
from tests.e2e.servers import ca_of, secrets
from tests.e2e.signing.environment import SECRETS, Signing, wait_until_signed
from tests.support.real_tools.required import require_tool
from tests.support.simulators.grafeas import NOTE
from tests.support.simulators.ocir import COMPARTMENT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.images import Image, ImageBuilder
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

#: Keys of Alibaba Cloud and of Oracle Cloud.
ALIBABA = "key-hzz630494463ejqjx0002"
PSS = "RSA_PSS_SHA_256"
ORACLE, VERSION = "ocid1.key.oc1.phx.signing.abyh", "ocid1.keyversion.oc1.phx.signing.acy6"
#: Endings of the files of openssl, by the names that they have in a client bundle of UCP.
BUNDLE = {"key.pem": "key", "cert.pem": "crt"}


@dataclass(frozen=True, slots=True)
class Bench:
    """Signs what is pushed, and runs it where its signature is required.

    Attributes:
        signing: the registry and the services.
        image_builder: pushes images.
        team: a namespace; its policy and authenticator have its name.
        unsigned: an image that no SigningPolicy covers.
    """

    signing: Signing
    image_builder: ImageBuilder
    team: Team
    unsigned: Image

    def require(self, spec: Object) -> None:
        """Require signatures as this spec of an Authenticator has them, and wait until that is in force."""
        self.team.require(spec)
        eventually(self._ready, "the authenticator is Ready")
        self.team.wait_for_decision(self.unsigned.tagged, admitted=False)

    def expect_running(self, image: Image) -> None:
        """Expect that an image that was pushed is signed, admitted and running."""
        wait_until_signed(image.tagged)
        self.team.wait_for_decision(image.tagged, admitted=True)
        self.team.expect_running(image)

    def _ready(self) -> bool:
        return bool(condition("authenticator", self.team.name).get("status") == "True")


@pytest.fixture
def bench(signing: Signing, unsigned: Image, image_builder: ImageBuilder, new_team: Callable[[], Team]) -> Bench:
    """A namespace without a policy."""
    return Bench(signing, image_builder, new_team(), unsigned)


@pytest.fixture
def notary(tmp_path: Path) -> Iterator[Notary]:
    """A real notary server."""
    for tool in ("notary", "notary-server", "openssl"):
        require_tool(tool)
    with Notary(tmp_path, host=require_machine().address, name="notary.test") as notary:
        yield notary


def test_pushed_tag_is_signed_in_notary_and_runs(bench: Bench, notary: Notary) -> None:
    name = "e2e-notary"
    gun = f"{bench.signing.run}/{name}/app"
    signer = notary.signer("alice", EC)
    notary.run("init", "-p", gun)
    notary.run("key", "rotate", gun, "snapshot", "-r")
    notary.run("delegation", "add", "-p", gun, RELEASES, str(notary.folder / "alice.crt"), "--all-paths")
    root = next(line.split()[1] for line in notary.run("key", "list").splitlines() if line.startswith("root"))
    server = {"server": notary.url, "ca": {"pem": notary.ca_pem}, "root": {"keyId": root}}
    bench.require({"notary": {**server, "roles": [{"name": RELEASES, "keys": [{"pem": signer.certificate_pem}]}]}})
    bundle = {file: (notary.folder / f"alice.{ending}").read_bytes() for file, ending in BUNDLE.items()}
    apply(secret("release-delegation", bundle, SECRETS)).checked()
    key = {"secretRef": {"name": "release-delegation", "key": "key.pem"}}
    with bench.signing.policy(name, notary={**server, "roles": [RELEASES]}, key=key):
        bench.expect_running(bench.image_builder.push(f"{gun}:1", "notary"))


def test_pushed_image_is_attested_in_grafeas_and_runs(bench: Bench) -> None:
    kms, grafeas = bench.signing.services.alibaba, bench.signing.services.grafeas
    kms.add(ALIBABA, "RSA_2048", "version-1")
    source = {"region": "cn-hongkong", "keyId": ALIBABA, "endpoint": kms.url, "ca": ca_of(kms)}
    named = {"kms": {"alibaba": {**source, "credentialsSecret": {"name": "e2e-ram"}}}}
    server = {"server": grafeas.url, "ca": ca_of(grafeas), "note": NOTE}
    accepted = {"credentialsSecret": {"name": "e2e-grafeas"}, "keys": [{"id": ALIBABA, **named, "algorithm": PSS}]}
    # As Alibaba's signature rules: the key of the authenticator that accepts it, with other credentials.
    key = {"authenticator": bench.team.name, "credentialsSecret": {"name": "release-ram"}}
    attestations = {**server, "credentialsSecret": {"name": "release-grafeas"}}
    with secrets(e2e_ram=kms.secret, e2e_grafeas={"token": grafeas.token.encode()}):
        bench.require({"grafeas": {**server, **accepted}})
        with bench.signing.policy("e2e-grafeas", grafeas=attestations, key=key) as prefix:
            bench.expect_running(bench.image_builder.push(f"{prefix}/app:1", "grafeas"))
    (occurrence,) = grafeas.occurrences
    assert occurrence["resourceUri"].startswith(f"https://{prefix}/app@sha256:")


def test_pushed_image_is_signed_in_ocir_and_runs(bench: Bench) -> None:
    name, vault, ocir = "e2e-oracle", bench.signing.services.vault, bench.signing.services.ocir
    vault.add(ORACLE, "RSA 2048", VERSION)
    source = {"keyId": ORACLE, "endpoint": vault.url, "ca": ca_of(vault)}
    service = {"region": REGION, "endpoint": ocir.url, "ca": ca_of(ocir), "compartmentId": COMPARTMENT}
    # OCIR knows an image before the event of its push. The same content has the same digest wherever it is pushed.
    digest = bench.image_builder.push(f"{bench.signing.run}/uncovered/oracle:1", name).digest
    # The registry's first folder stands for the tenancy's namespace, which signatures do not contain.
    ocir.images["ocid1.containerimage.oc1.phx.0.signing.aaaa"] = (digest, f"{name}/app")
    with secrets(e2e_ocir=vault.secret, e2e_vault=vault.secret):
        trusted = {"keyId": ORACLE, "kms": {"oracle": {**source, "credentialsSecret": {"name": "e2e-vault"}}}}
        bench.require({"oracle": {**service, "credentialsSecret": {"name": "e2e-ocir"}, "trustedKeys": [trusted]}})
        credentials = {"credentialsSecret": {"name": "release-api-key"}}
        key = {"kms": {"oracle": {**source, **credentials}}}
        with bench.signing.policy(name, oracle={**service, **credentials}, key=key) as prefix:
            bench.expect_running(bench.image_builder.push(f"{prefix}/app:1", name))
    (record,) = ocir.records
    assert (record["kmsKeyId"], record["kmsKeyVersionId"]) == (ORACLE, VERSION)
