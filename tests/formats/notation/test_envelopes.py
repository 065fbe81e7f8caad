"""Envelopes: what a good one is, and everything that must be refused in JWS and in COSE."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.formats.notation.wire.envelope import ARTIFACT_TYPE, COSE_TYPE, JWS_TYPE
from sealgate.parsing import cbor
from sealgate.reasons import Reason
from sealgate.registry.interface import OCI_INDEX
from tests.support.environments.notation import REPOSITORY, NotationEnvironment, notation_check
from tests.support.signers.notation import IDENTITY, NOW, Authority, new_key, payload_for
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = (JWS_TYPE, COSE_TYPE)
SCHEME = "io.cncf.notary.signingScheme"
TIME = "io.cncf.notary.signingTime"
AUTHENTIC = "io.cncf.notary.authenticSigningTime"
EXPIRY = "io.cncf.notary.expiry"
CRITICAL = "critical"
LABELS: dict[str, Any] = {JWS_TYPE: "crit", COSE_TYPE: 2}
MALFORMED = Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("referrers_api", [True, False], ids=["referrers API", "fallback tag"])
def test_signature_verifies(kind: str, referrers_api: bool) -> None:  # noqa: FBT001 - a parameter of the test
    with NotationEnvironment(referrers_api=referrers_api) as environment:
        digest = environment.push(media_type=kind)
        found = environment.verify()
        (seen,) = found.signatures
        assert seen.source == f"referrer {digest}"
        assert (seen.reason, seen.fingerprint) == (Reason.VERIFIED, found.fingerprints[0])
        assert "O=acme" in seen.message


def test_image_without_signatures_is_refused(environment: NotationEnvironment) -> None:
    assert "holds no Notation signature" in environment.refused(Reason.NO_SIGNATURE).message


def test_bad_signatures_beside_a_good_one_do_not_matter(environment: NotationEnvironment) -> None:
    environment.push(environment.envelope(attributes={"alg": "none"}))
    environment.push(b"{}")
    environment.push()
    assert [seen.reason for seen in environment.verify().signatures].count(Reason.VERIFIED) == 1


def test_two_signers_are_two_fingerprints(environment: NotationEnvironment) -> None:
    environment.push()
    key, chain = environment.authority.issue()
    environment.push(environment.envelope(key=key, chain=chain))
    environment.push(environment.envelope(key=key, chain=chain), COSE_TYPE)
    assert len(environment.verify().fingerprints) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({SCHEME: ...}, MALFORMED),
        ({SCHEME: "notary.x509.other"}, MALFORMED),
        ({CRITICAL: ...}, MALFORMED),
        ({CRITICAL: []}, MALFORMED),
        ({CRITICAL: [SCHEME, SCHEME]}, MALFORMED),
        ({CRITICAL: [SCHEME, "io.cncf.notary.verificationPlugin"]}, MALFORMED),
        (
            {
                CRITICAL: [SCHEME, "io.cncf.notary.verificationPlugin"],
                "io.cncf.notary.verificationPlugin": "com.example.plugin",
            },
            MALFORMED,
        ),
        ({CRITICAL: [SCHEME, EXPIRY]}, MALFORMED),
        ({CRITICAL: [SCHEME, 7]}, MALFORMED),
        ({AUTHENTIC: "2026-11-21T12:00:00Z"}, MALFORMED),
    ],
    ids=[
        "no scheme", "unknown scheme", "no critical attributes", "scheme is not critical", "critical twice",
        "critical and missing", "critical and unknown", "critical expiry without one", "critical label",
        "time of another scheme",
    ],
)  # fmt: skip
def test_signed_attributes_are_checked(
    environment: NotationEnvironment, kind: str, attributes: dict[Any, Any], reason: Reason
) -> None:
    named = {LABELS[kind] if name is CRITICAL else name: value for name, value in attributes.items()}
    environment.push(environment.envelope(attributes=named), kind)
    environment.refused(reason)


def test_expiry_that_is_not_critical_is_refused(environment: NotationEnvironment) -> None:
    for kind, end in ((JWS_TYPE, "2099-01-01T00:00:00Z"), (COSE_TYPE, cbor.Tagged(1, 4070908800))):
        environment.push(environment.envelope(attributes={EXPIRY: end}), kind)
    assert {seen.reason for seen in environment.refused(MALFORMED).signatures} == {MALFORMED}


@pytest.mark.parametrize("value", ["2026-11-21", "2026-13-21T12:00:00Z", "0001-01-01T00:00:00+23:59", 1, None, ...])
def test_time_of_a_signing_authority_in_jws_is_strict(environment: NotationEnvironment, value: object) -> None:
    trusted = {"signingAuthority": [{"pem": environment.authority.pem}]}
    environment.push(environment.envelope(authority=True, attributes={AUTHENTIC: value}))
    environment.refused(MALFORMED, trustStores=trusted)


@pytest.mark.parametrize(
    "value", [1795262400, cbor.Tagged(0, "2026"), cbor.Tagged(1, True), cbor.Tagged(1, 1 << 63), ...]
)
def test_time_of_a_signing_authority_in_cose_is_strict(environment: NotationEnvironment, value: object) -> None:
    trusted = {"signingAuthority": [{"pem": environment.authority.pem}]}
    environment.push(environment.envelope(authority=True, attributes={AUTHENTIC: value}), COSE_TYPE)
    environment.refused(MALFORMED, trustStores=trusted)


@pytest.mark.parametrize("stated", ["none", "HS256", "RS256", "ES384", "PS256", ""])
def test_algorithm_is_that_of_the_key(environment: NotationEnvironment, stated: str) -> None:
    environment.push(environment.envelope(attributes={"alg": stated}))
    environment.refused(Reason.INVALID_SIGNATURE)


@pytest.mark.parametrize(("number", "reason"), [(-35, Reason.INVALID_SIGNATURE), (-8, MALFORMED), ("ES256", MALFORMED)])
def test_algorithm_in_cose_is_that_of_the_key(environment: NotationEnvironment, number: object, reason: Reason) -> None:
    environment.push(environment.envelope(attributes={1: number}), COSE_TYPE)
    environment.refused(reason)


@pytest.mark.parametrize("kind", KINDS)
def test_payload_of_another_type_is_refused(environment: NotationEnvironment, kind: str) -> None:
    label: Any = "cty" if kind == JWS_TYPE else 3
    environment.push(environment.envelope(attributes={label: "application/json"}), kind)
    environment.refused(MALFORMED)


@pytest.mark.parametrize("kind", KINDS)
def test_signature_by_another_key_is_refused(environment: NotationEnvironment, kind: str) -> None:
    environment.push(environment.envelope(key=new_key()), kind)
    environment.refused(Reason.INVALID_SIGNATURE)


def _jws(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return encode(document)

    return changed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.replace(b'"payload"', b'"payload":"e30","payload"', 1), MALFORMED),
        (lambda data: data + b"{}", MALFORMED),
        (_jws(lambda jws: jws.update(signature=jws["signature"] + "=")), MALFORMED),
        (_jws(lambda jws: jws.update(signature=jws["signature"][:-2])), Reason.INVALID_SIGNATURE),
        (_jws(lambda jws: jws.update(signatures=[])), MALFORMED),
        (_jws(lambda jws: jws["header"].update(alg="ES256")), MALFORMED),
        (_jws(lambda jws: jws["header"].update(x5c=[])), MALFORMED),
        (_jws(lambda jws: jws["header"].update(x5c=jws["header"]["x5c"] * 6)), MALFORMED),
        (_jws(lambda jws: jws["header"].update(x5c=[1])), MALFORMED),
        (_jws(lambda jws: jws["header"].pop("x5c")), MALFORMED),
        (_jws(lambda jws: jws.update(payload="e30")), Reason.INVALID_SIGNATURE),
    ],
    ids=[
        "member twice", "bytes after it", "padding", "short signature", "general serialisation", "in both headers",
        "no certificates", "too many certificates", "certificate that is a number", "no chain", "other payload",
    ],
)  # fmt: skip
def test_malformed_jws_is_refused(
    environment: NotationEnvironment, change: Callable[[bytes], bytes], reason: Reason
) -> None:
    environment.push(change(environment.envelope().jws()))
    environment.refused(reason)


def _cose(change: Callable[[list[Any]], Any]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        tagged = cbor.decode(data, "it")
        assert isinstance(tagged, cbor.Tagged)
        assert isinstance(tagged.value, list)
        change(tagged.value)
        return cbor.encode(tagged)

    return changed


def _duplicate(parts: list[Any]) -> None:
    protected = parts[0]
    parts[0] = bytes([protected[0] + 1]) + b"\x01\x26" + protected[1:]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data + b"\x00", MALFORMED),
        (lambda data: data[:-1], MALFORMED),
        (lambda data: data[1:], MALFORMED),
        (_cose(lambda parts: parts.pop()), MALFORMED),
        (_cose(_duplicate), MALFORMED),
        (_cose(lambda parts: parts[1].update({1: -7})), MALFORMED),
        (_cose(lambda parts: parts[1].update({33: parts[1][33][0]})), MALFORMED),
        (_cose(lambda parts: parts[1].update({33: parts[1][33] * 6})), MALFORMED),
        (_cose(lambda parts: parts[1].update({33: [1]})), MALFORMED),
        (_cose(lambda parts: parts[1].update({"io.cncf.notary.timestampSignature": "a"})), MALFORMED),
        (_cose(lambda parts: parts.__setitem__(0, b"\x80")), MALFORMED),
        (_cose(lambda parts: parts.__setitem__(2, b"{}")), Reason.INVALID_SIGNATURE),
        (_cose(lambda parts: parts.__setitem__(3, b"")), Reason.INVALID_SIGNATURE),
    ],
    ids=[
        "bytes after it", "cut off", "no tag", "three parts", "label twice", "in both headers", "one certificate",
        "too many certificates", "certificate that is a number", "timestamp that is a text", "header that is a list",
        "other payload", "no signature",
    ],
)  # fmt: skip
def test_malformed_cose_is_refused(
    environment: NotationEnvironment, change: Callable[[bytes], bytes], reason: Reason
) -> None:
    environment.push(change(environment.envelope().cose()), COSE_TYPE)
    environment.refused(reason)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"digest": "sha256:" + "4a" * 32}, Reason.DIGEST_MISMATCH),
        ({"mediaType": OCI_INDEX}, Reason.TYPE_MISMATCH),
        ({"size": 3}, Reason.TYPE_MISMATCH),
        ({"size": -1}, MALFORMED),
        ({"size": True}, MALFORMED),
        ({"annotations": []}, MALFORMED),
    ],
)
def test_payload_is_about_the_image(environment: NotationEnvironment, members: dict[str, Any], reason: Reason) -> None:
    payload = payload_for(environment.body, environment.digest, **members)
    environment.push(environment.envelope(payload=payload))
    environment.refused(reason)


def test_annotations_are_required(environment: NotationEnvironment) -> None:
    payload = payload_for(environment.body, environment.digest, annotations={"env": "prod"})
    environment.push(environment.envelope(payload=payload))
    environment.verify(annotations={"env": "prod"})
    environment.refused(Reason.ANNOTATION_MISMATCH, annotations={"env": "dev"})
    environment.refused(Reason.ANNOTATION_MISMATCH, annotations={"team": "a"})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"layers": 2}, MALFORMED),
        ({"layers": 0}, MALFORMED),
        ({"media_type": "application/json"}, MALFORMED),
        ({"changes": {"artifactType": "application/vnd.example"}}, Reason.NO_SIGNATURE),
        ({"changes": {"artifactType": ARTIFACT_TYPE, "config": 1}}, MALFORMED),
    ],
)
def test_manifest_of_a_signature_has_one_envelope(
    environment: NotationEnvironment, changes: dict[str, Any], reason: Reason
) -> None:
    environment.push(environment.envelope().jws(), **changes)
    environment.refused(reason)


def test_referrer_that_names_another_image_is_refused(environment: NotationEnvironment) -> None:
    digest = environment.push(changes={"subject": {"mediaType": OCI_INDEX, "digest": "sha256:" + "4a" * 32, "size": 1}})
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 10}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{**entry, "artifactType": ARTIFACT_TYPE}]}
    environment.registry.faults.answer("/referrers/", 200, {"Content-Type": OCI_INDEX}, encode(index))
    environment.refused(Reason.DIGEST_MISMATCH)


def test_envelope_that_is_listed_and_withheld_is_unavailable(environment: NotationEnvironment) -> None:
    envelope = environment.envelope().jws()
    environment.push(envelope)
    environment.registry.repositories[REPOSITORY].blobs.clear()
    assert environment.unavailable().reason is Reason.NOT_FOUND


def test_certificates_may_come_from_secrets(environment: NotationEnvironment) -> None:
    environment.push()
    stores = {"ca": [{"secretRef": {"name": "cas", "key": "ca.pem"}}]}
    spec = {"trustStores": stores, "trustedIdentities": [IDENTITY]}
    pem = (Authority("another").pem + environment.authority.pem).encode()
    check = notation_check(spec, {"cas": {"ca.pem": pem}})
    assert check.verify(environment.image, environment.sources()).fingerprints
    other = notation_check(spec, {"cas": {"ca.pem": Authority("another").pem.encode()}})
    assert other.content != check.content


def test_expiry_is_the_signers(environment: NotationEnvironment) -> None:
    for kind in KINDS:
        environment.push(environment.envelope(expiry=NOW + timedelta(hours=1)), kind)
    environment.verify()
    environment.clock.advance(3600)
    environment.refused(Reason.EXPIRED)
    environment.verify(acceptExpired=True)
