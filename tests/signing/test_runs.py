"""Runs over many images: one failure stops nothing, platforms are found, and what was dropped is signed again."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import DeadlineError, NotFoundError, SigningError, VerificationError
from sealgate.formats.cosign.sign import CosignSigner, Storage
from sealgate.formats.signing import SigningOutcome
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.keys.private_keys import load_private_key
from sealgate.references import parse_reference
from sealgate.registry.credentials import NoCredentials
from sealgate.registry.interface import OCI_INDEX
from sealgate.signing.locks import RepositoryLocks
from sealgate.signing.runs import RECHECK_SECONDS, SignedImage, SigningRun
from sealgate.signing.targets import MAX_PLATFORMS
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import client_for
from tests.support.simulators.http_messages import encode
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sealgate.references import Digest

KEY = load_private_key(write_private_key(generate_key(KeyType.ECDSA_P256), None), "the key file a.pem", lambda: b"")


class Clock(FakeClock):
    """A clock that does something during the pause before signatures are looked for once more."""

    def __init__(self) -> None:
        super().__init__()
        self.during: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        if seconds == RECHECK_SECONDS:
            self.during()
        super().sleep(seconds)


class Workshop:
    """A registry, and runs against it."""

    def __init__(self, directory: Path, registry: RegistrySimulator) -> None:
        self.registry = registry
        self.clock = Clock()
        self.locks = RepositoryLocks(directory)
        self.progress: list[tuple[int, int]] = []

    def sign(self, *images: str, storage: Storage = Storage.TAG, recursive: bool = False) -> list[SignedImage]:
        references = [parse_reference(f"{self.registry.host}/{image}") for image in images]
        with self.run(storage) as run:
            return run.sign_all(
                references, recursive=recursive, progress=lambda done, total: self.progress.append((done, total))
            )

    @contextmanager
    def run(self, storage: Storage = Storage.TAG) -> Iterator[SigningRun]:
        with client_for(self.registry, clock=self.clock) as client:
            yield SigningRun(
                client=client,
                credentials=NoCredentials(),
                clock=self.clock,
                signer=CosignSigner(KEY, storage),
                locks=self.locks,
                state=MemoryTrustedState(),
                timeout=30,
            )

    def sign_one(self, image: str) -> SignedImage:
        with self.run() as run:
            return run.sign_one(parse_reference(f"{self.registry.host}/{image}"))

    def tag(self, repository: str, digest: Digest) -> str:
        return self.registry.repositories[repository].tags[digest.replace(":", "-") + ".sig"]


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with RegistrySimulator() as registry:
        yield Workshop(tmp_path, registry)


def outcomes(signed: list[SignedImage]) -> list[object]:
    return [type(each.error) if each.result is None else each.result.outcome for each in signed]


def test_images_are_signed_in_order_whatever_fails(workshop: Workshop) -> None:
    workshop.registry.push_image("team/a", "1")
    workshop.registry.push_image("team/b", "1")
    workshop.registry.push_manifest("team/b", "bad", b"not a manifest")
    signed = workshop.sign("team/a:1", "team/gone:1", "team/b:1", "team/a:1", storage=Storage.REFERRERS)
    assert outcomes(signed) == [
        SigningOutcome.SIGNED,
        NotFoundError,
        SigningOutcome.SIGNED,
        SigningOutcome.ALREADY_SIGNED,
    ]
    assert sorted(workshop.progress) == [(2, 4), (3, 4), (4, 4)]


def test_many_tags_of_one_repository_wait_for_no_lock(workshop: Workshop) -> None:
    for number in range(20):
        workshop.registry.push_image("team/app", f"v{number}")
    signed = workshop.sign(*(f"team/app:v{number}" for number in range(20)))
    assert outcomes(signed) == [SigningOutcome.SIGNED] * 20
    assert set(workshop.clock.slept) == {RECHECK_SECONDS}


def test_lock_that_another_process_holds_is_waited_for_until_the_timeout(workshop: Workshop) -> None:
    digest = workshop.registry.push_image("team/app", "v1")
    with workshop.locks.hold(f"{workshop.registry.host}/team/app", Deadline.after(workshop.clock, 1)):
        assert outcomes(workshop.sign(f"team/app@{digest}")) == [DeadlineError]
    assert outcomes(workshop.sign(f"team/app@{digest}")) == [SigningOutcome.SIGNED]


def test_signature_dropped_after_the_read_back_is_added_again(workshop: Workshop) -> None:
    digest = workshop.registry.push_image("team/app", "v1")

    def drop() -> None:
        workshop.registry.delete("team/app", workshop.tag("team/app", digest))

    workshop.clock.during = drop
    (signed,) = workshop.sign("team/app:v1")
    assert signed.result is not None
    assert (signed.result.outcome, signed.result.repairs) == (SigningOutcome.SIGNED, 1)
    assert workshop.tag("team/app", digest) == signed.result.digest


def test_one_image_is_looked_for_once_more(workshop: Workshop) -> None:
    digest = workshop.registry.push_image("team/app", "v1")
    workshop.clock.during = lambda: workshop.registry.delete("team/app", workshop.tag("team/app", digest))
    signed = workshop.sign_one("team/app:v1")
    assert signed.result is not None
    assert (signed.result.outcome, signed.result.repairs) == (SigningOutcome.SIGNED, 1)
    assert outcomes([workshop.sign_one("team/app:v1")]) == [SigningOutcome.ALREADY_SIGNED]


def test_one_image_that_is_not_there_is_reported(workshop: Workshop) -> None:
    assert outcomes([workshop.sign_one("team/app:v1")]) == [NotFoundError]


def test_failure_of_the_second_look_is_reported_beside_the_signature(workshop: Workshop) -> None:
    workshop.registry.push_image("team/app", "v1")
    workshop.clock.during = lambda: workshop.registry.faults.status("/v2/", 500)
    (signed,) = workshop.sign("team/app:v1")
    assert signed.result is not None
    assert signed.error is not None


@pytest.mark.parametrize("storage", [Storage.REFERRERS, Storage.BUNDLE])
def test_referrers_of_the_api_need_no_second_look(workshop: Workshop, storage: Storage) -> None:
    workshop.registry.push_image("team/app", "v1")
    workshop.sign("team/app:v1", storage=storage)
    assert not workshop.clock.slept


def test_image_that_was_signed_already_needs_no_second_look(workshop: Workshop) -> None:
    workshop.registry.push_image("team/app", "v1")
    workshop.sign("team/app:v1")
    workshop.clock.slept.clear()
    workshop.sign("team/app:v1")
    assert not workshop.clock.slept


def test_tag_that_moves_during_the_run_changes_nothing(workshop: Workshop) -> None:
    first = workshop.registry.push_image("team/app", "v1", content=b"one")
    second = workshop.registry.push_image("team/app", content=b"two")
    workshop.clock.during = lambda: workshop.registry.tag("team/app", "v1", second)
    (signed,) = workshop.sign("team/app:v1")
    assert signed.image is not None
    assert signed.image.digest == first
    assert second.replace(":", "-") + ".sig" not in workshop.registry.repositories["team/app"].tags


def test_every_platform_is_signed_once_and_attestations_are_not(workshop: Workshop) -> None:
    registry = workshop.registry
    arm, intel, attestation = (registry.push_image("team/app", content=name) for name in (b"arm", b"intel", b"att"))
    inner = registry.push_index("team/app", None, (arm,))
    index = json.loads(
        registry.manifest("team/app", registry.push_index("team/app", None, (inner, intel, attestation, arm)))[1]
    )
    index["manifests"][2]["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    top = registry.push_manifest("team/app", "v1", encode(index), OCI_INDEX)
    signed = workshop.sign("team/app:v1", recursive=True)
    assert outcomes(signed) == [SigningOutcome.SIGNED] * 4
    assert {each.image.digest for each in signed if each.image} == {top, inner, intel, arm}


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        ([{"mediaType": "x", "size": 1}], VerificationError),
        ([{"digest": "sha256:1", "mediaType": "x", "size": 1}], VerificationError),
        (["not an object"], VerificationError),
    ],
)
def test_malformed_index_is_refused(workshop: Workshop, entries: list[Any], error: type[Exception]) -> None:
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    workshop.registry.push_manifest("team/app", "v1", encode(index), OCI_INDEX)
    assert outcomes(workshop.sign("team/app:v1", recursive=True)) == [error]


def test_index_with_too_many_manifests_is_refused(workshop: Workshop) -> None:
    registry = workshop.registry
    children = tuple(
        registry.push_image("team/app", content=bytes([0, n // 250, n % 250])) for n in range(MAX_PLATFORMS + 1)
    )
    registry.push_index("team/app", "v1", children)
    assert outcomes(workshop.sign("team/app:v1", recursive=True)) == [SigningError]
