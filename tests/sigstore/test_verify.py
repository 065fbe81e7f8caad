from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealgate.errors import VerificationError
from sealgate.reasons import Reason
from sealgate.sigstore.identities import Exactly, Identity, Matching
from sealgate.sigstore.material import read_bundle_material, read_classic_material
from sealgate.sigstore.trusted_root import parse_trusted_root
from sealgate.sigstore.verify import Keyless
from tests.support.signers.sigstore import ISSUER, SUBJECT, Recipe, Signature, make_sigstore, pae, with_other_ca
from tests.support.signers.timestamps import NOON, make_tsa

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.sigstore.certificates import Signer
    from sealgate.sigstore.material import Material
    from tests.support.signers.sigstore import Sigstore

SIGSTORE = make_sigstore()
JANE = Identity(Exactly(ISSUER), Exactly(SUBJECT))
PAYLOAD = b'{"statement":1}'
ALL_2026 = {"start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"}
SINCE_2020: dict[str, Any] = {"start": "2020-01-01T00:00:00Z", "end": None}
PLAIN = Recipe()
V2 = Recipe(log="rekor2", timestamp=True)


def rules(*identities: Identity, require_log: bool = True, root: Mapping[str, Any] | None = None) -> Keyless:
    parsed = parse_trusted_root(json.dumps(root or SIGSTORE.trusted_root()).encode())
    return Keyless(parsed, identities or (JANE,), require_log)


def verify(
    recipe: Recipe = PLAIN, keyless: Keyless | None = None, version: str = "0.3", sigstore: Sigstore = SIGSTORE
) -> Signer:
    """Sign an envelope and verify it as a bundle, or as a classic layer where the version is empty."""
    payload = PAYLOAD if version else None
    message = pae(PAYLOAD) if version else b"a classic payload"
    signed = sigstore.sign(message, recipe, payload)
    material: Material = (
        read_bundle_material(signed.material(version), version)
        if version
        else read_classic_material(signed.annotations())
    )
    return (keyless or rules()).verify(material, signed.made.signature, message, payload)[0]


def refused(recipe: Recipe, reason: Reason, says: str, keyless: Keyless | None = None, **options: Any) -> None:
    with pytest.raises(VerificationError) as refusal:
        verify(recipe, keyless, **options)
    assert refusal.value.reason is reason, refusal.value.message
    assert says in refusal.value.message
    assert refusal.value.message.isprintable()


@pytest.mark.parametrize(
    ("version", "recipe"),
    [
        ("", Recipe()),
        ("", Recipe(timestamp=True)),
        ("0.1", Recipe(proof=False)),
        ("0.2", Recipe()),
        ("0.3", Recipe()),
        ("0.3", Recipe(promise=False, timestamp=True)),
        ("0.3", V2),
        ("0.2", V2),
    ],
)
def test_every_layout_verifies(version: str, recipe: Recipe) -> None:
    signer = verify(recipe, version=version)
    assert (signer.subject, signer.issuer) == (SUBJECT, ISSUER)


def test_timestamp_is_enough_where_no_log_is_required() -> None:
    keyless = rules(require_log=False)
    assert verify(Recipe(log="", timestamp=True), keyless).subject == SUBJECT
    refused(Recipe(log="", timestamp=True), Reason.UNKNOWN_KEY, "not in a transparency log")
    refused(Recipe(log=""), Reason.UNKNOWN_KEY, "nothing proves when", keyless)


def test_signer_is_the_same_with_every_certificate() -> None:
    first, second = verify(), verify(V2)
    assert first.fingerprint == second.fingerprint
    other = verify(Recipe(subject="joe@example.com"), rules(Identity(Exactly(ISSUER), Matching(".*"))))
    assert other.fingerprint != first.fingerprint


# Times --------------------------------------------------------------------------------------------------------------

LATE = NOON + timedelta(minutes=11)


@pytest.mark.parametrize("recipe", [replace(V2, stamped_at=LATE), Recipe(timestamp=True, stamped_at=LATE)])
def test_certificate_must_be_valid_at_every_proven_time(recipe: Recipe) -> None:
    refused(recipe, Reason.EXPIRED, "2026-06-01 12:11:00")


@pytest.mark.parametrize("kind", ["rekor1", "ct", "ca", "rekor2", "tsa"])
@pytest.mark.parametrize(
    "period", [{"start": "2026-01-01T00:00:00Z", "end": "2026-05-31T00:00:00Z"}, {"start": "2026-06-02T00:00:00+00:00"}]
)
def test_keys_are_trusted_in_their_period_only(kind: str, period: dict[str, str]) -> None:
    recipe = V2 if kind in ("rekor2", "tsa") else Recipe()
    refused(recipe, Reason.EXPIRED, "the trusted root trusts", rules(root=SIGSTORE.trusted_root(**{kind: period})))
    verify(recipe, rules(root=SIGSTORE.trusted_root(**{kind: SINCE_2020})))


