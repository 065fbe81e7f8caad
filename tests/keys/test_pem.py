"""Reading of one PEM public key; any other text is refused with its kind and what to do."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidKeyError
from sealgate.keys.pem import MAX_PEM_BYTES, read_public_key_pem
from tests.support.examples import examples
from tests.support.signers.private_keys import new_key, public_pem

PEM = public_pem(new_key("ECDSA P-256"))


@pytest.mark.parametrize(
    "text",
    [PEM, PEM.encode(), PEM.strip(), f"\n  {PEM}\n\n", PEM.replace("\n", "\r\n"), PEM.replace("\n", "\n    ")],
    ids=["text", "bytes", "no newline", "blank around", "Windows", "indented as in YAML"],
)
def test_public_key_is_read_with_any_white_space(text: str | bytes) -> None:
    assert read_public_key_pem(text) == read_public_key_pem(PEM)


def test_private_keys_are_refused_with_what_to_do() -> None:
    key = new_key("RSA 2048")
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL, PrivateFormat.OpenSSH):
        text = key.private_bytes(Encoding.PEM, form, NoEncryption())
        with pytest.raises(InvalidKeyError, match=r"a private key, which belongs in no policy.*openssl pkey.*-pubout"):
            read_public_key_pem(text)
    with pytest.raises(InvalidKeyError, match="private key"):
        read_public_key_pem(PEM + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@pytest.mark.parametrize(
    ("label", "what"),
    [
        ("ENCRYPTED SIGSTORE PRIVATE KEY", "openssl pkey"),
        ("PGP PRIVATE KEY BLOCK", "private key"),
        ("CERTIFICATE", r"openssl x509 -in cert\.pem -noout -pubkey"),
        ("TRUSTED CERTIFICATE", "openssl x509"),
        ("CERTIFICATE REQUEST", r"openssl req -in request\.pem -noout -pubkey"),
        ("NEW CERTIFICATE REQUEST", "openssl req"),
        ("PGP PUBLIC KEY BLOCK", "OpenPGP"),
        ("EC PARAMETERS", "leave them out"),
        ("SOMETHING ELSE", "PEM block SOMETHING ELSE; a public key begins with"),
    ],
)
def test_other_pem_blocks_are_refused_with_what_to_do(label: str, what: str) -> None:
    with pytest.raises(InvalidKeyError, match=what):
        read_public_key_pem(f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")


def test_pkcs1_rsa_key_is_refused_with_an_action() -> None:
    old = new_key("RSA 2048").public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    with pytest.raises(InvalidKeyError, match="openssl rsa -RSAPublicKey_in"):
        read_public_key_pem(old)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("release-key", "not PEM"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@host", "ssh-keygen -e -m PKCS8"),
        (b"\x30\x59\x30\x13\xff", "openssl pkey -pubin -inform DER"),
        ("Ä" + PEM, "something besides"),
        ("\u2003" + PEM, "something besides"),
        (PEM + "trailing", "something besides"),
        ("leading\n" + PEM, "something besides"),
        (PEM + PEM, "2 public keys in one text; give each an entry"),
        (PEM.replace("-----END", "-- --END"), "something besides"),
        (PEM.replace("BEGIN PUBLIC KEY-----\n", "BEGIN PUBLIC KEY-----\nVersion: 1\n\n"), "something besides"),
        (PEM.replace("END PUBLIC", "END RSA PUBLIC"), "something besides"),
        (PEM.replace("M", "M=", 1), "base64 is damaged"),
        ("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "something besides"),
        ("A" * (MAX_PEM_BYTES + 1), "no more than"),
    ],
)
def test_other_pem_contents_are_refused_by_name(text: str | bytes, what: str) -> None:
    with pytest.raises(InvalidKeyError, match=what):
        read_public_key_pem(text)


@settings(max_examples=examples(200), deadline=None)
@given(st.one_of(st.text(max_size=300), st.binary(max_size=300)))
def test_arbitrary_text_raises_invalid_key(text: str | bytes) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        read_public_key_pem(text)
    assert caught.value.message.isprintable()
