"""Ways to have an image pass as signed by an accepted identity, or by a key in a transparency log."""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.reasons import Reason
from sealgate.sigstore.trusted_root import MAX_ROOT_BYTES
from tests.support.environments.cosign import REPOSITORY, CosignEnvironment
from tests.support.signers.certificates import make_root, purposes
from tests.support.signers.cosign import Classic, push_bundle, push_classic, signature_tag
from tests.support.signers.keyless import (
    IDENTITY,
    JANE,
    KEY,
    SIGSTORE,
    V2,
    bundle,
    by_key,
    classic,
    keyless,
    keyless_check,
    logged,
)
from tests.support.signers.sigstore import ISSUER, Recipe, authority, make_sigstore, with_other_ca
from tests.support.signers.timestamps import NOON, TSA, certified_as, make_tsa
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.errors import VerificationError as Refusal
    from tests.support.signers.cosign import BundleOf

SLSA = "https://slsa.dev/provenance/v1"
LATER = NOON + timedelta(days=30)


@pytest.fixture
def environment() -> Iterator[CosignEnvironment]:
    with CosignEnvironment() as made:
        yield made


def refused(environment: CosignEnvironment, reason: Reason, spec: dict[str, Any] | None = None) -> Refusal:
    return environment.refused_by(keyless_check(spec or keyless()), reason)


@pytest.mark.parametrize("shown", [None, {"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"}])
def test_attack_130_attestation_by_an_identity_is_not_a_signature(
    environment: CosignEnvironment, shown: dict[str, str] | None
) -> None:
    attestation = bundle(environment.digest, V2, predicate_type=SLSA)
    push_bundle(environment.registry, REPOSITORY, attestation, annotations=shown)
    if shown is None:
        refused(environment, Reason.NO_SIGNATURE)
    else:
        refused(environment, Reason.TYPE_MISMATCH)


@pytest.mark.parametrize("make", [classic, bundle])
def test_attack_131_signature_of_another_image_is_refused(
    environment: CosignEnvironment, make: Callable[[str], Any]
) -> None:
    other = "sha256:" + "0a" * 32
    if make is classic:
        push_classic(environment.registry, REPOSITORY, classic(other), tag=signature_tag(environment.digest))
    else:
        push_bundle(environment.registry, REPOSITORY, bundle(other), subject=environment.digest)
    refused(environment, Reason.DIGEST_MISMATCH)


def test_attack_131_certificate_beside_a_strangers_signature_proves_nothing(environment: CosignEnvironment) -> None:
    good = classic(environment.digest)
    stranger = Classic(environment.digest, KEY, annotations=good.annotations)
    push_classic(environment.registry, REPOSITORY, stranger)
    refused(environment, Reason.INVALID_SIGNATURE)


def test_attack_132_one_identity_counts_once_however_often_it_signs(environment: CosignEnvironment) -> None:
    several = [classic(environment.digest, Recipe(at=NOON + timedelta(hours=hour))) for hour in range(3)]
    push_classic(environment.registry, REPOSITORY, *several)
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, V2))
    pattern = {"issuerRegExp": "https://.*", "subjectRegExp": ".*@example\\.com"}
    assert environment.ask(keyless_check(keyless(pattern, JANE))).fingerprints == (IDENTITY,)


def test_attack_132_several_log_entries_are_refused(environment: CosignEnvironment) -> None:
    made = bundle(environment.digest)
    entries = (made.material or {})["tlogEntries"] * 2
    push_bundle(environment.registry, REPOSITORY, _with_many(made, tlogEntries=entries))
    refused(environment, Reason.MALFORMED_EVIDENCE)


@pytest.mark.parametrize(
    ("issuer", "subject"),
    [
        (ISSUER, "https://github.com/shop/app.evil/.github/workflows/release.yml@refs/heads/main"),
        (ISSUER, "https://evil.example/https://github.com/shop/app"),
        (ISSUER, "https://github.com/shop/app\nhttps://evil.example"),
        (ISSUER, "https://github_com/shop/app"),
        (f"{ISSUER}.evil.example", "https://github.com/shop/app"),
        (f"https://evil.example/{ISSUER}", "https://github.com/shop/app"),
    ],
)
def test_attack_133_expression_matches_the_whole_text(
    environment: CosignEnvironment, issuer: str, subject: str
) -> None:
    push_classic(environment.registry, REPOSITORY, classic(environment.digest, Recipe(issuer=issuer, subject=subject)))
    for pattern in (
        r"https://github\.com/shop/(app|web)",
        r"https://github\.com/shop/web|https://github\.com/shop/app",
    ):
        identity = {"issuerRegExp": ISSUER.replace(".", r"\."), "subjectRegExp": pattern}
        refused(environment, Reason.IDENTITY_MISMATCH, keyless(identity))