@pytest.mark.parametrize("recipe", [Recipe(), V2], ids=["v1", "v2"])
def test_log_may_have_two_periods(recipe: Recipe) -> None:
    root = SIGSTORE.trusted_root()
    ended = {"start": "2026-01-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}
    root["tlogs"] = [*SIGSTORE.trusted_root(rekor1=ended, rekor2=ended)["tlogs"], *root["tlogs"]]
    assert verify(recipe, rules(root=root)).subject == SUBJECT


def test_certificates_of_the_ca_must_be_valid_when_it_was_signed() -> None:
    long_ago = datetime(2025, 6, 1, tzinfo=UTC)
    root = SIGSTORE.trusted_root(ca=SINCE_2020, ct=SINCE_2020, rekor1=SINCE_2020)
    refused(Recipe(at=long_ago), Reason.UNKNOWN_KEY, "does not lead to a trusted root", rules(root=root))


def test_unsigned_time_does_not_count() -> None:
    refused(Recipe(promise=False), Reason.UNKNOWN_KEY, "nothing proves when it was made")


# One thing wrong ----------------------------------------------------------------------------------------------------


def _set(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda entry: entry.__setitem__(name, value)


def _set_proof(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda entry: entry["inclusionProof"].__setitem__(name, value)


def _other(**changes: bytes) -> Callable[[Signature], Signature]:
    return lambda made: replace(made, **changes)


OTHER_CERTIFICATE = SIGSTORE.certify(Recipe())[1]
HASH = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize("version", ["", "0.3"])
@pytest.mark.parametrize("base", [Recipe(), V2], ids=["v1", "v2"])
@pytest.mark.parametrize(
    ("logged", "what"),
    [
        (_other(message=b"other", payload=b"other"), "what was signed"),
        (_other(signature=b"other"), "the signature"),
        (_other(certificate=OTHER_CERTIFICATE), "the signer"),
    ],
)
def test_entry_of_another_signature_is_refused(
    base: Recipe, logged: Callable[[Signature], Signature], what: str, version: str
) -> None:
    if version or base.log == "rekor1":  # classic layers have entries of Rekor v1 only
        recipe = replace(base, logged=lambda made: _same_layout(logged(made), made))
        refused(recipe, Reason.INVALID_SIGNATURE, f"another signature: {what} differs", version=version)


def _same_layout(logged: Signature, made: Signature) -> Signature:
    return logged if made.payload is not None else replace(logged, payload=None)


@pytest.mark.parametrize("base", [Recipe(), V2], ids=["v1", "v2"])
@pytest.mark.parametrize(
    "change",
    [
        _set_proof("rootHash", HASH),
        _set_proof("treeSize", "7"),
        _set_proof("logIndex", "2"),
        _set_proof("logIndex", "6"),
        _set_proof("hashes", [HASH] * 3),
        _set_proof("hashes", []),
        _set_proof("hashes", [HASH] * 65),
        lambda entry: entry["inclusionProof"]["hashes"].append(HASH),
        _set_proof("checkpoint", {"envelope": ""}),
        lambda entry: _change_checkpoint(entry, "\n6\n", "\n7\n"),
        lambda entry: _change_checkpoint(entry, ".example.com\n", ".example.org\n"),
        lambda entry: _change_checkpoint(entry, ".example.com - 2", ".example.com - x"),
        lambda entry: _change_checkpoint(entry, "\u2014 ", "- "),
        lambda entry: _change_checkpoint(entry, "\u2014 ", "\u2014 other."),
        _set("canonicalizedBody", base64.b64encode(b'{"kind":"dsse","apiVersion":"0.0.1","spec":{}}').decode()),
    ],
)
def test_proof_that_does_not_hold_is_refused(base: Recipe, change: Callable[[dict[str, Any]], object]) -> None:
    unchanged: list[bool] = []

    def apply(entry: dict[str, Any]) -> None:
        before = json.dumps(entry)
        change(entry)
        unchanged.append(json.dumps(entry) == before)

    try:
        verify(replace(base, change_entry=apply))
    except VerificationError as error:
        assert error.reason in (Reason.INVALID_SIGNATURE, Reason.MALFORMED_EVIDENCE)  # noqa: PT017 - some change nothing
    else:
        assert unchanged == [True]


def _change_checkpoint(entry: dict[str, Any], before: str, after: str) -> None:
    checkpoint = entry["inclusionProof"]["checkpoint"]
    checkpoint["envelope"] = checkpoint["envelope"].replace(before, after)


@pytest.mark.parametrize(
    "change",
    [
        _set("integratedTime", str(int(LATE.timestamp()))),
        _set("integratedTime", "0"),
        _set("logIndex", "7"),
        _set("inclusionPromise", {"signedEntryTimestamp": HASH}),
    ],
)
def test_promise_that_does_not_hold_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    for version in ("", "0.3"):
        refused(Recipe(change_entry=change), Reason.INVALID_SIGNATURE, "promise", version=version)


def test_proof_is_required_since_version_2() -> None:
    refused(Recipe(proof=False), Reason.MALFORMED_EVIDENCE, "inclusion proof is missing", version="0.2")


def test_log_must_be_in_the_trusted_root() -> None:
    other = make_sigstore("other")
    sigstore = replace(SIGSTORE, keys={**SIGSTORE.keys, "rekor1": other.keys["rekor1"]})
    refused(Recipe(), Reason.UNKNOWN_KEY, "which the trusted root does not have", sigstore=sigstore)


@pytest.mark.parametrize("kind", [("intoto", "0.0.1"), ("rekord", "0.0.1"), ("hashedrekord", "0.0.3")])
def test_entry_of_another_kind_is_refused(kind: tuple[str, str]) -> None:
    def change(body: dict[str, Any]) -> None:
        body["kind"], body["apiVersion"] = kind

    refused(Recipe(change_body=change), Reason.TYPE_MISMATCH, "of a kind")


def test_timestamp_of_an_unknown_tsa_does_not_count() -> None:
    refused(replace(V2, timestamp=make_tsa("other")), Reason.UNKNOWN_KEY, "does not lead to a trusted root")


def test_signature_must_be_of_the_certificates_key() -> None:
    signed = SIGSTORE.sign(pae(PAYLOAD), V2, PAYLOAD)
    material = read_bundle_material(signed.material(), "0.3")
    with pytest.raises(VerificationError, match="key of its certificate did not make it"):
        rules().verify(material, signed.made.signature, pae(b"other"), b"other")
    with pytest.raises(VerificationError, match="key of its certificate did not make it"):
        rules().verify(replace(material, certificate=OTHER_CERTIFICATE), signed.made.signature, pae(PAYLOAD), PAYLOAD)


@pytest.mark.parametrize(
    ("recipe", "reason", "says"),
    [
        (Recipe(sct=None), Reason.UNKNOWN_KEY, "it has no SCT"),
        (Recipe(sct="rekor1"), Reason.UNKNOWN_KEY, "SCT was not made by the log"),
        (Recipe(sct_at=datetime(2027, 6, 1, tzinfo=UTC)), Reason.EXPIRED, "the key of the CT log"),
        (Recipe(purpose=ExtendedKeyUsageOID.SERVER_AUTH), Reason.UNKNOWN_KEY, "does not include codeSigning"),
        (Recipe(issuer=None, old_issuer=""), Reason.MALFORMED_EVIDENCE, "does not name one issuer"),
        (Recipe(old_issuer="https://other.example.com"), Reason.MALFORMED_EVIDENCE, "does not name one issuer"),
        (Recipe(issuer="https://other.example.com"), Reason.IDENTITY_MISMATCH, "the issuer is not"),
        (Recipe(subject="joe@example.com"), Reason.IDENTITY_MISMATCH, "the subject is not jane@example.com"),
        (
            Recipe(names=(x509.RFC822Name(SUBJECT), x509.RFC822Name("joe@example.com"))),
            Reason.MALFORMED_EVIDENCE,
            "exactly one subject alternative name",
        ),
        (Recipe(names=(x509.DNSName("jane.example.com"),)), Reason.MALFORMED_EVIDENCE, "of a kind"),
    ],
)
def test_wrong_certificate_is_refused(recipe: Recipe, reason: Reason, says: str) -> None:
    refused(recipe, reason, says)


def test_certificate_of_another_ca_is_refused() -> None:
    refused(Recipe(), Reason.UNKNOWN_KEY, "does not lead to a trusted root", sigstore=with_other_ca(SIGSTORE))


def test_certificate_with_the_old_issuer_alone_is_accepted() -> None:
    assert verify(Recipe(issuer=None, old_issuer=ISSUER)).issuer == ISSUER


def test_user_name_is_a_subject() -> None:
    name = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), b"\x0c\x04jane")
    assert verify(Recipe(names=(name,)), rules(Identity(Exactly(ISSUER), Exactly("jane")))).subject == "jane"


def test_facts_of_the_build_must_be_equal() -> None:
    workflow = "https://github.com/shop/app/.github/workflows/release.yml@refs/heads/main"
    recipe = Recipe(subject=workflow, facts={5: "shop/app", 12: "https://github.com/shop/app", 14: "refs/heads/main"})
    facts = (("github_workflow_repository", "shop/app"), ("source_repository_ref", "refs/heads/main"))
    identity = Identity(Exactly(ISSUER), Exactly(workflow), facts)
    verify(recipe, rules(identity))
    wrong = replace(identity, facts=(facts[0], ("source_repository_ref", "refs/heads/dev")))
    refused(recipe, Reason.IDENTITY_MISMATCH, "sourceRepositoryRef is refs/heads/main", rules(wrong))
    missing = replace(identity, facts=(("build_trigger", "push"),))
    refused(recipe, Reason.IDENTITY_MISMATCH, "buildTrigger is not stated", rules(missing))
    verify(recipe, rules(wrong, identity))


def test_parts_of_two_identities_do_not_make_one() -> None:
    joe = Identity(Exactly(ISSUER), Exactly("joe@example.com"))
    elsewhere = Identity(Exactly("https://other.example.com"), Exactly(SUBJECT))
    refused(Recipe(), Reason.IDENTITY_MISMATCH, "the authenticator does not accept", rules(joe, elsewhere))
