"""Recorded signatures of sealgate, with what cosign 3.1, cosign 2.5 and openssl said about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import VerificationError
from sealgate.formats.cosign.sign import Storage
from sealgate.formats.interface import Image, Sources
from sealgate.keys.public_keys import load_public_key
from sealgate.reasons import Reason
from sealgate.references import Digest, parse_reference
from sealgate.registry.credentials import NoCredentials
from tests.data.cosign.signed_by_sealgate.generate import (
    ALL,
    ANNOTATED,
    CHANGES,
    DIGESTS,
    HERE,
    REGISTRY,
    SM2,
    algorithm_of,
    annotations_of,
    sign,
)
from tests.support.builders.cosign_layouts import read_blob
from tests.support.builders.stored_signatures import (
    BUNDLE_CHANGES,
    CLASSIC_CHANGES,
    HINT_CHANGE,
    REFERRER_CHANGES,
    StoredSignature,
    assemble,
    read_signature,
)
from tests.support.changes import change_byte
from tests.support.environments.cosign import cosign_check
from tests.support.environments.registry_clients import client_for
from tests.support.real_tools.verdicts import read_verdicts
from tests.support.signers.replayed import ReplayedKey
from tests.support.simulators.registry import RegistrySimulator, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.findings import Verified
    from sealgate.keys.public_keys import PublicKey
    from tests.support.builders.stored_signatures import Change
    from tests.support.real_tools.verdicts import Verdict

LAYOUT = HERE / "layout"
VERDICTS = read_verdicts(HERE / "verdicts.json")
NAMES = {f"{storage}/{kind}": (storage, kind) for storage, kind in ALL}
CHANGED: dict[Storage, dict[str, Change]] = {
    Storage.TAG: {**CLASSIC_CHANGES},
    Storage.REFERRERS: {**CLASSIC_CHANGES, **REFERRER_CHANGES},
    Storage.BUNDLE: {**BUNDLE_CHANGES, **REFERRER_CHANGES},
}
#: Of every other change the reason is that the signature is not one over these bytes.
OTHER_REASONS = {
    "base64 of the signature": {Reason.INVALID_SIGNATURE, Reason.MALFORMED_EVIDENCE},
    "name of the signature": {Reason.MALFORMED_EVIDENCE},
    "type of the layer": {Reason.NO_SIGNATURE, Reason.TYPE_MISMATCH, Reason.MALFORMED_EVIDENCE},
    "type of the bundle": {Reason.TYPE_MISMATCH},
    "image that the manifest refers to": {Reason.DIGEST_MISMATCH},
}


@pytest.fixture
def registry() -> Iterator[RegistrySimulator]:
    """A registry like the one they were recorded from: without the referrers API."""
    with RegistrySimulator(referrers_api=False) as simulator:
        yield simulator


def key_entry(kind: str) -> dict[str, str]:
    """Return the key as an Authenticator has it."""
    algorithm = algorithm_of(kind)
    return {"pem": (HERE / "keys" / f"{kind}.pub").read_text(), **({"algorithm": algorithm} if algorithm else {})}


def public_key(name: str) -> PublicKey:
    kind = NAMES[name][1]
    return load_public_key(key_entry(kind)["pem"], algorithm_of(kind))


def push_image(registry: RegistrySimulator, repository: str, stored: StoredSignature) -> Digest:
    for digest in stored.image_parts:
        registry.push_blob(repository, read_blob(LAYOUT, digest))
    return registry.push_manifest(repository, "1", stored.image)


def verify(registry: RegistrySimulator, name: str, stored: StoredSignature, **fields: Any) -> Verified:
    """Verify an image under the name that was signed."""
    clock = SystemClock()
    deadline = Deadline.after(clock, 30)
    digest = digest_of(stored.image)
    where = f"{registry.host}/{name}"
    check = cosign_check(key_entry(NAMES[name][1]), matchRepository=True, signatureRepository=where, **fields)
    with client_for(registry) as client:
        session = client.session(NoCredentials(), deadline)
        image = Image(parse_reference(f"{REGISTRY}/{name}@{digest}"), digest)
        return check.verify(image, Sources(session, client.services(deadline), clock, deadline))


@pytest.mark.parametrize("name", NAMES)
def test_recording_verifies(registry: RegistrySimulator, name: str) -> None:
    stored = read_signature(LAYOUT, name)
    push_image(registry, name, stored)
    stored.push(registry, name)
    found = verify(registry, name, stored, annotations=annotations_of(NAMES[name][1]))
    assert found.fingerprints == (public_key(name).fingerprint,)


@pytest.mark.parametrize(("storage", "place"), [(storage, place) for storage in Storage for place in CHANGED[storage]])
def test_changed_byte_is_refused(registry: RegistrySimulator, storage: Storage, place: str) -> None:
    name = f"{storage}/{ANNOTATED}"
    stored = read_signature(LAYOUT, name)
    push_image(registry, name, stored)
    CHANGED[storage][place](stored).push(registry, name)
    with pytest.raises(VerificationError) as caught:
        verify(registry, name, stored)
    assert caught.value.reason in OTHER_REASONS.get(place, {Reason.INVALID_SIGNATURE}), caught.value.message


@pytest.mark.parametrize("storage", Storage)
def test_changed_byte_under_the_old_digest_is_refused(registry: RegistrySimulator, storage: Storage) -> None:
    name = f"{storage}/{ANNOTATED}"
    stored = read_signature(LAYOUT, name)
    push_image(registry, name, stored)
    stored.push(registry, name)
    registry.repositories[name].blobs[digest_of(stored.blob)] = change_byte(stored.blob)
    with pytest.raises(VerificationError) as caught:
        verify(registry, name, stored)
    assert caught.value.reason is Reason.DIGEST_MISMATCH


def test_hint_at_the_key_proves_and_hides_nothing(registry: RegistrySimulator) -> None:
    name = f"{Storage.BUNDLE}/{ANNOTATED}"
    stored = read_signature(LAYOUT, name)
    push_image(registry, name, stored)
    HINT_CHANGE(stored).push(registry, name)
    assert verify(registry, name, stored).fingerprints == (public_key(name).fingerprint,)


@pytest.mark.parametrize("name", NAMES)
def test_signer_stores_the_same_today(registry: RegistrySimulator, name: str) -> None:
    stored, (storage, kind) = read_signature(LAYOUT, name), NAMES[name]
    digest = push_image(registry, name, stored)
    key = ReplayedKey(public_key(name), [stored.signature])
    result = sign(registry.host, name, digest, key, storage, annotations_of(kind))
    held = registry.repositories[name]
    (tag,) = held.tags.keys() - {"1"}
    contents = {digest: body for digest, (_, body) in held.manifests.items()} | held.blobs
    assert assemble(stored.image, registry.manifest(name, tag)[1], lambda digest: contents[Digest(digest)]) == stored
    assert result.digest == VERDICTS[name]["digest"]


# What the tools said ------------------------------------------------------------------------------------------------


def test_verdicts_are_of_what_is_recorded() -> None:
    recorded = {name: digest_of(read_signature(LAYOUT, name).manifest) for name in NAMES}
    assert {name: recording["digest"] for name, recording in VERDICTS.items()} == recorded


#: What cosign prints of a signature over another hash, and of one with another annotation. Of referrers and, in 2.5, of
#: bundles it says only that there are none.
OTHER_HASH = {
    Storage.TAG: "no matching signatures: invalid signature when validating ASN.1 encoded signature",
    Storage.REFERRERS: "no signatures found",
    Storage.BUNDLE: "no matching attestations: failed to verify signature: could not verify envelope: accepted "
    "signatures do not match threshold, Found: 0, Expected 1",
}
OTHER_ANNOTATION = {
    Storage.TAG: "no matching signatures: missing or incorrect annotation",
    Storage.REFERRERS: "no signatures found",
    Storage.BUNDLE: "no matching attestations: missing or incorrect annotation",
}
BOTH = {"cosign 2.5", "cosign 3.1"}


@pytest.mark.parametrize("name", NAMES)
def test_every_tool_accepts_the_recording(name: str) -> None:
    storage, kind = NAMES[name]
    accepted = {release(verdict) for verdict in VERDICTS[name]["verdicts"]["unchanged"] if verdict.accepted}
    if kind == SM2:
        assert accepted == {"openssl"}
    else:
        # cosign 2.5 verifies bundles as attestations only, and cannot be told their hash.
        assert accepted == (BOTH - {"cosign 2.5"} if storage is Storage.BUNDLE and kind in DIGESTS else BOTH)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_tool_does_not_take_is_known(name: str) -> None:
    storage, kind = NAMES[name]
    expected = set()
    if kind in DIGESTS:
        expected |= {(tool, OTHER_HASH[storage]) for tool in BOTH}
    if kind == ANNOTATED:
        expected |= {("cosign 3.1", OTHER_ANNOTATION[storage])}
        expected |= {("cosign 2.5", OTHER_ANNOTATION[storage])} if storage is not Storage.BUNDLE else set()
    if storage is Storage.BUNDLE:
        expected |= {("cosign 2.5", "no signatures found")}
    refused = [verdict for verdict in VERDICTS[name]["verdicts"]["unchanged"] if not verdict.accepted]
    assert {(release(verdict), why(verdict)) for verdict in refused} == expected


def release(verdict: Verdict) -> str:
    """Return the program with major and minor version; of openssl, which is Debian's, without."""
    name, _, version = verdict.tool.partition(" ")
    return name if name == "openssl" else f"{name} {'.'.join(version.split('.')[:2])}"


def why(verdict: Verdict) -> str:
    return verdict.output[-1].removeprefix("error during command execution: ")


@pytest.mark.parametrize("name", [f"{storage}/{ANNOTATED}" for storage in Storage])
def test_every_tool_refuses_one_changed_byte(name: str) -> None:
    recorded = VERDICTS[name]["verdicts"]
    assert recorded.keys() == {"unchanged", *CHANGES[NAMES[name][0]]}
    asked = [verdict.tool for verdict in recorded["unchanged"] if verdict.accepted]
    for place in CHANGES[NAMES[name][0]]:
        assert [verdict.tool for verdict in recorded[place]] == asked
        assert not any(verdict.accepted for verdict in recorded[place])
