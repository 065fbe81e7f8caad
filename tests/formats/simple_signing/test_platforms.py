"""Signatures on every platform manifest, accepted instead of one on the index if the policy permits it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.clocks import Deadline
from sealgate.errors import DeadlineError, UnavailableError, VerificationError
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.simple_signing.platforms import MAX_PLATFORMS
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.reasons import Reason
from sealgate.references import Digest
from sealgate.registry.interface import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.support.environments.simple_signing import (
    OPENSHIFT,
    REPOSITORY,
    SimpleSigningEnvironment,
    rule,
    simple_check,
)
from tests.support.examples import examples
from tests.support.signers.simple_signing import REFERENCE, Signer, payload
from tests.support.simulators.http_messages import Answer, encode
from tests.support.simulators.registry import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.findings import Verified
    from sealgate.formats.simple_signing.verify import SimpleSigningCheck

RELEASE, SECOND, STRANGER = Signer(), Signer(), Signer()
KEYS = RELEASE.public + SECOND.public
#: Of the keys that sign: a signer's certificate keeps them apart from the one that names it.
KEY_OF = {
    signer: load_keyring(signer.public).verify(signer.sign(b"x"), datetime.now(UTC)).signing_fingerprint
    for signer in (RELEASE, SECOND, STRANGER)
}
INSTEAD = "every platform could be signed instead, but"
SCHEMA_1 = ["application/vnd.docker.distribution.manifest.v1+json"]
SCHEMA_1.append("application/vnd.docker.distribution.manifest.v1+prettyjws")

Store = Callable[[Digest, bytes], None]
Change = Callable[[dict[str, Any]], object]


class Index(SimpleSigningEnvironment):
    """An environment with an unsigned index of two platforms.

    Attributes:
        amd64, arm64: the manifests' digests.
        index: the index's.
    """

    def __init__(self) -> None:
        super().__init__(datetime.now(UTC))
        self.amd64 = self.push("amd64")
        self.arm64 = self.push("arm64")
        self.index = self.registry.push_index(REPOSITORY, "1.4", (self.amd64, self.arm64))

    def push(self, name: str, media_type: str = OCI_MANIFEST) -> Digest:
        return self.registry.push_image(REPOSITORY, None, content=name.encode(), media_type=media_type)

    def push_changed(self, change: Change) -> Digest:
        """Push the index with something else in it."""
        document = json.loads(self.registry.manifest(REPOSITORY, self.index)[1])
        change(document)
        return self.registry.push_manifest(REPOSITORY, None, encode(document), OCI_INDEX)

    def sign(self, *digests: Digest, by: Signer = RELEASE, name: str = REFERENCE) -> None:
        for digest in digests:
            self.registry.sign(digest, signed(digest, by, name))

    def ask(self, check: SimpleSigningCheck, digest: Digest | None = None, image: str = REFERENCE) -> Verified:
        return check.verify(self.image(image, digest or self.index), self.sources())

    def refused(
        self, check: SimpleSigningCheck, digest: Digest | None = None, image: str = REFERENCE
    ) -> VerificationError:
        with pytest.raises(VerificationError) as caught:
            self.ask(check, digest, image)
        return caught.value

    def not_available(self, check: SimpleSigningCheck, digest: Digest | None = None) -> UnavailableError:
        with pytest.raises(UnavailableError) as caught:
            self.ask(check, digest)
        return caught.value


@pytest.fixture
def environment() -> Iterator[Index]:
    with Index() as environment:
        yield environment


@pytest.fixture(params=["openshift", "lookaside", "folder"])
def store(request: pytest.FixtureRequest, environment: Index, tmp_path: Path) -> tuple[dict[str, Any], Store]:
    """Every kind of signature store: the field `store`, and a function that stores a first signature."""

    def put_file(digest: Digest, message: bytes) -> None:
        folder = tmp_path / f"{REPOSITORY}@{digest.replace(':', '=')}"
        folder.mkdir(parents=True)
        (folder / "signature-1").write_bytes(message)

    def put_document(digest: Digest, message: bytes) -> None:
        path = f"/sigstore/{REPOSITORY}@{digest.replace(':', '=')}/signature-1"
        environment.registry.documents[path] = Answer(200, {"Content-Type": "application/octet-stream"}, message)

    stores: dict[str, tuple[dict[str, Any], Store]] = {
        "openshift": (OPENSHIFT, environment.registry.sign),
        "lookaside": ({"lookaside": {"url": f"{environment.registry.url}/sigstore"}}, put_document),
        "folder": ({"lookaside": {"url": tmp_path.as_uri()}}, put_file),
    }
    return stores[request.param]


def signed(digest: Digest, by: Signer = RELEASE, name: str = REFERENCE) -> bytes:
    return by.sign(payload(digest, name))


def on(*keys: str, **fields: Any) -> SimpleSigningCheck:
    return simple_check(*(keys or (KEYS,)), acceptPlatformSignatures=True, **fields)


# What counts ----------------------------------------------------------------------------------------------------------


def test_signatures_on_every_platform_stand_for_one_on_the_index(
    environment: Index, store: tuple[dict[str, Any], Store]
) -> None:
    field, put = store
    put(environment.amd64, signed(environment.amd64))
    assert "linux/arm64" in environment.refused(on(store=field)).message
    put(environment.arm64, signed(environment.arm64))
    found = environment.ask(on(store=field))
    assert found.fingerprints == (KEY_OF[RELEASE],)
    names = [f"platform linux/amd64 ({environment.amd64}), ", f"platform linux/arm64 ({environment.arm64}), "]
    assert [seen.reason for seen in found.signatures] == [Reason.VERIFIED] * 2
    assert all(seen.source.startswith(name) for seen, name in zip(found.signatures, names, strict=True))


def test_only_the_index_is_checked_by_default(environment: Index) -> None:
    environment.sign(environment.amd64, environment.arm64)
    error = environment.refused(simple_check(KEYS))
    assert (error.reason, error.signatures) == (Reason.NO_SIGNATURE, ())
    assert environment.registry.paths == [f"/extensions/v2/{REPOSITORY}/signatures/{environment.index}"]


def test_signature_on_the_index_needs_no_further_request(environment: Index) -> None:
    environment.sign(environment.index, by=SECOND)
    environment.sign(environment.amd64, environment.arm64)
    assert environment.ask(on()).fingerprints == (KEY_OF[SECOND],)
    assert environment.registry.paths == [f"/extensions/v2/{REPOSITORY}/signatures/{environment.index}"]


def test_invalid_signature_on_the_index_is_reported_and_harmless(environment: Index) -> None:
    environment.sign(environment.index, by=STRANGER)
    environment.sign(environment.amd64, environment.arm64)
    found = environment.ask(on())
    assert found.fingerprints == (KEY_OF[RELEASE],)
    assert [seen.reason for seen in found.signatures] == [Reason.UNKNOWN_KEY, Reason.VERIFIED, Reason.VERIFIED]


def test_a_docker_manifest_list_is_an_index_too(environment: Index) -> None:
    digests = environment.push("amd64", DOCKER_MANIFEST), environment.push("arm64", DOCKER_MANIFEST)
    index = environment.registry.push_index(REPOSITORY, "1.4", digests, DOCKER_LIST)
    environment.sign(*digests)
    assert environment.ask(on(), index).fingerprints == (KEY_OF[RELEASE],)


def test_requests_are_those_in_the_documentation(environment: Index) -> None:
    environment.sign(environment.amd64, environment.arm64)
    environment.ask(on())
    lists, manifests = f"/extensions/v2/{REPOSITORY}/signatures", f"/v2/{REPOSITORY}/manifests"
    everything = (environment.index, environment.amd64, environment.arm64)
    assert sorted(environment.registry.paths) == sorted(
        [*(f"{lists}/{one}" for one in everything), *(f"{manifests}/{one}" for one in everything)]
    )


def test_manifest_that_is_listed_twice_is_checked_once(environment: Index) -> None:
    index = environment.push_changed(lambda found: found["manifests"].append(found["manifests"][0]))
    environment.sign(environment.amd64, environment.arm64)
    assert len(environment.ask(on(), index).signatures) == 2


# Which platforms ------------------------------------------------------------------------------------------------------


def test_no_platform_may_be_without(environment: Index) -> None:
    environment.sign(environment.arm64)
    error = environment.refused(on())
    assert error.reason is Reason.NO_SIGNATURE
    assert (
        f"{INSTEAD} linux/amd64 ({environment.amd64}) is not: there is no signature for {environment.amd64}"
        in error.message
    )
    environment.sign(environment.amd64, by=STRANGER)
    error = environment.refused(on())
    assert error.reason is Reason.UNKNOWN_KEY
    assert [seen.source.partition(",")[0] for seen in error.signatures] == [
        f"platform linux/amd64 ({environment.amd64})"
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"platform": {"os": "unknown", "architecture": "unknown"}},
        {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
        {"artifactType": "application/vnd.example.sbom"},
        {},
    ],
)
def test_index_entry_excuses_no_manifest(environment: Index, entry: dict[str, Any]) -> None:
    extra = environment.push("extra")
    listed = {"mediaType": OCI_MANIFEST, "digest": extra, "size": 1, **entry}
    index = environment.push_changed(lambda found: found["manifests"].append(listed))
    environment.sign(environment.amd64, environment.arm64)
    error = environment.refused(on(), index)
    assert error.reason is Reason.NO_SIGNATURE
    assert f"({extra}) is not: there is no signature" in error.message
    environment.sign(extra)
    assert environment.ask(on(), index).fingerprints == (KEY_OF[RELEASE],)


def test_a_plain_manifest_has_only_its_own_signatures(environment: Index) -> None:
    environment.sign(environment.index, environment.arm64)
    error = environment.refused(on(), environment.amd64)
    assert (error.reason, error.message) == (
        Reason.NO_SIGNATURE,
        environment.refused(simple_check(KEYS), environment.amd64).message,
    )
    environment.sign(environment.amd64)
    assert environment.ask(on(), environment.amd64).fingerprints == (KEY_OF[RELEASE],)


def test_index_and_platform_signatures_are_not_interchangeable(environment: Index) -> None:
    environment.registry.sign(environment.index, signed(environment.amd64))
    environment.registry.sign(environment.amd64, signed(environment.index))
    environment.sign(environment.arm64)
    error = environment.refused(on())
    assert error.reason is Reason.DIGEST_MISMATCH
    assert [seen.reason for seen in error.signatures] == [Reason.DIGEST_MISMATCH] * 2


# Whose signatures, under which name -----------------------------------------------------------------------------------


def test_only_keys_that_signed_every_platform_count(environment: Index) -> None:
    environment.sign(environment.amd64, by=SECOND)
    environment.sign(environment.amd64, environment.arm64)
    found = environment.ask(on())
    assert found.fingerprints == (KEY_OF[RELEASE],)
    assert len(found.signatures) == 3


def test_one_signer_must_sign_every_platform(environment: Index) -> None:
    environment.sign(environment.amd64)
    environment.sign(environment.arm64, by=SECOND)
    error = environment.refused(on())
    assert error.reason is Reason.NO_SIGNATURE
    assert f"{INSTEAD} no single key signed all 2 platforms, although each of them is signed" in error.message
    assert [seen.fingerprint for seen in error.signatures] == [KEY_OF[RELEASE], KEY_OF[SECOND]]


SUBSETS = st.lists(st.sets(st.sampled_from([RELEASE, SECOND, STRANGER])), min_size=1, max_size=4)


@settings(max_examples=examples(25), deadline=None)
@given(SUBSETS)
def test_verified_signer_signed_every_platform(signers: list[set[Signer]]) -> None:
    with Index() as environment:
        digests = tuple(environment.push(f"platform {number}") for number in range(len(signers)))
        index = environment.registry.push_index(REPOSITORY, None, digests)
        for digest, each in zip(digests, signers, strict=True):
            for signer in each:
                environment.sign(digest, by=signer)
        expected = {KEY_OF[signer] for signer in set.intersection(*signers) - {STRANGER}}
        if expected:
            assert set(environment.ask(on(), index).fingerprints) == expected
        else:
            environment.refused(on(), index)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("registry.example.org/team/api:1.5", Reason.IDENTITY_MISMATCH),
        ("registry.example.org/team/api", Reason.IDENTITY_MISMATCH),
        ("registry.example.org/team/web:1.4", Reason.REPOSITORY_MISMATCH),
    ],
)
def test_the_rule_for_names_is_that_of_the_image(environment: Index, name: str, reason: Reason) -> None:
    environment.sign(environment.amd64)
    environment.sign(environment.arm64, name=name)
    error = environment.refused(on())
    assert error.reason is reason
    assert f"linux/arm64 ({environment.arm64}) is not: " in error.message


def test_a_wider_rule_for_names_holds_for_platforms_too(environment: Index) -> None:
    environment.sign(environment.amd64, name="registry.example.org/team/api:1.4-amd64")
    environment.sign(environment.arm64, name="registry.example.org/team/api:1.4-arm64")
    assert environment.refused(on()).reason is Reason.IDENTITY_MISMATCH
    check = on(signedIdentity=rule("MatchRepository"))
    assert environment.ask(check).fingerprints == (KEY_OF[RELEASE],)
    assert environment.ask(on(), image=f"registry.example.org/team/api@{environment.index}").fingerprints == (
        KEY_OF[RELEASE],
    )


def test_an_expected_identity_holds_for_platforms_too(environment: Index) -> None:
    environment.sign(environment.amd64, environment.arm64)
    elsewhere = "registry.example.org/team/api:other"
    assert environment.ask(on().expecting(REFERENCE), image=elsewhere).fingerprints == (KEY_OF[RELEASE],)
    assert environment.refused(on().expecting(elsewhere)).reason is Reason.IDENTITY_MISMATCH


# What cannot be found out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["index", "amd64", "arm64"])
@pytest.mark.parametrize("what", ["signatures", "manifests"])
def test_unfetchable_platform_means_not_verified(environment: Index, platform: str, what: str) -> None:
    environment.sign(environment.amd64, environment.arm64)
    environment.registry.faults.status(f"{what}/{getattr(environment, platform)}", 503)
    environment.not_available(on())
    environment.registry.faults.clear()
    assert environment.ask(on()).fingerprints == (KEY_OF[RELEASE],)


def test_missing_manifest_means_unavailable(environment: Index) -> None:
    environment.sign(environment.amd64, environment.arm64)
    environment.registry.faults.status(f"manifests/{environment.arm64}", 404)
    environment.not_available(on())


def test_unfetchable_platform_signature_means_unavailable(environment: Index) -> None:
    def put(digest: Digest, number: int, by: Signer) -> None:
        path = f"/sigstore/{REPOSITORY}@{digest.replace(':', '=')}/signature-{number}"
        environment.registry.documents[path] = Answer(200, {}, signed(digest, by))

    put(environment.amd64, 1, RELEASE)
    put(environment.amd64, 2, SECOND)
    put(environment.arm64, 1, SECOND)
    check = on(store={"lookaside": {"url": f"{environment.registry.url}/sigstore"}})
    assert environment.ask(check).fingerprints == (KEY_OF[SECOND],)
    environment.registry.faults.status("/signature-2", 500)
    error = environment.not_available(check)
    assert error.reason is Reason.REGISTRY_UNAVAILABLE
    assert "no single key signed all 2 platforms" in error.message
    put(environment.arm64, 1, RELEASE)
    found = environment.ask(check)
    assert found.fingerprints == (KEY_OF[RELEASE],)
    assert Reason.REGISTRY_UNAVAILABLE in {seen.reason for seen in found.signatures}


def test_time_that_runs_out_between_platforms_ends_the_search(environment: Index) -> None:
    environment.sign(environment.amd64, environment.arm64)
    spent = replace(environment.sources(), deadline=Deadline(environment.clock, environment.clock.monotonic()))
    with pytest.raises(DeadlineError, match="every platform"):
        on().verify(environment.image(REFERENCE, environment.index), spent)


# What is no index -----------------------------------------------------------------------------------------------------


def first(**members: Any) -> Change:
    return lambda found: found["manifests"][0].update(members)


NOT_AN_INDEX: dict[str, tuple[Change, Reason, str]] = {
    "without a manifest": (lambda found: found["manifests"].clear(), Reason.MALFORMED_EVIDENCE, "lists no manifest"),
    "without a list": (lambda found: found.pop("manifests"), Reason.MALFORMED_EVIDENCE, "manifests is missing"),
    "with something else as list": (lambda found: found.update(manifests={}), Reason.MALFORMED_EVIDENCE, "a list"),
    "with an entry that is none": (
        lambda found: found["manifests"].append("x"),
        Reason.MALFORMED_EVIDENCE,
        "should be an object",
    ),
    "that is an image too": (
        lambda found: found.update(config={}, layers=[]),
        Reason.MALFORMED_EVIDENCE,
        "unknown member config",
    ),
    "with two lists": (
        lambda found: found.update(Manifests=[]),
        Reason.MALFORMED_EVIDENCE,
        "unknown member Manifests",
    ),
    "with two digests in an entry": (
        first(Digest=f"sha256:{'0' * 64}"),
        Reason.MALFORMED_EVIDENCE,
        "unknown member Digest",
    ),
    "with the manifest elsewhere": (
        first(urls=["https://a.example.org"]),
        Reason.MALFORMED_EVIDENCE,
        "unknown member urls",
    ),
    "with the manifest inside": (first(data="e30="), Reason.MALFORMED_EVIDENCE, "unknown member data"),
    "of schema 1": (lambda found: found.update(schemaVersion=1), Reason.MALFORMED_EVIDENCE, "should be 2"),
    "of schema true": (lambda found: found.update(schemaVersion=True), Reason.MALFORMED_EVIDENCE, "should be 2"),
    "of no schema": (lambda found: found.pop("schemaVersion"), Reason.MALFORMED_EVIDENCE, "should be 2"),
    "that says it is a manifest": (
        lambda found: found.update(mediaType=OCI_MANIFEST),
        Reason.MALFORMED_EVIDENCE,
        "says it is application/vnd.oci.image.manifest",
    ),
    "with an entry without type": (
        lambda found: found["manifests"][0].pop("mediaType"),
        Reason.MALFORMED_EVIDENCE,
        "mediaType is missing",
    ),
    "with an entry without digest": (
        lambda found: found["manifests"][0].pop("digest"),
        Reason.MALFORMED_EVIDENCE,
        "digest is missing",
    ),
    "with another digest": (first(digest=f"sha512:{'0' * 128}"), Reason.MALFORMED_EVIDENCE, "not a digest"),
    "with a short digest": (first(digest="sha256:00"), Reason.MALFORMED_EVIDENCE, "not a digest"),
    "with an index in it": (first(mediaType=OCI_INDEX), Reason.UNSUPPORTED_IMAGE, "an index within the index"),
    "with a list in it": (first(mediaType=DOCKER_LIST), Reason.UNSUPPORTED_IMAGE, "an index within the index"),
    "with schema 1 in it": (first(mediaType=SCHEMA_1[0]), Reason.UNSUPPORTED_IMAGE, "no image manifest"),
    "with signed schema 1 in it": (first(mediaType=SCHEMA_1[1]), Reason.UNSUPPORTED_IMAGE, "no image manifest"),
    "with a layer in it": (
        first(mediaType="application/vnd.oci.image.layer.v1.tar"),
        Reason.UNSUPPORTED_IMAGE,
        "no image manifest",
    ),
    "with a manifest of two types": (
        lambda found: found["manifests"].append({**found["manifests"][0], "mediaType": DOCKER_MANIFEST}),
        Reason.MALFORMED_EVIDENCE,
        "under two types",
    ),
    "with a platform that is none": (first(platform="linux/amd64"), Reason.MALFORMED_EVIDENCE, "should be an object"),
    "with an odd architecture": (first(platform={"architecture": 7}), Reason.MALFORMED_EVIDENCE, "architecture should"),
}


@pytest.mark.parametrize(("change", "reason", "why"), NOT_AN_INDEX.values(), ids=NOT_AN_INDEX)
def test_ambiguous_index_is_refused(environment: Index, change: Change, reason: Reason, why: str) -> None:
    index = environment.push_changed(change)
    environment.sign(environment.amd64, environment.arm64)
    error = environment.refused(on(), index)
    assert (error.reason, why in error.message, INSTEAD in error.message) == (reason, True, True)
    environment.sign(index)
    # What is signed itself is not read at all.
    assert environment.ask(on(), index).fingerprints == (KEY_OF[RELEASE],)


@pytest.mark.parametrize(
    "change", [(b"}", b"}x"), (b'"manifests"', b'"manifests":[],"manifests"'), (b"linux", b"\xff")]
)
def test_an_index_is_strict_json(environment: Index, change: tuple[bytes, bytes]) -> None:
    body = environment.registry.manifest(REPOSITORY, environment.index)[1].replace(*change)
    index = environment.registry.push_manifest(REPOSITORY, None, body, OCI_INDEX)
    environment.sign(environment.amd64, environment.arm64)
    assert environment.refused(on(), index).reason is Reason.MALFORMED_EVIDENCE


def test_annotations_and_a_subject_make_no_other_index_of_it(environment: Index) -> None:
    more = {"annotations": {"a": "b"}, "subject": {}, "artifactType": "application/vnd.example"}
    index = environment.push_changed(lambda found: found.update(more))
    environment.sign(environment.amd64, environment.arm64)
    assert environment.ask(on(), index).fingerprints == (KEY_OF[RELEASE],)


def test_platform_name_is_sanitised_in_messages(environment: Index) -> None:
    hostile = first(platform={"os": "li\nnux", "architecture": "arm\x1b[31m", "variant": "v8" * 500})
    error = environment.refused(on(), environment.push_changed(hostile))
    assert "li\\nnux/arm\\x1b[31m/v8v8" in error.message
    assert error.message.isprintable()
    assert len(error.message) < 1000


def test_an_index_has_so_many_manifests_and_no_more(environment: Index) -> None:
    digests = [environment.push(f"platform {number}") for number in range(MAX_PLATFORMS + 1)]
    environment.sign(*digests)
    most = environment.registry.push_index(REPOSITORY, None, tuple(digests[:-1]))
    assert len(environment.ask(on(), most).signatures) == MAX_PLATFORMS
    environment.registry.requests.clear()
    error = environment.refused(on(), environment.registry.push_index(REPOSITORY, None, tuple(digests)))
    assert error.reason is Reason.EVIDENCE_TOO_LARGE
    assert len(environment.registry.requests) == 2


def test_every_platform_has_so_many_signatures_and_no_more(environment: Index) -> None:
    environment.sign(environment.amd64, environment.arm64)
    entry = environment.registry.signatures[environment.arm64][0]
    environment.registry.signatures[environment.arm64] = [entry] * (MAX_SIGNATURES + 1)
    error = environment.refused(on())
    assert error.reason is Reason.EVIDENCE_TOO_LARGE
    assert f"linux/arm64 ({environment.arm64}) is not: there are more than" in error.message


# What is served as something else -------------------------------------------------------------------------------------


def test_a_signed_index_is_not_a_platform_however_it_is_listed(environment: Index) -> None:
    inner = environment.registry.push_index(REPOSITORY, None, (environment.amd64, environment.arm64))
    outer = environment.push_changed(first(digest=inner))
    environment.sign(inner, environment.arm64)
    error = environment.refused(on(), outer)
    assert error.reason is Reason.TYPE_MISMATCH
    assert f"the manifest of linux/amd64 ({inner}) is not the {OCI_MANIFEST} that the index says it is" in error.message
    # Nor if the registry lies about it too.
    environment.registry.faults.header(f"/manifests/{inner}", "Content-Type", OCI_MANIFEST)
    assert environment.refused(on(), outer).reason is Reason.TYPE_MISMATCH


def test_a_manifest_of_another_type_than_it_is_listed_as_is_refused(environment: Index) -> None:
    index = environment.push_changed(first(mediaType=DOCKER_MANIFEST))
    environment.sign(environment.amd64, environment.arm64)
    assert environment.refused(on(), index).reason is Reason.TYPE_MISMATCH


def test_image_served_as_an_index_is_refused(environment: Index) -> None:
    environment.registry.faults.header(f"/manifests/{environment.amd64}", "Content-Type", OCI_INDEX)
    error = environment.refused(on(), environment.amd64)
    assert (error.reason, INSTEAD in error.message) == (Reason.MALFORMED_EVIDENCE, True)


def test_an_index_served_as_an_image_has_only_its_own_signatures(environment: Index) -> None:
    environment.sign(environment.amd64, environment.arm64)
    environment.registry.faults.header(f"/manifests/{environment.index}", "Content-Type", OCI_MANIFEST)
    error = environment.refused(on())
    assert (error.reason, INSTEAD in error.message) == (Reason.NO_SIGNATURE, False)


@pytest.mark.parametrize("manifest", ["index", "amd64"])
def test_bytes_of_another_digest_are_refused(environment: Index, manifest: str) -> None:
    environment.sign(environment.amd64, environment.arm64)
    digest = getattr(environment, manifest)
    other = environment.registry.push_index(REPOSITORY, None, (environment.arm64,))
    environment.registry.faults.body(f"/manifests/{digest}", environment.registry.manifest(REPOSITORY, other)[1])
    assert environment.refused(on()).reason is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize("media_type", SCHEMA_1)
@pytest.mark.parametrize("manifest", ["index", "arm64"])
def test_schema_1_is_refused_wherever_a_manifest_is_fetched(environment: Index, manifest: str, media_type: str) -> None:
    environment.sign(environment.amd64, environment.arm64)
    environment.registry.faults.header(f"/manifests/{getattr(environment, manifest)}", "Content-Type", media_type)
    error = environment.refused(on())
    assert error.reason is Reason.UNSUPPORTED_IMAGE
    assert "is of the old schema 1, which cannot be verified; build and push the image anew" in error.message


def test_schema_1_image_verifies_only_for_its_signed_digest(environment: Index) -> None:
    body = encode({"schemaVersion": 1, "name": REPOSITORY, "fsLayers": [], "history": []})
    served = body[:-1] + b',"signatures":[]}'
    # Its digest is that of the bytes without their signatures; so much is what a key signs.
    digest = digest_of(body)
    environment.registry.repositories[REPOSITORY].manifests[digest] = (SCHEMA_1[1], served)
    assert environment.refused(simple_check(KEYS), digest).reason is Reason.NO_SIGNATURE
    assert environment.refused(on(), digest).reason is Reason.UNSUPPORTED_IMAGE


# The option -----------------------------------------------------------------------------------------------------------


def test_option_changes_cached_findings_only_if_it_is_on() -> None:
    off = simple_check("ed25519")
    assert off.content == simple_check("ed25519", acceptPlatformSignatures=False).content
    assert off.content != on("ed25519").content
    # What this was before there was the option: a new version does not forget what is known. It changes with the
    # fixture's key and whenever the rules do.
    assert off.content == "3b0d1d34760d60b323accf478a437057a145a85a49de8fb0ee26373486ee8a15"


def test_schema_has_the_option_with_default_false() -> None:
    from sealgate.api.v1alpha1.authenticator import Authenticator

    schema = json.dumps(Authenticator.model_json_schema())
    assert '"acceptPlatformSignatures": {"default": false' in schema
