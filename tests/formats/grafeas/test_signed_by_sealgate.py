"""Recorded attestations of sealgate, with what openssl and gpg said about them."""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.formats.grafeas.attestors import DetachedAttestor, OpenPGPAttestor
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.keys.public_keys import load_public_key
from sealgate.reasons import Reason
from tests.data.grafeas.signed_by_sealgate.generate import HERE, ID, KINDS, OPENPGP, judge, sign, signed
from tests.support.changes import change_base64, change_byte, change_text
from tests.support.environments.grafeas import GrafeasEnvironment
from tests.support.real_tools.required import require_tool
from tests.support.real_tools.verdicts import read_verdicts
from tests.support.signers.replayed import ReplayedKey, ReplayedOpenPGPKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sealgate.formats.grafeas.attestors import Attestor
    from tests.support.real_tools.verdicts import Verdict

RECORDED: dict[str, dict[str, Any]] = json.loads((HERE / "recorded.json").read_text())
VERDICTS = read_verdicts(HERE / "verdicts.json")


@pytest.fixture
def serve() -> Iterator[Callable[..., GrafeasEnvironment]]:
    """Return what serves an occurrence in the API's version of a recording."""
    with GrafeasEnvironment() as environment:

        def serve(name: str, *occurrences: dict[str, Any]) -> GrafeasEnvironment:
            environment.server.version = RECORDED[name]["apiVersion"]
            environment.server.occurrences[:] = occurrences
            return environment

        yield serve


@pytest.mark.parametrize("name", RECORDED)
def test_recording_verifies(serve: Callable[..., GrafeasEnvironment], name: str) -> None:
    environment = serve(name, RECORDED[name]["occurrence"])
    assert environment.verify(environment.check(RECORDED[name]["key"])).fingerprints == (attestor(name).fingerprint,)


@pytest.mark.parametrize("name", RECORDED)
def test_attestor_stores_the_same_today(serve: Callable[..., GrafeasEnvironment], name: str) -> None:
    environment = serve(name)
    sign(environment, attestor(name))
    assert environment.server.occurrences == [RECORDED[name]["occurrence"]]


def attestor(name: str) -> Attestor:
    """Return the recorded key, which answers with its recorded signature."""
    key, (_, signature) = RECORDED[name]["key"], signed(RECORDED[name])
    if "pgp" in key:
        return OpenPGPAttestor(ReplayedOpenPGPKey(load_keyring(key["pgp"]), signature))
    return DetachedAttestor(ReplayedKey(load_public_key(key["pem"], key["algorithm"]), [signature]), ID)


# One changed byte ---------------------------------------------------------------------------------------------------


def _payload(text: str) -> Callable[[dict[str, Any]], None]:
    """Return a change of the signed text after some text."""

    def change(occurrence: dict[str, Any]) -> None:
        attestation = occurrence["attestation"]
        attestation["serializedPayload"] = change_base64(attestation["serializedPayload"], text)

    return change


def _signature(member: str, change: Callable[[str], str]) -> Callable[[dict[str, Any]], None]:
    def changed(occurrence: dict[str, Any]) -> None:
        (signature,) = occurrence["attestation"]["signatures"]
        signature[member] = change(signature[member])

    return changed


def _member(member: str, after: str) -> Callable[[dict[str, Any]], None]:
    return lambda occurrence: occurrence.update({member: change_text(occurrence[member], after)})


#: What is left of the evidence of an occurrence that names something else: none, or one by an unknown key.
CHANGES: dict[str, tuple[Callable[[dict[str, Any]], None], Reason]] = {
    "digest in the payload": (_payload('"docker-manifest-digest":"sha256:'), Reason.INVALID_SIGNATURE),
    "repository in the payload": (_payload('"docker-reference":"'), Reason.INVALID_SIGNATURE),
    "type in the payload": (_payload('"type":"'), Reason.INVALID_SIGNATURE),
    "signature": (_signature("signature", change_base64), Reason.INVALID_SIGNATURE),
    "key id": (_signature("publicKeyId", change_text), Reason.UNKNOWN_KEY),
    "digest of the resource": (_member("resourceUri", "@sha256:"), Reason.NO_SIGNATURE),
    "repository of the resource": (_member("resourceUri", "https://"), Reason.NO_SIGNATURE),
    "note": (_member("noteName", "/notes/"), Reason.NO_SIGNATURE),
    "kind": (_member("kind", "A"), Reason.NO_SIGNATURE),
}


@pytest.mark.parametrize("place", CHANGES)
def test_changed_byte_is_refused(serve: Callable[..., GrafeasEnvironment], place: str) -> None:
    change, reason = CHANGES[place]
    occurrence = copy.deepcopy(RECORDED["ECDSA P-256"]["occurrence"])
    change(occurrence)
    environment = serve("ECDSA P-256", occurrence)
    environment.server.honours_filter = False
    environment.refuses(reason, environment.check(RECORDED["ECDSA P-256"]["key"]))


@pytest.mark.parametrize("text", ['"docker-manifest-digest":"sha256:', '"docker-reference":"', '"type":"', ""])
def test_changed_openpgp_message_is_refused(serve: Callable[..., GrafeasEnvironment], text: str) -> None:
    recording = copy.deepcopy(RECORDED["OpenPGP Ed25519"])
    _, message = signed(recording)
    changed = change_byte(message, text) if text else message[:-1] + change_byte(message[-1:])
    (signature,) = recording["occurrence"]["attestation"]["signatures"]
    lines = ["-----BEGIN PGP MESSAGE-----", "", b64encode(changed).decode(), "-----END PGP MESSAGE-----", ""]
    signature["signature"] = b64encode("\n".join(lines).encode()).decode()
    environment = serve("OpenPGP Ed25519", recording["occurrence"])
    environment.refuses(Reason.INVALID_SIGNATURE, environment.check(recording["key"]))


# What the tools said ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_tool_accepts_the_recording_and_refuses_a_changed_byte(name: str) -> None:
    recorded = VERDICTS[name]["verdicts"]
    assert {place: [each.accepted for each in verdicts] for place, verdicts in recorded.items()} == {
        "unchanged": [True],
        "payload": [False],
        "signature": [False],
    }
    tool = "openssl" if name in KINDS else "gpg"
    assert {each.tool.partition(" ")[0] for verdicts in recorded.values() for each in verdicts} == {tool}


@pytest.mark.real
@pytest.mark.parametrize("name", [*KINDS, *OPENPGP])
def test_tools_say_the_same_of_the_recording_today(tmp_path: Path, name: str) -> None:
    require_tool("openssl" if name in KINDS else "gpg")
    assert answers(judge(name, RECORDED[name], tmp_path)) == answers(VERDICTS[name]["verdicts"])


def answers(verdicts: dict[str, list[Verdict]]) -> dict[str, list[tuple[str, bool]]]:
    """Return what counts of verdicts, whatever the version of the tool."""
    return {place: [(each.command, each.accepted) for each in given] for place, given in verdicts.items()}