def test_attack_133_slow_expression_of_other_engines_takes_linear_time(environment: CosignEnvironment) -> None:
    subject = f"https://example.com/{'a' * 3000}"
    push_classic(environment.registry, REPOSITORY, classic(environment.digest, Recipe(subject=subject)))
    identity = {"issuer": ISSUER, "subjectRegExp": r"https://example\.com/((a+)+)+b"}
    refused(environment, Reason.IDENTITY_MISMATCH, keyless(identity))


@pytest.mark.parametrize("recipe", [Recipe(), V2], ids=["v1", "v2"])
def test_attack_134_true_entry_of_another_signature_is_refused(environment: CosignEnvironment, recipe: Recipe) -> None:
    taken = dict(bundle("sha256:" + "0a" * 32, recipe).material or {})
    made = bundle(environment.digest, recipe)
    push_bundle(
        environment.registry,
        REPOSITORY,
        replace(made, material={**(made.material or {}), "tlogEntries": taken["tlogEntries"]}),
    )
    assert "belongs to another signature" in refused(environment, Reason.INVALID_SIGNATURE).message


def test_attack_134_entry_of_a_classic_layer_must_be_its_own(environment: CosignEnvironment) -> None:
    other = classic("sha256:" + "0a" * 32)
    good = classic(environment.digest)
    mixed = {**good.annotations, "dev.sigstore.cosign/bundle": other.annotations["dev.sigstore.cosign/bundle"]}
    push_classic(environment.registry, REPOSITORY, replace(good, annotations=mixed))
    refused(environment, Reason.INVALID_SIGNATURE)


@pytest.mark.parametrize("kind", ["rekor1", "rekor2", "ct", "ca", "tsa"])
def test_attack_135_key_that_leaked_after_its_end_signs_nothing(environment: CosignEnvironment, kind: str) -> None:
    ended = SIGSTORE.trusted_root(**{kind: {"start": "2026-01-01T00:00:00Z", "end": "2026-06-15T00:00:00Z"}})
    recipe = replace(V2 if kind in ("rekor2", "tsa") else Recipe(), at=LATER)
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, recipe))
    refused(environment, Reason.EXPIRED, keyless(trustedRoot={"inline": json.dumps(ended)}))


SINCE_2020 = {"start": "2020-01-01T00:00:00Z"}
ENDED = {"start": "2026-01-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}


def test_attack_135_intermediate_that_ended_does_not_come_back_below_its_root(environment: CosignEnvironment) -> None:
    # Two CAs of one root; the signature brings the certificate of the one that has ended.
    ended = SIGSTORE.root.issue("ended", [purposes(ExtendedKeyUsageOID.CODE_SIGNING)], ca=True)
    made = bundle(environment.digest, V2, "0.2", replace(SIGSTORE, ca=ended))
    (own,) = (made.material or {})["x509CertificateChain"]["certificates"]
    brought = {"rawBytes": base64.b64encode(ended.certificate.public_bytes(Encoding.DER)).decode()}
    made = _with_many(made, x509CertificateChain={"certificates": [own, brought]})
    old = {"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.2"}
    push_bundle(environment.registry, REPOSITORY, replace(made, members=old))
    root = SIGSTORE.trusted_root()
    refused(environment, Reason.UNKNOWN_KEY, keyless(trustedRoot={"inline": json.dumps(root)}))
    chain = (ended.certificate, SIGSTORE.root.certificate)
    root["certificateAuthorities"] += [authority("ended", chain, {"ended": ENDED})]
    refused(environment, Reason.EXPIRED, keyless(trustedRoot={"inline": json.dumps(root)}))


def test_attack_135_tsa_that_ended_does_not_come_back_below_its_root(environment: CosignEnvironment) -> None:
    root = make_root("shared")
    middle = root.issue("shared intermediate", ca=True, path_length=0)
    current, ended = (middle.issue(name, [purposes(ExtendedKeyUsageOID.TIME_STAMPING)]) for name in ("new", "old"))
    tsa = TSA(root, current, current.certificate, (current.certificate, middle.certificate))
    recipe = replace(V2, timestamp=certified_as(tsa, ended))
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, recipe))
    trusted = replace(SIGSTORE, tsa=tsa).trusted_root()
    refused(environment, Reason.UNKNOWN_KEY, keyless(trustedRoot={"inline": json.dumps(trusted)}))
    chain = (ended.certificate, middle.certificate, root.certificate)
    trusted["timestampAuthorities"] += [authority("ended", chain, {"ended": ENDED})]
    refused(environment, Reason.EXPIRED, keyless(trustedRoot={"inline": json.dumps(trusted)}))
    # Named by its intermediate, both are the TSA.
    trusted["timestampAuthorities"] = [authority("tsa", (middle.certificate, root.certificate), {})]
    found = environment.ask(keyless_check(keyless(trustedRoot={"inline": json.dumps(trusted)})))
    assert found.fingerprints == (IDENTITY,)


