from __future__ import annotations

import json
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidKeyError
from sealgate_operator.keys.public_material import MAX_TEXT, read_key, read_public
from tests.operator.objects import fingerprint_of, pem
from tests.support.builders.key_encodings import explicit_p256
from tests.support.examples import examples
from tests.support.signers.notation import NOW, Authority
from tests.support.signers.sigstore import make_sigstore
from tests.support.signers.simple_signing import armored_key
from tests.support.simulators.revocation import RevocationSimulator

DATA = Path(__file__).parents[2] / "data"


def certificate() -> str:
    return trustme.CA().cert_pem.bytes().decode()


def test_a_public_key_keeps_its_fingerprint() -> None:
    found = read_public(b"some words\n" + pem("one").encode() + b"more words\n")
    assert (found.text, found.fingerprint) == (pem("one"), fingerprint_of("one"))
    assert "words" not in found.text


def test_text_between_pem_blocks_is_dropped() -> None:
    first = certificate()
    found = read_public(f"a secret word\n{first}another\n{pem('one')}".encode())
    assert found.text == first + pem("one")
    assert found.fingerprint is None


def test_revocation_list_is_public() -> None:
    served = RevocationSimulator(Authority("root"), NOW)
    with served:
        text = served.list().decode()
    assert read_public(f"a secret word\n{text}".encode()).text == text
    with pytest.raises(InvalidKeyError, match="revocation list"):
        read_public(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")


def test_two_openpgp_certificates_have_no_fingerprint_of_their_own() -> None:
    both = armored_key("rsa-3072") + armored_key("ed25519")
    assert read_public(both.encode()).fingerprint is None


def test_a_certificate_beside_its_private_key_is_refused() -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("example.org")
    with pytest.raises(InvalidKeyError, match="private key"):
        read_public(issued.private_key_and_cert_chain_pem.bytes())


def test_explicit_curve_parameters_are_refused() -> None:
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    explicit = explicit_p256(point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).encode()
    chains = json.loads((DATA / "notary_chains" / "chains.json").read_text())["chains"]
    certificate = next(chain["roots"] for chain in chains if chain["name"].startswith("root's key with explicit"))
    for raw in (explicit, certificate.encode()):
        with pytest.raises(InvalidKeyError, match="RFC 5480"):
            read_public(raw)


def test_material_larger_than_a_status_is_refused() -> None:
    many = certificate() * (MAX_TEXT // 500)
    with pytest.raises(InvalidKeyError, match="remove keys that are not used"):
        read_public(many.encode())


def test_trusted_root_is_written_anew() -> None:
    root = make_sigstore().trusted_root()
    logs = [{**log, "operator": "text", "checkpointKeyId": {"keyId": "AAAA", "more": "text"}} for log in root["tlogs"]]
    found = read_public(b"\n  " + json.dumps({**root, "tlogs": logs}, indent=1).encode())
    assert json.loads(found.text) == root
    assert found.fingerprint is None


_CA = make_sigstore().trusted_root()["certificateAuthorities"][0]
_ROOT = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "certificateAuthorities": [_CA]}


@pytest.mark.parametrize(
    "secret",
    [
        {"auths": {"registry": "secret"}},
        {"mediaType": "secret"},
        {},
        {**_ROOT, "certificateAuthorities": [{**_CA, "certChain": {**_CA["certChain"], "auths": "secret"}}]},
    ],
)
def test_other_json_is_refused_without_a_word_of_it(secret: dict[str, object]) -> None:
    with pytest.raises(InvalidKeyError, match="JSON that is not a trusted root") as refusal:
        read_public(json.dumps(secret).encode())
    assert "auths" not in refusal.value.message
    assert ": secret" not in refusal.value.message


def test_surrounding_blanks_of_a_key_are_removed() -> None:
    assert read_key(f"\n\n {pem('one')}\n\n".encode(), None).text == pem("one")


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_only_declared_errors(raw: bytes) -> None:
    for read in (read_public, lambda data: read_key(data, None)):
        with pytest.raises(InvalidKeyError):
            read(raw)
