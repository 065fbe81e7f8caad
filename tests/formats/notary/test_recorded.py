"""Recorded files of the real notary client and server, intact and with one defect each, named by the file."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.notary import NotarySpec
from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import VerificationError
from sealgate.formats.interface import Image, Sources
from sealgate.formats.notary.verify import build
from sealgate.http.settings import HostSettings
from sealgate.keys.resolvers import FileKeys
from sealgate.reasons import Reason
from sealgate.references import Reference, parse_repository
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.registry.interface import DOCKER_MANIFEST
from sealgate.trusted_state.records import TrustKey
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.support.clocks import FakeClock
from tests.support.simulators.notary import NotaryRepository, NotarySimulator
from tests.support.simulators.registry import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[2] / "data" / "notary"
RECORDED = sorted(path.stem for path in (DATA / "recorded").glob("*.json"))
BROKEN = sorted(path.stem for path in (DATA / "broken").glob("*.json") if path.stem != "none")


@dataclass
class Fixture:
    """A fixture, served and ready to be verified."""

    members: dict[str, Any]
    dtr: NotarySimulator
    client: RegistryClient
    state: MemoryTrustedState

    def verify(self, tag: str | None = None, **changes: Any) -> Any:
        spec = NotarySpec.model_validate_json(json.dumps({"server": self.dtr.url, **self.members["spec"], **changes}))
        repository = parse_repository(self.members["gun"])
        image = Image(
            Reference(repository, tag or self.members["tag"], None), digest_of(self.members["manifest"].encode())
        )
        deadline = Deadline.after(SystemClock(), 30)
        sources = Sources(
            registry=self.client.session(NoCredentials(), deadline),
            services=self.client.services(deadline),
            clock=FakeClock(datetime.fromisoformat(self.members["time"])),
            deadline=deadline,
            state=self.state,
        )
        return build(spec, FileKeys({})).verify(image, sources)

    def serve(self, files: dict[str, str]) -> None:
        self.dtr.host_repository(
            NotaryRepository.of_files(
                self.members["gun"], {name: text.encode("utf-8", "surrogateescape") for name, text in files.items()}
            )
        )


@pytest.fixture
def dtr() -> Any:
    with NotarySimulator() as simulator:
        yield simulator


def load(folder: str, name: str) -> dict[str, Any]:
    members: dict[str, Any] = json.loads((DATA / folder / f"{name}.json").read_text())
    if folder == "broken" and name != "none":
        sound = load("broken", "none")
        members = {**sound, **members, "files": {**sound["files"], **members["files"]}}
    return members


@contextlib.contextmanager
def served(dtr: NotarySimulator, members: dict[str, Any]) -> Iterator[Fixture]:
    repository = parse_repository(members["gun"])
    dtr.push_manifest(repository.path, None, members["manifest"].encode(), DOCKER_MANIFEST)
    settings = HostSettings(insecure=frozenset({dtr.host}), mirrors={repository.registry: dtr.host})
    with RegistryClient(settings) as client:
        fixture = Fixture(members, dtr, client, MemoryTrustedState())
        fixture.serve(members["files"])
        yield fixture


@pytest.mark.parametrize("name", RECORDED)
def test_repository_of_the_real_notary_is_verified(dtr: NotarySimulator, name: str) -> None:
    with served(dtr, load("recorded", name)) as fixture:
        verified = fixture.verify()
    assert verified.fingerprints
    assert all(seen.reason is Reason.VERIFIED for seen in verified.signatures)


def test_a_fixture_without_defect_is_verified(dtr: NotarySimulator) -> None:
    with served(dtr, load("broken", "none")) as fixture:
        assert len(fixture.verify().fingerprints) == 2


@pytest.mark.parametrize("name", BROKEN)
def test_every_defect_is_refused_with_its_reason(dtr: NotarySimulator, name: str) -> None:
    with served(dtr, load("broken", name)) as fixture, pytest.raises(VerificationError) as caught:
        fixture.verify()
    assert caught.value.reason.value == fixture.members["expect"], caught.value.message
    key = TrustKey(dtr.url, fixture.members["gun"])
    versions = {role: json.loads(data)["signed"]["version"] for role, data in load("broken", "none")["files"].items()}
    remembered = fixture.state.load(key).versions
    assert remembered.items() <= versions.items(), "something was remembered of a file that is not trusted"
