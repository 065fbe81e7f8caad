"""Signing as cosign does: in every layout, once, beside what others stored, against writers that know no lock."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import ConflictError, ImmutableTagError, NotFoundError, SigningError, VerificationError
from sealgate.formats.cosign.sign import CosignSigner, Storage
from sealgate.formats.cosign.wire import PAYLOAD_TYPE
from sealgate.formats.signing import SigningOutcome
from sealgate.formats.tag_updates import MAX_ATTEMPTS
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.keys.private_keys import load_private_key, public_pem_of
from sealgate.keys.public_keys import allowed_algorithms
from sealgate.reasons import Reason
from sealgate.references import parse_repository
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.support.clocks import FakeClock
from tests.support.environments.cosign import REPOSITORY, CosignEnvironment
from tests.support.signers.cosign import BundleOf, Classic, push_bundle, push_classic
from tests.support.signers.private_keys import new_key
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.http_messages import Answer, encode
from tests.support.simulators.registry import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.keys.private_keys import AnyPrivateKey, PrivateKey
    from sealgate.references import Digest

KEY = generate_key(KeyType.ECDSA_P256)
OTHER = new_key("ECDSA P-256", "another")
ENTRY = {"pem": public_pem_of(KEY).decode()}


def signer(
    storage: Storage = Storage.TAG, key: AnyPrivateKey = KEY, algorithm: str | None = None, **more: Any
) -> CosignSigner:
    return CosignSigner(load(key, algorithm), storage, **more)


@functools.cache
def load(key: AnyPrivateKey, algorithm: str | None) -> PrivateKey:
    """Read the key from a file, once: OpenSSL tests the primes of each RSA key that it reads, which is slow."""
    return load_private_key(write_private_key(key, None), "the key file a.pem", lambda: b"", algorithm)


@functools.cache
def key_of_kind(kind: KeyType) -> AnyPrivateKey:
    return generate_key(kind)


def tag_of(digest: Digest, suffix: str = ".sig") -> str:
    return digest.replace(":", "-") + suffix


def stored(environment: CosignEnvironment) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(environment.registry.manifest(REPOSITORY, tag_of(environment.digest))[1])
    return document


@pytest.mark.parametrize("storage", Storage)
def test_image_is_signed_once(either_environment: CosignEnvironment, storage: Storage) -> None:
    first = either_environment.sign(signer(storage))
    before = dict(either_environment.registry.repositories[REPOSITORY].manifests)
    second = either_environment.sign(signer(storage))
    assert (first.outcome, second.outcome) == (SigningOutcome.SIGNED, SigningOutcome.ALREADY_SIGNED)
    assert (first.location, first.digest, first.size) == (second.location, second.digest, second.size)
    assert either_environment.registry.repositories[REPOSITORY].manifests == before
    verified = either_environment.verify(ENTRY, matchRepository=True)
    assert verified.fingerprints == (first.fingerprint,)


@pytest.mark.parametrize("storage", Storage)
@pytest.mark.parametrize("kind", [KeyType.ECDSA_P384, KeyType.RSA_3072, KeyType.ED25519, KeyType.SM2])
def test_every_algorithm_of_a_key_signs(environment: CosignEnvironment, storage: Storage, kind: KeyType) -> None:
    key = key_of_kind(kind)
    for algorithm in allowed_algorithms(public_pem_of(key)):
        environment.sign(signer(storage, key, algorithm.value, annotations={"algorithm": algorithm.value}))
        entry = {"pem": public_pem_of(key).decode(), "algorithm": algorithm.value}
        environment.verify(entry, annotations={"algorithm": algorithm.value})


@pytest.mark.parametrize("storage", Storage)
def test_other_content_is_another_signature(environment: CosignEnvironment, storage: Storage) -> None:
    environment.sign(signer(storage))
    for value in ("prod", "test"):
        assert environment.sign(signer(storage, annotations={"env": value})).outcome is SigningOutcome.SIGNED
        environment.verify(ENTRY, annotations={"env": value})
    environment.refused(Reason.ANNOTATION_MISMATCH, ENTRY, annotations={"env": "dev"})


@pytest.mark.parametrize("storage", Storage)
def test_changed_byte_is_refused(environment: CosignEnvironment, storage: Storage) -> None:
    result = environment.sign(signer(storage))
    registry = environment.registry
    reference = tag_of(environment.digest) if storage is Storage.TAG else result.digest
    _, body = registry.manifest(REPOSITORY, reference)
    layer = json.loads(body)["layers"][0]
    blob = registry.repositories[REPOSITORY].blobs[layer["digest"]]
    registry.delete(REPOSITORY, result.digest)
    changed = blob.replace(b'"', b"'", 1)
    altered = body.replace(layer["digest"].encode(), registry.push_blob(REPOSITORY, changed).encode())
    registry.push_manifest(REPOSITORY, tag_of(environment.digest) if storage is Storage.TAG else None, altered)
    environment.refused(Reason.MALFORMED_EVIDENCE if storage is Storage.BUNDLE else Reason.INVALID_SIGNATURE, ENTRY)


def test_signatures_of_others_are_kept_to_the_byte(environment: CosignEnvironment) -> None:
    registry, digest = environment.registry, environment.digest
    push_classic(registry, REPOSITORY, Classic(digest, OTHER))
    document = stored(environment)
    document["annotations"] = {"kept": "yes"}
    document["layers"][0]["annotations"]["dev.sigstore.cosign/bundle"] = '{"Payload":{}}'
    document["x-unknown"] = {"deep": [1, 2.5, None]}
    registry.push_manifest(REPOSITORY, tag_of(digest), encode(document))
    environment.sign(signer())
    after = stored(environment)
    assert after["layers"][:-1] == document["layers"]
    assert {**after, "layers": 0, "config": 0} == {**document, "layers": 0, "config": 0}
    config = json.loads(registry.repositories[REPOSITORY].blobs[after["config"]["digest"]])
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in after["layers"]]
    assert len(config["history"]) == 2
    assert environment.verify(ENTRY, OTHER).fingerprints


def test_config_that_describes_no_layers_stays(environment: CosignEnvironment) -> None:
    registry, digest = environment.registry, environment.digest
    push_classic(registry, REPOSITORY, Classic(digest, OTHER))
    document = stored(environment)
    document["config"] = registry.descriptor(REPOSITORY, b'{"unknown":true}', "application/x-unknown")
    registry.push_manifest(REPOSITORY, tag_of(digest), encode(document))
    environment.sign(signer())
    assert stored(environment)["config"] == document["config"]


def test_referrers_of_others_are_kept(either_environment: CosignEnvironment) -> None:
    registry, digest = either_environment.registry, either_environment.digest
    theirs = push_bundle(registry, REPOSITORY, BundleOf(digest, OTHER))
    ours = [either_environment.sign(signer(storage)).digest for storage in (Storage.REFERRERS, Storage.BUNDLE)]
    assert {entry["digest"] for entry in registry.referrers(REPOSITORY, digest)} == {theirs, *ours}
    either_environment.verify(OTHER)
    either_environment.verify(ENTRY)


def test_fallback_index_keeps_entries_that_it_does_not_understand() -> None:
    with CosignEnvironment(referrers_api=False) as environment:
        registry, digest = environment.registry, environment.digest
        foreign = {"mediaType": "application/x", "digest": "sha512:" + "0" * 128, "size": 1, "x": [1]}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [foreign], "annotations": {"a": "b"}}
        registry.push_manifest(REPOSITORY, tag_of(digest, ""), encode(index), OCI_INDEX)
        result = environment.sign(signer(Storage.BUNDLE))
        after = json.loads(registry.manifest(REPOSITORY, tag_of(digest, ""))[1])
        assert after["manifests"][0] == foreign
        assert [entry["digest"] for entry in after["manifests"][1:]] == [result.digest]
        assert after["annotations"] == {"a": "b"}
        assert result.contested


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}), OCI_INDEX),
        (encode({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": "none"}), OCI_MANIFEST),
        (b"not JSON", OCI_MANIFEST),
    ],
)
def test_tag_with_something_else_is_left_alone(environment: CosignEnvironment, body: bytes, media_type: str) -> None:
    tag = tag_of(environment.digest)
    environment.registry.push_manifest(REPOSITORY, tag, body, media_type)
    with pytest.raises(SigningError, match=r"is not a set of cosign signatures .* it is left as it is"):
        environment.sign(signer())
    assert environment.registry.manifest(REPOSITORY, tag) == (media_type, body)


def test_fallback_tag_with_something_else_is_left_alone() -> None:
    with CosignEnvironment(referrers_api=False) as environment:
        registry, tag = environment.registry, tag_of(environment.digest, "")
        theirs = registry.push_image(REPOSITORY, tag)
        with pytest.raises((SigningError, VerificationError), match="not an OCI index"):
            environment.sign(signer(Storage.BUNDLE))
        assert registry.repositories[REPOSITORY].tags[tag] == theirs


def test_tag_that_the_registry_resolves_to_the_image_counts_as_missing(environment: CosignEnvironment) -> None:
    tag = tag_of(environment.digest)
    environment.registry.tag(REPOSITORY, tag, environment.digest)
    environment.sign(signer())
    assert [layer["mediaType"] for layer in stored(environment)["layers"]] == [PAYLOAD_TYPE]


def test_signature_dropped_by_another_writer_is_added_again(environment: CosignEnvironment) -> None:
    theirs = _foreign_manifest(environment)
    overwrite = _after_put(environment, lambda: environment.registry.push_manifest(REPOSITORY, *theirs))
    overwrite.times = 1
    result = environment.sign(signer(), clock=FakeClock())
    assert (result.outcome, result.repairs, result.contested) == (SigningOutcome.SIGNED, 1, True)
    assert len(stored(environment)["layers"]) == 2
    environment.verify(ENTRY, OTHER)


def test_signer_gives_up_against_a_writer_that_always_wins(environment: CosignEnvironment) -> None:
    theirs = _foreign_manifest(environment)
    _after_put(environment, lambda: environment.registry.push_manifest(REPOSITORY, *theirs))
    with pytest.raises(ConflictError, match=f"other writers changed the tag .* {MAX_ATTEMPTS} times"):
        environment.sign(signer(), clock=FakeClock())
    assert environment.registry.manifest(REPOSITORY, theirs[0])[1] == theirs[1]


def test_conditional_write_loses_nothing() -> None:
    with CosignEnvironment() as environment:
        environment.registry.etags = True
        push_classic(environment.registry, REPOSITORY, Classic(environment.digest, OTHER))
        third = new_key("ECDSA P-256", "third")
        both = [Classic(environment.digest, OTHER), Classic(environment.digest, third)]
        # Another writer is faster: it writes after the tag was read, and before it is written here.
        pushed: list[bool] = []

        def change(answer: Answer) -> Answer:
            if not pushed:
                pushed.append(True)
                push_classic(environment.registry, REPOSITORY, *both)
            return answer

        environment.registry.faults.add(Fault("/blobs/uploads/$", change, method="POST"))
        result = environment.sign(signer(), clock=FakeClock())
        assert result.repairs == 0
        environment.verify(ENTRY)
        environment.verify(third)
        environment.verify(OTHER)


def test_immutable_tag_is_left_as_it_was(environment: CosignEnvironment) -> None:
    environment.registry.immutable_tags = r"sha256-.*"
    environment.sign(signer())
    before = stored(environment)
    with pytest.raises(ImmutableTagError, match=r"--storage referrers or bundle.*--signature-repository"):
        environment.sign(signer(annotations={"env": "prod"}))
    assert stored(environment) == before
    environment.sign(signer(Storage.BUNDLE, annotations={"env": "prod"}))


def test_signatures_are_not_added_beyond_what_is_verified(environment: CosignEnvironment) -> None:
    signature = Classic(environment.digest, OTHER)
    push_classic(environment.registry, REPOSITORY, *[signature] * 128)
    with pytest.raises(SigningError, match="has 128 signatures, and no more than 128 are verified"):
        environment.sign(signer())
    assert len(stored(environment)["layers"]) == 128


def test_lost_payload_of_a_signature_is_stored_again(environment: CosignEnvironment) -> None:
    environment.sign(signer())
    (layer,) = stored(environment)["layers"]
    environment.registry.delete(REPOSITORY, layer["digest"])
    assert environment.sign(signer()).outcome is SigningOutcome.ALREADY_SIGNED
    environment.verify(ENTRY)


def test_signature_by_the_key_over_another_image_does_not_count(environment: CosignEnvironment) -> None:
    environment.sign(signer())
    (layer,) = stored(environment)["layers"]
    other = environment.registry.push_image(REPOSITORY, "other")
    copied = {**stored(environment), "layers": [layer]}
    environment.registry.push_manifest(REPOSITORY, tag_of(other), encode(copied))
    result = environment.sign(signer(), environment.image(other))
    assert result.outcome is SigningOutcome.SIGNED
    environment.verify(ENTRY, image=environment.image(other))


def test_signatures_go_to_the_signature_repository(either_environment: CosignEnvironment) -> None:
    where = parse_repository(f"{either_environment.registry.host}/signatures")
    for storage in Storage:
        result = either_environment.sign(signer(storage, signature_repository=where))
        assert result.location.startswith(where.name)
        either_environment.verify(ENTRY, signatureRepository=where.name, matchRepository=True)
    either_environment.refused(Reason.NO_SIGNATURE, ENTRY)


def test_image_that_is_not_there_is_not_signed_as_a_referrer(environment: CosignEnvironment) -> None:
    gone = environment.image(digest_of(b"gone"))
    with pytest.raises(NotFoundError):
        environment.sign(signer(Storage.BUNDLE), gone)


def test_registry_that_does_not_list_a_referrer_is_reported(environment: CosignEnvironment) -> None:
    empty = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []})
    environment.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, empty)
    environment.registry.faults.status("/manifests/sha256-", 404)
    with pytest.raises(Exception, match="does not list it yet"):
        environment.sign(signer(Storage.BUNDLE), clock=FakeClock())


def test_lock_is_that_of_the_repository_with_the_signatures(environment: CosignEnvironment) -> None:
    where = parse_repository("registry.example.org/signatures")
    assert signer().lock_name(environment.image()) == environment.repository
    assert signer(signature_repository=where).lock_name(environment.image()) == where.name


def _foreign_manifest(environment: CosignEnvironment) -> tuple[str, bytes]:
    """Return the tag, and a manifest of another writer that knows only its own signature."""
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, OTHER))
    tag = tag_of(environment.digest)
    body = environment.registry.manifest(REPOSITORY, tag)[1]
    environment.registry.delete(REPOSITORY, tag)
    return tag, body


def _after_put(environment: CosignEnvironment, act: Callable[[], object]) -> Fault:
    """Do something each time after the tag was written and before the writer knows."""

    def change(answer: Answer) -> Answer:
        act()
        return answer

    return environment.registry.faults.add(Fault(r"/manifests/sha256-\w+\.sig", change, method="PUT"))
