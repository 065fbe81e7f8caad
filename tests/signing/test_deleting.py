"""Deleting beside other writers: what they store stays, what they store again goes again, and what is lost is said."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealgate.cli.inputs.notary_keys import NotaryPassphrases
from sealgate.errors import InvalidInputError, SealgateError, SigningError, UnavailableError
from sealgate.formats.notary.private_keys.stores import TrustDirectory
from sealgate.formats.referrer_removal import ReferrerRemoval
from sealgate.formats.stored import StoredSignature
from sealgate.references import Digest, parse_reference, parse_repository
from sealgate.registry.credentials import NoCredentials
from sealgate.signing.deleting import RECHECK_SECONDS, DeletionRun, choose_by_id
from sealgate.signing.listing import ListedSignature, ListingRun
from sealgate.signing.locks import RepositoryLocks
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.signing.test_runs import Clock
from tests.support.environments.registry_clients import client_for
from tests.support.signers.cosign import BundleOf, Classic, push_bundle, push_classic, signature_tag
from tests.support.signers.private_keys import new_key, sign
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.http_messages import Answer, encode
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.references import Repository
    from tests.support.signers.private_keys import PrivateKey

OURS, THEIRS, THIRD = (new_key("ECDSA P-256", name) for name in ("deleted", "kept", "third"))
PATH = "team/app"
NO_KEYS = TrustDirectory(Path("/nonexistent"), NotaryPassphrases())


class Archive:
    """A registry with one image, and deletions of signatures of the key `OURS`."""

    def __init__(self, directory: Path, registry: RegistrySimulator) -> None:
        self.registry = registry
        self.digest = registry.push_image(PATH, "v1")
        self.clock = Clock()
        self.locks = RepositoryLocks(directory)
        self.ours, self.theirs, self.third = (self.signature(key) for key in (OURS, THEIRS, THIRD))

    def signature(self, key: PrivateKey) -> Classic:
        """Return a signature that is the same each time that it is pushed."""
        classic = Classic(self.digest, key)
        return replace(classic, signature=sign(key, encode(classic.document())))

    def push(self, *signatures: Classic) -> None:
        push_classic(self.registry, PATH, *signatures)

    def layers(self) -> int:
        """Return how many signatures the tag has now."""
        if signature_tag(self.digest) not in self.registry.repositories[PATH].tags:
            return 0
        return self.registry.manifest(PATH, signature_tag(self.digest))[1].count(b"cosign/signature")

    def delete(self, chosen: int = 0) -> SealgateError | None:
        """Delete one of the signatures that are listed now; return why not."""
        with client_for(self.registry, clock=self.clock) as client:
            listing = ListingRun(
                client=client,
                credentials=NoCredentials(),
                clock=self.clock,
                checks={},
                state=MemoryTrustedState(),
                timeout=30,
            )
            image = listing.resolve(parse_reference(f"{self.registry.host}/{PATH}:v1"))
            listed = listing.signatures(image)
            (outcome,) = DeletionRun(listing, self.locks, NO_KEYS).delete(image, listed, [listed[chosen]])
            return outcome.error

    def after(self, number: int, method: str, path: str, action: Callable[[], object]) -> None:
        """Let another writer do something after the given request of its kind, as it was answered before that."""
        requests = count(1)

        def change(answer: Answer) -> Answer:
            if next(requests) == number:
                action()
            return answer

        self.registry.faults.add(Fault(path, change, method=method))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with RegistrySimulator() as registry:
        yield Archive(tmp_path, registry)


def test_signature_that_was_stored_again_is_deleted_again(archive: Archive) -> None:
    archive.push(archive.ours, archive.theirs)

    def store_again() -> None:
        archive.push(archive.ours, archive.theirs)
        archive.clock.during = lambda: None

    archive.clock.during = store_again
    assert archive.delete() is None
    assert archive.layers() == 1
    assert archive.clock.slept.count(RECHECK_SECONDS) == 2


def test_writer_that_never_stops_is_named(archive: Archive) -> None:
    archive.push(archive.ours)
    archive.clock.during = lambda: archive.push(archive.ours)
    error = archive.delete()
    assert isinstance(error, SigningError)
    assert "another writer stores it" in error.message


def test_lost_neighbour_is_an_error(archive: Archive) -> None:
    archive.push(archive.ours, archive.theirs)
    archive.clock.during = lambda: archive.registry.delete(PATH, signature_tag(archive.digest))
    with pytest.raises(SigningError, match="signatures that were not chosen are gone"):
        archive.delete()


def test_what_cannot_be_read_back_is_not_said_to_be_gone(archive: Archive) -> None:
    archive.push(archive.ours)
    archive.clock.during = lambda: archive.registry.faults.status("/referrers/", 500)
    with pytest.raises(UnavailableError, match="could not be read"):
        archive.delete()


def test_conditional_write_keeps_what_another_writer_adds(archive: Archive) -> None:
    archive.registry.etags = True
    archive.push(archive.ours, archive.theirs)
    archive.after(1, "POST", "/blobs/uploads/$", lambda: archive.push(archive.ours, archive.theirs, archive.third))
    assert archive.delete() is None
    assert archive.layers() == 2


def test_last_manifest_is_kept_where_another_writer_extends_it(archive: Archive) -> None:
    archive.push(archive.ours)
    # The first request is that of the listing, the second comes right before the deletion.
    path = f"/manifests/{signature_tag(archive.digest)}"
    archive.after(2, "GET", path, lambda: archive.push(archive.ours, archive.theirs))
    assert archive.delete() is None
    assert [request.method for request in archive.registry.requests].count("DELETE") == 1
    assert archive.layers() == 1


def test_lost_answer_to_a_deletion_that_happened_is_no_failure(archive: Archive) -> None:
    push_bundle(archive.registry, PATH, BundleOf(archive.digest, OURS))
    archive.registry.faults.add(Fault("/manifests/", lambda _: Answer(500), method="DELETE"))
    assert archive.delete() is None


def test_waits_for_no_second_look_where_no_writer_can_interfere(archive: Archive) -> None:
    push_bundle(archive.registry, PATH, BundleOf(archive.digest, OURS))
    assert archive.delete() is None
    assert not archive.clock.slept


def test_id_that_fits_several_signatures_is_refused_with_their_names() -> None:
    repository = parse_repository("registry.example.org/team/app")
    signatures = (_referrer(repository, number) for number in count())
    by_beginning: dict[str, ListedSignature] = {}
    listed = next(each for each in signatures if by_beginning.setdefault(each.id[:4], each) is not each)
    other = by_beginning[listed.id[:4]]
    with pytest.raises(InvalidInputError, match=rf"{other.id[:12]} {other.stored.source}, {listed.id[:12]} referrer"):
        choose_by_id([other, listed], [listed.id[:4]])
    assert choose_by_id([other, listed], [listed.id[:12]]) == [listed]
    with pytest.raises(InvalidInputError, match="too short"):
        choose_by_id([other, listed], ["4a4"])


def _referrer(repository: Repository, number: int) -> ListedSignature:
    removal = ReferrerRemoval(repository, Digest(f"sha256:{number:064x}"))
    return ListedSignature("cosign", StoredSignature(f"referrer {number}", None, removal=removal))
