"""Recorded Notary files that sealgate signed, with what the real notary client said about them."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealgate.api.v1alpha1.notary import NotarySpec
from sealgate.errors import VerificationError
from sealgate.formats.interface import Image
from sealgate.formats.notary.verify import build
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.resolvers import FileKeys
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from sealgate.registry.interface import DOCKER_MANIFEST
from tests.data.notary.recording import GUN, TAG
from tests.data.notary.signed_by_sealgate.generate import (
    HERE,
    MANIFEST,
    NAMES,
    PLACES,
    change,
    context,
    serve,
    sign,
)
from tests.support.changes import change_byte
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import client_for
from tests.support.real_tools.verdicts import read_verdicts
from tests.support.signers.replayed import ReplayedKey
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.notary import NotaryRepository
from tests.support.simulators.notary_writes import WritableNotary, posted_files
from tests.support.simulators.registry import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.findings import Verified
    from sealgate.formats.notary.wire.keys import MetadataKey
    from sealgate.registry.client import RegistryClient

RECORDED: dict[str, dict[str, Any]] = {name: json.loads((HERE / f"{name}.json").read_text()) for name in NAMES}
VERDICTS = read_verdicts(HERE / "verdicts.json")
FILES = ("root", "timestamp", "snapshot", "targets", "targets/releases", "targets/admin")


@pytest.fixture
def dtr() -> Iterator[WritableNotary]:
    """A DTR that has the image."""
    with WritableNotary() as server:
        server.push_manifest(GUN.partition("/")[2], TAG, MANIFEST, DOCKER_MANIFEST)
        yield server


@pytest.fixture
def client(dtr: WritableNotary) -> Iterator[RegistryClient]:
    with client_for(dtr, mirrors={GUN.partition("/")[0]: dtr.host}) as client:
        yield client


def clock(name: str) -> FakeClock:
    return FakeClock(datetime.fromisoformat(RECORDED[name]["time"]))


def verify(dtr: WritableNotary, client: RegistryClient, name: str) -> Verified:
    """Verify the tag when it was signed."""
    spec = NotarySpec.model_validate_json(json.dumps({"server": dtr.url, **RECORDED[name]["spec"]}))
    image = Image(parse_reference(f"{GUN}:{TAG}"), digest_of(MANIFEST))
    return build(spec, FileKeys({})).verify(image, context(client, clock(name)).sources)


@pytest.mark.parametrize("name", NAMES)
def test_recording_verifies(dtr: WritableNotary, client: RegistryClient, name: str) -> None:
    serve(dtr, RECORDED[name], {})
    assert verify(dtr, client, name).fingerprints == (ReplayedKeys(name).public.fingerprint,)


@pytest.mark.parametrize("role", FILES)
@pytest.mark.parametrize("text", ['"version":', '"expires":"', '"sig":"', '"keyid":"'])
def test_changed_byte_is_refused(dtr: WritableNotary, client: RegistryClient, role: str, text: str) -> None:
    fixture = RECORDED["delegate-ecdsa"]
    serve(dtr, fixture, {role: change_byte(fixture["files"][role].encode(), text)})
    with pytest.raises(VerificationError):
        verify(dtr, client, "delegate-ecdsa")


@pytest.mark.parametrize(("name", "role"), [(name, role) for name in NAMES for role in RECORDED[name]["roles"]])
@pytest.mark.parametrize("place", PLACES)
def test_changed_byte_of_a_signed_role_is_refused(
    dtr: WritableNotary, client: RegistryClient, name: str, role: str, place: str
) -> None:
    serve(dtr, RECORDED[name], change(RECORDED[name], role, place))
    with pytest.raises(VerificationError) as caught:
        verify(dtr, client, name)
    assert caught.value.reason is Reason.MALFORMED_EVIDENCE, caught.value.message


# What is signed today -----------------------------------------------------------------------------------------------


class ReplayedKeys:
    """A `KeyStore` with the one key of a recording, which answers for each role with the signature that it made.

    Attributes:
        public: the public half of the key.
        name: name in messages.
    """

    name = "a recording"

    def __init__(self, name: str) -> None:
        files, roles = RECORDED[name]["files"], RECORDED[name]["roles"]
        self._signatures = {role: json.loads(files[role])["signatures"][0] for role in roles}
        rsa = self._signatures[roles[0]]["method"] == "rsapss"
        self.public = load_public_key(_bare(RECORDED[name]["pem"]), "RSA_PSS_SHA_256" if rsa else None)

    def has(self, key: MetadataKey) -> bool:
        return key.fingerprint == self.public.fingerprint

    def find(self, key: MetadataKey, role: str) -> ReplayedKey | None:
        return ReplayedKey(self.public, [_decode(self._signatures[role])]) if self.has(key) else None


def _bare(pem: str) -> str:
    """Return the public key in a certificate, or of a PEM text that is one."""
    if "CERTIFICATE" not in pem:
        return pem
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _decode(signature: dict[str, str]) -> bytes:
    """Return a signature as keys make it: ECDSA in DER."""
    value = b64decode(signature["sig"])
    if signature["method"] != "ecdsa":
        return value
    half = len(value) // 2
    return encode_dss_signature(int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big"))


@pytest.mark.parametrize("name", NAMES)
def test_signer_posts_the_same_today(dtr: WritableNotary, client: RegistryClient, name: str) -> None:
    recording = RECORDED[name]
    before = {file: text.encode() for file, text in recording["before"].items()}
    dtr.host_repository(NotaryRepository.of_files(GUN, before))
    # The server signs snapshot and timestamp with keys that only it has: it serves what was recorded.
    dtr.writes.before = lambda: serve(dtr, recording, {})
    dtr.writes.answers.append(Answer(200))
    sign(client, dtr.url, ReplayedKeys(name), clock(name))
    (request,) = (request for request in dtr.requests if request.method == "POST")
    posted = {role: data.decode() for role, data in posted_files(request).items()}
    assert posted == {role: recording["files"][role] for role in recording["roles"]}


# What the tool said -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_client_accepts_the_recording_and_refuses_a_changed_byte(name: str) -> None:
    recorded = VERDICTS[name]["verdicts"]
    roles = RECORDED[name]["roles"]
    assert {place: [verdict.accepted for verdict in verdicts] for place, verdicts in recorded.items()} == {
        "unchanged": [True] * (1 + len(roles)),
        **{place: [False] * (1 + len(roles)) for place in PLACES},
    }
    # The client lists the tag with the digest of the image, for each role that was signed for.
    for role, listed in zip(roles, recorded["unchanged"][1:], strict=True):
        (row,) = (line.split() for line in listed.output if line.startswith(TAG))
        assert (f"sha256:{row[1]}", row[-1]) == (digest_of(MANIFEST), role)
