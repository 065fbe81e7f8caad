"""What sealgate signs, the real notary-server and notary CLI accept; what they signed, sealgate extends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import UnauthorizedError
from sealgate.formats.interface import Image, Sources
from sealgate.formats.notary.deleting import TagRemoval
from sealgate.formats.notary.locations import NotaryServer
from sealgate.formats.notary.pins import FirstUsePin
from sealgate.formats.notary.private_keys.stores import TrustDirectory, read_certificate
from sealgate.formats.notary.publishing.ownership import Owner
from sealgate.formats.notary.publishing.publisher import Publisher
from sealgate.formats.notary.sign import NotarySigner
from sealgate.formats.signing import SigningContext, SigningOutcome
from sealgate.references import parse_reference, parse_repository
from sealgate.registry.interface import DOCKER_MANIFEST
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.data.notary.recording import ADMIN, EC, GUN, PASSPHRASE, RELEASES, RSA, Notary, manifest_of
from tests.support.environments.notary_signing import FixedPassphrases, only
from tests.support.environments.registry_clients import client_for, docker_config
from tests.support.real_tools.notary_tokens import tokens_for
from tests.support.real_tools.required import require_tool
from tests.support.simulators.http_messages import json_answer
from tests.support.simulators.registry import RegistrySimulator, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.formats.notary.publishing.file_signing import KeyStore
    from sealgate.formats.signing import SigningResult
    from sealgate.registry.client import RegistryClient
    from sealgate.registry.credentials import CredentialProvider

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
#: A name that X.509 has no room for.
LONG_GUN = "dtr.example.org/dev/" + "a-very-long-name-of-an-image/" * 3 + "nginx"


@dataclass
class Real:
    """A real notary server and CLI, and sealgate with the CLI's trust directory.

    Attributes:
        notary: the server and the CLI.
        registry: the mirror of dtr.example.org.
        client: asks both.
    """

    notary: Notary
    registry: RegistrySimulator
    client: RegistryClient

    def __post_init__(self) -> None:
        self.server = NotaryServer(self.notary.url)
        self.state = MemoryTrustedState()
        self.credentials: CredentialProvider = docker_config({})

    @property
    def directory(self) -> TrustDirectory:
        """The CLI's trust directory, as it is now."""
        return TrustDirectory(self.notary.folder / "trust", FixedPassphrases((PASSPHRASE,)))

    @property
    def context(self) -> SigningContext:
        deadline = Deadline.after(SystemClock(), 240)
        sources = Sources(
            self.client.session(self.credentials, deadline),
            self.client.services(deadline),
            SystemClock(),
            deadline,
            self.state,
        )
        return SigningContext(sources, self.client.writer(self.credentials, deadline))

    def owner(self, gun: str = GUN) -> Owner:
        directory = self.directory
        publisher = Publisher(parse_repository(gun), self.server, FirstUsePin(), directory, self.context)
        return Owner(publisher, directory)

    def sign(
        self, tag: str, layer: str = "layer", keys: KeyStore | None = None, gun: str = GUN, **options: Any
    ) -> SigningResult:
        self.registry.push_manifest(gun.partition("/")[2], tag, manifest_of(layer), DOCKER_MANIFEST)
        signer = NotarySigner(self.server, FirstUsePin(), keys or self.directory, **options)
        image = Image(parse_reference(f"{gun}:{tag}"), digest_of(manifest_of(layer)))
        return signer.sign(image, self.context)

    def listed(self, *roles: str, gun: str = GUN, trust: str = "trust") -> dict[str, str]:
        """Return the digests that the CLI shows, by tag."""
        chosen = [option for role in roles for option in ("-r", role)]
        lines = self.notary.run("-d", str(self.notary.folder / trust), "list", gun, *chosen).splitlines()
        rows = [line.split() for line in lines if line.startswith(("1", "2", "tag"))]
        return {row[0]: f"sha256:{row[1]}" for row in rows}

    def certificate(self, name: str) -> Any:
        return read_certificate(self.notary.folder / f"{name}.crt")


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Real]:
    for tool in ("notary", "notary-server", "openssl"):
        require_tool(tool)
    with (
        RegistrySimulator() as registry,
        Notary(tmp_path) as notary,
        client_for(
            registry, insecure=frozenset({notary.address}), mirrors={"dtr.example.org": registry.host}
        ) as client,
    ):
        yield Real(notary, registry, client)


def test_repository_of_sealgate_is_extended_by_the_client_and_back(real: Real) -> None:
    real.owner().initialise()
    assert real.sign("1.4").outcome is SigningOutcome.SIGNED
    assert real.listed() == {"1.4": digest_of(manifest_of("layer"))}
    # The client signs with the keys that sealgate stored in its trust directory.
    real.notary.run("add", "-p", GUN, "2.0", real.notary.manifest("another"))
    real.sign("2.1", "another")
    assert sorted(real.listed()) == ["1.4", "2.0", "2.1"]
    real.notary.run("verify", GUN, "1.4", "-i", real.notary.manifest("layer"))
    assert real.owner().remove_tag("2.0", []) == ("targets",)
    assert sorted(real.listed()) == ["1.4", "2.1"]