def test_attack_135_ct_log_that_ended_cannot_date_an_sct_back(environment: CosignEnvironment) -> None:
    recipe = replace(V2, sct_at=NOON - timedelta(days=120))
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, recipe))
    spec = keyless(trustedRoot={"inline": json.dumps(SIGSTORE.trusted_root(ct=ENDED))})
    assert "a time when the certificate was not valid" in refused(environment, Reason.UNKNOWN_KEY, spec).message


def test_attack_135_certificate_past_its_end_signs_nothing(environment: CosignEnvironment) -> None:
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, replace(V2, stamped_at=LATER)))
    refused(environment, Reason.EXPIRED)


@pytest.mark.parametrize(
    "sigstore", [make_sigstore("mallory"), with_other_ca(SIGSTORE), replace(SIGSTORE, tsa=make_tsa("mallory"))]
)
def test_attack_136_services_of_an_attacker_prove_nothing(environment: CosignEnvironment, sigstore: Any) -> None:
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, V2, sigstore=sigstore))
    refused(environment, Reason.UNKNOWN_KEY)


def test_attack_136_other_issuer_in_the_old_extension_is_refused(environment: CosignEnvironment) -> None:
    recipe = Recipe(issuer="https://evil.example", old_issuer=ISSUER)
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, recipe))
    refused(environment, Reason.MALFORMED_EVIDENCE)


def _with_many(made: BundleOf, **many: Any) -> BundleOf:
    return replace(made, material={**(made.material or {}), **many})


def test_attack_137_material_is_bounded(environment: CosignEnvironment) -> None:
    good = bundle(environment.digest, replace(V2, timestamp=True), "0.2")
    material = dict(good.material or {})
    certificates = material["x509CertificateChain"]["certificates"]
    stamp = material["timestampVerificationData"]["rfc3161Timestamps"][0]
    old = {"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.2"}
    for made in (
        _with_many(good, x509CertificateChain={"certificates": certificates * 9}),
        _with_many(good, timestampVerificationData={"rfc3161Timestamps": [stamp] * 5}),
        _with_many(good, timestampVerificationData={"rfc3161Timestamps": [{"signedTimestamp": "A" * 100_000}]}),
    ):
        digest = push_bundle(environment.registry, REPOSITORY, replace(made, members=old))
        with pytest.raises(VerificationError) as refusal:
            environment.ask(keyless_check(keyless()))
        assert refusal.value.reason in (Reason.MALFORMED_EVIDENCE, Reason.EVIDENCE_TOO_LARGE)
        environment.registry.delete(REPOSITORY, digest)


@pytest.mark.parametrize("given", [3, 1])
def test_attack_137_issuers_that_certify_each_other_end_the_search(environment: CosignEnvironment, given: int) -> None:
    # They come with a timestamp; where the trusted root has the TSA's chain, they are not tried at all.
    evil = make_root("evil")
    issuers = [evil.issue("evil", key=evil.key, ca=True) for _ in range(7)]
    signer = issuers[0].issue("tsa", [purposes(ExtendedKeyUsageOID.TIME_STAMPING)])
    embedded = (signer.certificate, *(one.certificate for one in issuers))
    recipe = replace(V2, timestamp=TSA(evil, signer, signer.certificate, embedded))
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, recipe))
    root = SIGSTORE.trusted_root()
    (tsa,) = root["timestampAuthorities"]
    tsa["certChain"]["certificates"] = tsa["certChain"]["certificates"][-given:]
    refusal = refused(environment, Reason.UNKNOWN_KEY, keyless(trustedRoot={"inline": json.dumps(root)}))
    assert ("its issuer is not there" if given > 1 else "check limit") in refusal.message


