from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import VerificationError
from sealgate.reasons import Reason
from sealgate.timestamps.verify import Authorities, verify_response, verify_token
from tests.support.builders import der
from tests.support.examples import examples
from tests.support.signers.certificates import BEGIN, END, CertifiedKey, make_root, purposes
from tests.support.signers.timestamps import NOON, TSA, certified_as, make_tsa, sha1_imprint

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDED = Path(__file__).parents[1] / "data" / "timestamps"
MESSAGE = b"a signature"
TIMESTAMPS_ONLY = purposes(ExtendedKeyUsageOID.TIME_STAMPING)
THE_TSA = make_tsa()
_SEVERAL_PURPOSES = (ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)
TRUSTED = Authorities((THE_TSA.root.certificate,))


def _refusal(tsa: TSA, at: datetime = NOON, authorities: Authorities = TRUSTED) -> VerificationError:
    with pytest.raises(VerificationError) as refusal:
        verify_response(tsa.respond(MESSAGE, at), MESSAGE, authorities)
    return refusal.value


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("with-certificate", timedelta(seconds=1, milliseconds=500)),
        ("without-certificate", timedelta(seconds=1, milliseconds=500)),
        ("sha1-certificate-id", timedelta(0)),
    ],
)
def test_timestamp_of_openssl_verifies(name: str, accuracy: timedelta) -> None:
    root, tsa = (x509.load_pem_x509_certificate((RECORDED / f"{kind}.pem").read_bytes()) for kind in ("root", "tsa"))
    response, message = (RECORDED / f"{name}.tsr").read_bytes(), (RECORDED / "message.txt").read_bytes()

    found = verify_response(response, message, Authorities((root,), (tsa,)))

    assert found.chain == (tsa, root)
    assert found.accuracy == accuracy
    assert root.not_valid_before_utc <= found.time <= root.not_valid_before_utc + timedelta(minutes=1)
    with pytest.raises(VerificationError, match="made for something else"):
        verify_response(response, message + b".", Authorities((root,), (tsa,)))


def test_token_states_its_time_chain_and_accuracy() -> None:
    found = verify_token(THE_TSA.token(MESSAGE), MESSAGE, TRUSTED)
    assert found.time == NOON
    assert found.accuracy == timedelta(seconds=1, milliseconds=1)
    assert [part.subject.rfc4514_string() for part in found.chain] == ["CN=tsa", "CN=tsa intermediate", "CN=tsa root"]


def test_rsa_key_makes_timestamps() -> None:
    key = rsa.generate_private_key(65537, 2048)
    tsa = certified_as(THE_TSA, THE_TSA.root.issue("rsa", [TIMESTAMPS_ONLY], key=key))
    assert verify_response(tsa.respond(MESSAGE), MESSAGE, TRUSTED).time == NOON


def test_certificates_may_come_from_the_policy() -> None:
    bare = replace(THE_TSA, embedded=())
    assert _refusal(bare).reason is Reason.UNKNOWN_KEY
    authorities = replace(TRUSTED, certificates=THE_TSA.embedded)
    assert verify_response(bare.respond(MESSAGE), MESSAGE, authorities).time == NOON


@pytest.mark.parametrize(
    ("wrong", "reason", "says"),
    [
        (lambda _: make_tsa("other"), Reason.UNKNOWN_KEY, "does not lead to a trusted root"),
        (lambda tsa: replace(tsa, status=2), Reason.MALFORMED_EVIDENCE, "did not grant"),
        (lambda tsa: replace(tsa, signer_count=0), Reason.MALFORMED_EVIDENCE, "0 signers"),
        (lambda tsa: replace(tsa, signer_count=2), Reason.MALFORMED_EVIDENCE, "2 signers"),
        (lambda tsa: replace(tsa, content_type=der.oid("1.2.840.113549.1.7.1")), Reason.MALFORMED_EVIDENCE, "type"),
        (
            lambda tsa: replace(tsa, swapped_content=tsa.info(MESSAGE, NOON + timedelta(days=1))),
            Reason.INVALID_SIGNATURE,
            "changed after it was signed",
        ),
        (lambda tsa: replace(tsa, algorithm="1.2.840.10045.4.3.3"), Reason.INVALID_SIGNATURE, "not supported"),
        (lambda tsa: replace(tsa, algorithm="1.2.840.113549.1.1.11"), Reason.INVALID_SIGNATURE, "does not fit"),
        (
            lambda tsa: replace(tsa, signer=make_tsa().signer),
            Reason.INVALID_SIGNATURE,
            "not signed by the TSA that it names",
        ),
        (lambda tsa: replace(tsa, named=tsa.embedded[1]), Reason.UNKNOWN_KEY, "not for timestamps alone"),
        (sha1_imprint, Reason.MALFORMED_EVIDENCE, "SHA-1"),
        (
            lambda tsa: replace(
                tsa,
                more_attributes=(der.sequence(der.oid("1.2.840.113549.1.9.4"), der.element(0x31, der.octets(b""))),),
            ),
            Reason.MALFORMED_EVIDENCE,
            "occurs twice",
        ),
        (
            lambda tsa: replace(
                tsa, extensions=(der.sequence(der.oid("1.2.3"), der.element(0x01, b"\xff"), der.octets(b"")),)
            ),
            Reason.MALFORMED_EVIDENCE,
            "critical extension",
        ),
        (lambda tsa: replace(tsa, accuracy=(der.integer(100_000),)), Reason.MALFORMED_EVIDENCE, "accuracy"),
        (
            lambda tsa: certified_as(tsa, tsa.root.issue("several", [purposes(*_SEVERAL_PURPOSES)])),
            Reason.UNKNOWN_KEY,
            "not for timestamps alone",
        ),
        (
            lambda tsa: certified_as(
                tsa, tsa.root.issue("lax", [purposes(ExtendedKeyUsageOID.TIME_STAMPING, critical=False)])
            ),
            Reason.UNKNOWN_KEY,
            "not for timestamps alone",
        ),
        (
            lambda tsa: certified_as(tsa, tsa.root.issue("ca", [TIMESTAMPS_ONLY], ca=True)),
            Reason.UNKNOWN_KEY,
            "certificate of a CA",
        ),
        (
            lambda tsa: certified_as(tsa, tsa.signer.issue("below a leaf", [TIMESTAMPS_ONLY])),
            Reason.UNKNOWN_KEY,
            "does not lead to a trusted root",
        ),
    ],
)
def test_wrong_timestamp_is_refused(wrong: Callable[[TSA], TSA], reason: Reason, says: str) -> None:
    refusal = _refusal(wrong(THE_TSA))
    assert refusal.reason is reason
    assert says in refusal.message


