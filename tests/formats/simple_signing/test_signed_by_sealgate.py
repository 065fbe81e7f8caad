"""Recorded signatures of sealgate by OpenPGP keys, with what gpg and skopeo said about them."""

from __future__ import annotations

import contextlib
import hashlib
import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import VerificationError
from sealgate.formats.simple_signing.identities import ExactReference
from sealgate.formats.simple_signing.sign import parse_identity
from sealgate.formats.simple_signing.stores import FolderStore
from sealgate.formats.simple_signing.verify import SimpleSigningCheck
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.reasons import Reason
from tests.data.simple_signing.signed_by_sealgate.generate import (
    CHANGES,
    HERE,
    KEYS,
    NAME,
    SUBKEYS,
    Tools,
    change,
    push_image,
    put_into_extension,
    sign,
)
from tests.support.environments.simple_signing_signer import SigningEnvironment
from tests.support.real_tools.gpg_home import gpg_home
from tests.support.real_tools.verdicts import read_verdicts
from tests.support.signers.replayed import ReplayedOpenPGPKey
from tests.support.simulators.registry import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.findings import Verified
    from sealgate.keys.openpgp.keyring import Keyring
    from tests.support.real_tools.verdicts import Verdict

VERDICTS = read_verdicts(HERE / "verdicts.json")
IMAGE = digest_of((HERE / "manifest.json").read_bytes())
FOLDER = f"team/api@{IMAGE.replace(':', '=')}"


def message(name: str) -> bytes:
    return (HERE / f"{name}.sig").read_bytes()


def put(name: str) -> bytes:
    return (HERE / f"{name}.put.json").read_bytes()


def keyring(name: str) -> Keyring:
    return load_keyring((HERE / f"{name}.asc").read_text())


def replayed(name: str) -> ReplayedOpenPGPKey:
    return ReplayedOpenPGPKey(keyring(name), message(name))


@pytest.fixture
def environment() -> Iterator[SigningEnvironment]:
    with SigningEnvironment() as environment:
        assert push_image(environment) == (HERE / "manifest.json").read_bytes()
        yield environment


def at_that_time(environment: SigningEnvironment, name: str) -> SigningEnvironment:
    """Set the clock back to when a signature was made."""
    then = datetime.fromisoformat(VERDICTS[name]["time"])
    environment.clock.advance((then - environment.clock.now()).total_seconds())
    return environment


def verify(environment: SigningEnvironment, name: str, folder: Path, content: bytes) -> Verified:
    """Verify the image with a signature in a lookaside folder."""
    path = folder / FOLDER / "signature-1"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    check = SimpleSigningCheck(keyring(name), FolderStore(folder), ExactReference(parse_identity(NAME)), content="")
    return check.verify(environment.here(), environment.sources())


@pytest.mark.parametrize("name", KEYS)
def test_recording_verifies(environment: SigningEnvironment, tmp_path: Path, name: str) -> None:
    found = verify(environment, name, tmp_path, message(name))
    assert found.fingerprints == (replayed(name).fingerprint,)


@pytest.mark.parametrize("name", ["rsa-3072", "ed25519", "two-signing-subkeys"])
@pytest.mark.parametrize("place", CHANGES)
def test_changed_byte_is_refused(environment: SigningEnvironment, tmp_path: Path, name: str, place: str) -> None:
    with pytest.raises(VerificationError) as caught:
        verify(environment, name, tmp_path, change(message(name), place))
    assert caught.value.reason is Reason.INVALID_SIGNATURE, caught.value.message


def test_every_byte_counts_that_openpgp_signs() -> None:
    # RFC 4880 signs neither the hints in front (5.4), nor the literal's date (5.9), nor the hash's first bytes (5.2.3).
    hints, date, check = range(5, 15), range(20, 24), range(435, 437)
    good, key = message("ed25519"), keyring("ed25519")
    accepted = []
    for at in range(len(good)):
        with contextlib.suppress(VerificationError):
            key.verify(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :], datetime.now(UTC))
            accepted.append(at)
    assert accepted == [*hints, *date, *check]


@pytest.mark.parametrize("name", KEYS)
def test_signer_stores_the_same_today(environment: SigningEnvironment, tmp_path: Path, name: str) -> None:
    at_that_time(environment, name)
    result = sign(environment, replayed(name), FolderStore(tmp_path))
    assert (tmp_path / FOLDER / "signature-1").read_bytes() == message(name)
    assert result.digest.removeprefix("sha256:") == VERDICTS[name]["sha256"]
    recorded, today = (json.loads(body) for body in (put(name), put_into_extension(environment, replayed(name))))
    assert today.pop("name").partition("@")[0] == recorded.pop("name").partition("@")[0] == IMAGE
    assert today == recorded


# What the tools said ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEYS)
def test_every_tool_accepts_the_recording_and_refuses_a_changed_byte(name: str) -> None:
    assert hashlib.sha256(message(name)).hexdigest() == VERDICTS[name]["sha256"]
    assert b64decode(json.loads(put(name))["content"]) == message(name)
    recorded = VERDICTS[name]["verdicts"]
    assert recorded.keys() == {"unchanged", *CHANGES}
    # skopeo by itself, and where it pulls the image: with the signature in the extension, and in a folder.
    tools = ["gpg"] if name in SUBKEYS else ["gpg", "skopeo", "skopeo", "skopeo"]
    for place, verdicts in recorded.items():
        assert [verdict.tool.partition(" ")[0] for verdict in verdicts] == tools
        assert [verdict.accepted for verdict in verdicts] == [place == "unchanged"] * len(tools)


@pytest.mark.real
@pytest.mark.parametrize("name", ["ed25519", "two-signing-subkeys"])
def test_tools_say_the_same_today(tmp_path: Path, name: str) -> None:
    with gpg_home(tmp_path / "gnupg") as home:
        today = Tools(home, tmp_path, HERE, name).judge()
    assert answers(today) == answers(VERDICTS[name]["verdicts"])


def answers(verdicts: dict[str, list[Verdict]]) -> dict[str, list[tuple[str, bool]]]:
    """Return what counts of verdicts, whatever the version of the tool."""
    return {place: [(each.command, each.accepted) for each in given] for place, given in verdicts.items()}