def test_attack_137_attestation_is_verified_once_for_all_requirements(environment: CosignEnvironment) -> None:
    # Nothing beside it says what it attests, so that it is read for every requirement.
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, V2, predicate_type=SLSA), annotations={})

    def verifications(count: int) -> int:
        types = [{"predicateType": f"https://example.com/{number}"} for number in range(count)]
        check = keyless_check(keyless(attestations=types, signatures="NotRequired"))
        calls: list[str] = []
        sys.setprofile(lambda _, event, called: calls.append(called.__name__) if event == "c_call" else None)
        try:
            environment.refused_by(check, Reason.TYPE_MISMATCH)
        finally:
            sys.setprofile(None)
        return calls.count("verify")

    assert verifications(8) == verifications(1) > 0


def test_attack_137_trusted_root_is_bounded() -> None:
    root = SIGSTORE.trusted_root()
    for many in ({**root, "tlogs": root["tlogs"] * 20}, {**root, "mediaType": "x" * MAX_ROOT_BYTES}):
        with pytest.raises((InvalidKeyError, ValueError)):
            keyless_check(keyless(trustedRoot={"inline": json.dumps(many)}))


def test_attack_138_time_that_no_trusted_service_signed_does_not_count(environment: CosignEnvironment) -> None:
    # The certificate has ended; the entry itself is true, and its time is made up to be within the certificate.
    def date_back(entry: dict[str, Any]) -> None:
        entry["integratedTime"] = str(int(NOON.timestamp()))

    recipe = Recipe(promise=False, change_entry=date_back)
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, recipe))
    assert "nothing proves when it was made" in refused(environment, Reason.UNKNOWN_KEY).message


def test_attack_138_log_is_required_unless_the_policy_says_otherwise(environment: CosignEnvironment) -> None:
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, replace(V2, log="")))
    refused(environment, Reason.UNKNOWN_KEY)
    assert environment.ask(keyless_check(keyless(requireTransparencyLog=False))).fingerprints == (IDENTITY,)


@pytest.mark.parametrize("promised", [True, False])
def test_attack_138_key_outside_the_log_is_refused_where_the_log_is_required(
    environment: CosignEnvironment, *, promised: bool
) -> None:
    plain = Classic(environment.digest, KEY)
    payload = encode(plain.document())
    signed = by_key(payload, None)
    annotations = signed.annotations()
    if promised:  # by the log, for another time
        entry = json.loads(annotations["dev.sigstore.cosign/bundle"])
        entry["Payload"]["integratedTime"] += 1
        annotations = {"dev.sigstore.cosign/bundle": json.dumps(entry)}
    else:
        annotations = {}
    push_classic(
        environment.registry,
        REPOSITORY,
        replace(plain, payload=payload, signature=signed.made.signature, annotations=annotations),
    )
    refused(environment, Reason.INVALID_SIGNATURE if promised else Reason.UNKNOWN_KEY, logged())


def test_attack_139_certificate_of_a_ca_that_ended_before_is_refused(environment: CosignEnvironment) -> None:
    recipe = Recipe(at=datetime(2027, 6, 1, tzinfo=UTC))
    root = SIGSTORE.trusted_root(ca=SINCE_2020, ct=SINCE_2020, rekor1=SINCE_2020)
    push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, recipe))
    refused(environment, Reason.UNKNOWN_KEY, keyless(trustedRoot={"inline": json.dumps(root)}))


def test_attack_136_certificate_that_the_ct_log_has_not_seen_is_refused(environment: CosignEnvironment) -> None:
    for sct in (None, "rekor1"):
        digest = push_bundle(environment.registry, REPOSITORY, bundle(environment.digest, Recipe(sct=sct)))
        refused(environment, Reason.UNKNOWN_KEY)
        environment.registry.delete(REPOSITORY, digest)
