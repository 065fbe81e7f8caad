"""Other writers, broken servers and lost answers: nothing is lost, and success means that readers find it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sealgate.errors import ConflictError, SigningError, UnavailableError, VerificationError
from sealgate.formats.notary.private_keys.files import local_key
from sealgate.formats.notary.publishing import changes
from sealgate.formats.notary.publishing.publisher import MAX_ATTEMPTS
from sealgate.formats.signing import SigningOutcome
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.support.clocks import FakeClock
from tests.support.environments.notary_signing import ADMIN, RELEASES, NotarySigning, only
from tests.support.signers.notary import ecdsa_signer
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.notary_writes import refused


def test_tag_of_a_faster_writer_is_kept(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.sign("1.0", keys=only(signing.alice))
    stale = dict(signing.trust.files)
    signing.sign("1.5", keys=only(signing.alice), digest=signing.other)
    fresh = dict(signing.trust.files)
    # What is read first is older than what the server compares the POST with, as if the other came in between.
    signing.trust.files[RELEASES] = stale[RELEASES]
    signing.dtr.writes.before = lambda: signing.trust.files.update(fresh)
    signing.state = MemoryTrustedState()
    assert signing.sign("2.0", keys=only(signing.alice)).outcome is SigningOutcome.SIGNED
    assert sorted(signing.tags(RELEASES)) == ["1.0", "1.5", "2.0"]


@pytest.mark.parametrize("answer", [refused(400, "VERSION", {}), refused(500, "UPDATING", None)])
def test_conflicts_are_repeated_with_growing_pauses(signing: NotarySigning, answer: Answer) -> None:
    signing.delegated()
    clock = signing.clock
    assert isinstance(clock, FakeClock)
    clock.slept.clear()
    signing.dtr.writes.answers = [answer] * 5
    assert signing.sign(keys=only(signing.alice)).outcome is SigningOutcome.SIGNED
    assert len(clock.slept) == 5
    assert clock.slept[4] > clock.slept[0]
    assert len(set(clock.slept)) == 5


def test_conflicts_without_end_are_given_up(signing: NotarySigning) -> None:
    signing.delegated()
    signing.dtr.writes.posted.clear()
    signing.dtr.writes.answers = [refused(400, "VERSION", {})] * 100
    with pytest.raises(ConflictError, match="other writers kept changing"):
        signing.sign(keys=only(signing.alice))
    assert len(signing.dtr.writes.posted) == MAX_ATTEMPTS >= 10


def test_eight_writers_at_once_lose_nothing(signing: NotarySigning) -> None:
    signing.delegated()
    tags = [f"tag-{number}" for number in range(8)]
    with ThreadPoolExecutor(len(tags)) as pool:
        list(pool.map(lambda tag: signing.sign(tag, keys=only(signing.alice)), tags))
    assert sorted(signing.tags(RELEASES)) == sorted(signing.tags(ADMIN)) == tags


def test_failing_server_is_unavailable(signing: NotarySigning) -> None:
    signing.delegated()
    signing.dtr.writes.answers = [refused(500, "UNKNOWN", None)]
    with pytest.raises(UnavailableError, match="answered 500 UNKNOWN"):
        signing.sign(keys=only(signing.alice))


def test_lost_answer_is_read_back(signing: NotarySigning) -> None:
    signing.delegated()
    store = signing.dtr.writes.store

    def lose(gun: str, request: object) -> Answer:
        store(gun, request)  # type: ignore[arg-type]
        return Answer(502, {}, b"<html>bad gateway</html>")

    signing.dtr.writes.store = lose  # type: ignore[method-assign]
    assert signing.sign(keys=only(signing.alice)).outcome is SigningOutcome.SIGNED
    assert list(signing.tags(RELEASES)) == ["1.4"]


def test_file_that_readers_do_not_find_is_an_error(signing: NotarySigning) -> None:
    """A proxy that adds a newline: the server answers 200, and hashes other bytes than it stores."""
    signing.delegated()
    store = signing.trust.store
    signing.trust.store = lambda role, data: store(role, data + b"\n")  # type: ignore[method-assign]
    with pytest.raises(VerificationError, match=r"accepted the trust data .* but it cannot be read back"):
        signing.sign(keys=only(signing.alice))
    # The next right version heals it.
    signing.trust.store = store  # type: ignore[method-assign]
    assert signing.sign(keys=only(signing.alice)).outcome is SigningOutcome.SIGNED


def test_posted_files_are_in_gos_form(signing: NotarySigning) -> None:
    signing.delegated(RELEASES)
    signing.sign(keys=only(signing.alice))
    raw = signing.trust.files[RELEASES]
    assert raw.startswith(b'{"signed":{"_type":"Targets","delegations":{"keys":{},"roles":[]},"expires":"2029-11-20T')
    assert b'Z","targets":{"1.4":{"hashes":{"sha256":"' in raw
    assert b'"version":1},"signatures":[{"keyid":"' in raw
    assert b'","method":"ecdsa","sig":"' in raw
    assert raw.endswith(b'"}]}')


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refused(400, "INVALID_ROLE", "releases"), "fix of notary's pull request 1635"),
        (refused(404, "METADATA_NOT_FOUND", None), "check --server"),
        (Answer(404, {}, b"<html>"), "check --server"),
        (
            refused(400, "INVALID_UPDATE", {"Name": "ErrBadTargets", "Error": {"Msg": "expired\n"}}),
            r"answered 400 INVALID_UPDATE and refused .*: expired\\n$",
        ),
        (Answer(413, {}, b"not JSON"), "answered 413 and refused"),
    ],
)
def test_refusals_of_the_server_are_explained(signing: NotarySigning, answer: Answer, message: str) -> None:
    signing.delegated()
    signing.dtr.writes.answers = [answer]
    with pytest.raises(SigningError, match=message):
        signing.sign(keys=only(signing.alice))


def test_snapshot_key_that_nobody_here_holds_is_explained(signing: NotarySigning) -> None:
    signing.delegated()
    signing.dtr.writes.keys.pop((signing.gun, "snapshot"))
    with pytest.raises(SigningError, match=f"sealgate notary rotate {signing.gun} snapshot"):
        signing.sign(keys=only(signing.alice))


def test_own_snapshot_key_signs_the_snapshot(signing: NotarySigning) -> None:
    own_snapshot_key(signing)
    signing.dtr.writes.posted.clear()
    signing.sign()
    signing.sign("1.5", digest=signing.other)
    assert signing.dtr.writes.posted == [["targets", "snapshot"]] * 2
    listed = signing.trust.signed["snapshot"]["meta"]
    assert sorted(listed) == ["root", "targets"]


def test_snapshot_that_is_not_served_is_found_by_its_version(signing: NotarySigning) -> None:
    own_snapshot_key(signing)
    for number in range(3):
        signing.sign(f"1.{number}")
    for version in range(1, signing.trust.signed["snapshot"]["version"] + 1):
        signing.trust.files[f"{version}.snapshot"] = signing.trust.files["snapshot"]
    del signing.trust.files["snapshot"]
    signing.sign("2.0")
    assert sorted(signing.tags("targets")) == ["1.0", "1.1", "1.2", "2.0"]


def own_snapshot_key(signing: NotarySigning) -> None:
    """Let a repository have its snapshot key with the owner, as `notary init` leaves it."""
    signing.owner.initialise()
    key = local_key(ecdsa_signer().private, "the snapshot key")
    signing.directory.add(key, "snapshot", signing.gun)
    signing.publisher.apply(lambda state: changes.rotate_snapshot(state, key.entry))