def test_client_no_longer_lists_a_tag_that_was_deleted(real: Real) -> None:
    real.owner().initialise()
    for tag, layer in (("1.4", "layer"), ("2.0", "another")):
        real.sign(tag, layer)
    removal = TagRemoval(real.server, FirstUsePin(), parse_repository(GUN), "targets", "1.4", real.directory)
    other = Image(parse_reference(f"{GUN}:1.4"), digest_of(manifest_of("another")))
    removal.remove(other, real.context)
    assert sorted(real.listed()) == ["1.4", "2.0"]
    removal.remove(replace(other, digest=digest_of(manifest_of("layer"))), real.context)
    assert sorted(real.listed()) == ["2.0"]


def test_repository_of_the_client_with_its_own_snapshot_key(real: Real) -> None:
    real.notary.run("init", "-p", GUN)
    real.notary.run("add", "-p", GUN, "1.0", real.notary.manifest("layer"))
    real.sign("1.4")
    real.notary.run("add", "-p", GUN, "2.0", real.notary.manifest("another"))
    assert sorted(real.listed()) == ["1.0", "1.4", "2.0"]
    assert real.owner().give_snapshot_to_server() is True
    assert real.owner().give_snapshot_to_server() is False
    real.sign("2.1", "another")
    assert sorted(real.listed(trust="fresh")) == ["1.0", "1.4", "2.0", "2.1"]


@pytest.mark.parametrize("algorithm", [EC, RSA], ids=["P-256", "RSA"])
def test_delegates_of_both_programs_extend_the_same_roles(real: Real, algorithm: tuple[str, ...]) -> None:
    real.owner().initialise()
    alice = real.notary.signer("alice", algorithm)
    assert real.owner().delegate([RELEASES, ADMIN], [real.certificate("alice")])
    assert alice.canonical_id in real.notary.run("delegation", "list", GUN)
    real.sign("1.4", keys=only(alice))
    real.notary.run("add", "-p", GUN, "2.0", real.notary.manifest("another"), "-r", RELEASES, "-r", ADMIN)
    real.sign("2.1", "another", keys=only(alice))
    for role in (RELEASES, ADMIN):
        assert sorted(real.listed(role)) == ["1.4", "2.0", "2.1"]


def test_rotated_keys_are_followed_by_a_client_with_the_old_root(real: Real) -> None:
    real.owner().initialise()
    real.sign("1.4")
    real.listed()
    real.owner().rotate_targets()
    real.owner().rotate_root()
    real.owner().rotate_timestamp()
    real.sign("1.5")
    assert sorted(real.listed()) == sorted(real.listed(trust="fresh")) == ["1.4", "1.5"]
    real.notary.run("key", "rotate", GUN, "root", answers="yes\n")
    real.sign("1.6")
    assert sorted(real.listed()) == ["1.4", "1.5", "1.6"]


def test_role_of_a_removed_signer_is_repaired_without_its_entries(real: Real) -> None:
    real.owner().initialise()
    alice, bob = (real.notary.signer(name, EC) for name in ("alice", "bob"))
    real.owner().delegate([RELEASES], [real.certificate("alice"), real.certificate("bob")])
    real.sign("1.4", keys=only(alice))
    real.notary.run("delegation", "remove", "-p", GUN, RELEASES, alice.canonical_id, "-y")
    assert real.listed() == {}
    real.sign("1.5", keys=only(bob))
    assert sorted(real.listed()) == ["1.5"]


def test_name_that_is_too_long_for_a_certificate(real: Real) -> None:
    real.owner(LONG_GUN).initialise()
    real.sign("1.4", gun=LONG_GUN)
    assert sorted(real.listed(gun=LONG_GUN)) == ["1.4"]


def test_eight_writers_at_once_lose_nothing(real: Real) -> None:
    real.owner().initialise()
    alice = real.notary.signer("alice", EC)
    real.owner().delegate([RELEASES, ADMIN], [real.certificate("alice")])
    tags = [f"tag-{number}" for number in range(8)]
    with ThreadPoolExecutor(len(tags)) as pool:
        list(pool.map(lambda tag: real.sign(tag, keys=only(alice)), tags))
    assert sorted(real.listed(RELEASES)) == sorted(real.listed(ADMIN)) == tags


def test_key_files_of_sealgate_are_opened_by_the_client(real: Real) -> None:
    key = real.owner().initialise()
    listed = real.notary.run("key", "list")
    assert key.canonical_id in listed
    exported = real.notary.folder / "exported.pem"
    real.notary.run("key", "export", "--key", key.canonical_id, "-o", str(exported))
    assert key.canonical_id in exported.read_text()


def test_push_and_pull_are_rights_enough_and_pull_alone_is_refused(tmp_path: Path) -> None:
    require_tool("notary-server")
    with RegistrySimulator() as registry:
        tokens, bundle = tokens_for(GUN, tmp_path, ("pull", "push"), ("pull",))
        options = {"realm": f"{registry.url}/tokens", "service": "notary", "issuer": "token service"}
        auth = {"type": "token", "options": {**options, "rootcertbundle": str(bundle)}}
        mirrors = {"dtr.example.org": registry.host}
        with Notary(tmp_path, auth) as notary:
            for token in tokens:
                registry.documents["/tokens"] = json_answer({"token": token})
                with client_for(registry, insecure=frozenset({notary.address}), mirrors=mirrors) as client:
                    real = Real(notary, registry, client)
                    real.credentials = docker_config({notary.address: {"username": "robot", "password": "s3cret"}})
                    if token == tokens[0]:
                        real.owner().initialise()
                        real.sign("1.4")
                        continue
                    with pytest.raises(UnauthorizedError) as caught:
                        real.sign("1.5")
                    assert "push" in caught.value.message
                    assert "s3cret" not in caught.value.message