def test_timestamp_of_other_bytes_is_refused() -> None:
    with pytest.raises(VerificationError) as refusal:
        verify_response(THE_TSA.respond(MESSAGE), MESSAGE + b".", TRUSTED)
    assert refusal.value.reason is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize(
    "expired",
    [
        lambda: certified_as(THE_TSA, THE_TSA.root.issue("tsa", [TIMESTAMPS_ONLY], end=NOON - timedelta(days=1))),
        lambda: _below(THE_TSA.root.issue("middle", ca=True, end=NOON - timedelta(days=1))),
        lambda: certified_as(THE_TSA, THE_TSA.root.issue("tsa", [TIMESTAMPS_ONLY], begin=NOON + timedelta(days=1))),
    ],
)
def test_certificate_must_be_valid_at_the_time_of_the_timestamp(expired: Callable[[], TSA]) -> None:
    assert _refusal(expired()).reason in (Reason.EXPIRED, Reason.UNKNOWN_KEY)


def _below(middle: CertifiedKey) -> TSA:
    signer = middle.issue("tsa", [TIMESTAMPS_ONLY])
    return replace(certified_as(THE_TSA, signer), embedded=(signer.certificate, middle.certificate))


@pytest.mark.parametrize("at", [BEGIN - timedelta(seconds=1), END])
def test_root_must_be_valid_at_the_time_of_the_timestamp(at: datetime) -> None:
    root = make_root("root", begin=BEGIN, end=END)
    forever = root.issue("tsa", [TIMESTAMPS_ONLY], begin=datetime(2000, 1, 1, tzinfo=UTC), end=NOON.replace(year=2040))
    tsa = certified_as(THE_TSA, forever)
    assert _refusal(tsa, at, Authorities((root.certificate,))).reason in (Reason.EXPIRED, Reason.UNKNOWN_KEY)


def test_issuer_for_another_purpose_is_refused() -> None:
    middle = THE_TSA.root.issue("code", [purposes(ExtendedKeyUsageOID.CODE_SIGNING)], ca=True)
    assert "an issuer may not certify for timeStamping" in _refusal(_below(middle)).message


def test_path_length_is_kept() -> None:
    above = THE_TSA.root.issue("above", ca=True, path_length=0)
    middle = above.issue("middle", ca=True)
    tsa = _below(middle)
    tsa = replace(tsa, embedded=(*tsa.embedded, above.certificate))
    assert _refusal(tsa).reason is Reason.UNKNOWN_KEY


@settings(max_examples=examples(200))
@given(st.data())
def test_damaged_timestamp_is_refused_and_raises_nothing_else(data: st.DataObject) -> None:
    root = x509.load_pem_x509_certificate((RECORDED / "root.pem").read_bytes())
    message = (RECORDED / "message.txt").read_bytes()
    response = bytearray((RECORDED / "with-certificate.tsr").read_bytes())
    at = data.draw(st.integers(0, len(response) - 1))
    change = data.draw(st.one_of(st.integers(1, 255), st.none()))
    if change is None:
        del response[at:]
    else:
        response[at] ^= change
    try:
        found = verify_response(bytes(response), message, Authorities((root,)))
    except VerificationError:
        return
    # Only what is not signed, and has no effect, may have changed.
    assert found.time - root.not_valid_before_utc < timedelta(minutes=1)


@pytest.mark.parametrize("bad", ["name", "year"])
def test_tsa_certificate_that_cannot_be_read_is_refused(bad: str) -> None:
    names = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3004a5023000"))
    more = [(names, False)] if bad == "name" else []
    signer = make_root("stranger").issue("tsa", [TIMESTAMPS_ONLY, *more], end=END.replace(year=2126))
    if bad == "year":
        made = signer.certificate.public_bytes(Encoding.DER)
        unreadable = x509.load_der_x509_certificate(made.replace(b"\x18\x0f2125", b"\x18\x0f0000"))
        signer = replace(signer, certificate=unreadable)
    assert _refusal(certified_as(THE_TSA, signer)).reason in {Reason.UNKNOWN_KEY, Reason.MALFORMED_EVIDENCE}
