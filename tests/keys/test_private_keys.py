"""Private keys in files: in every form that openssl and cosign write, by the rules of public keys."""

from __future__ import annotations

import base64
import functools
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from sealgate.clocks import Deadline
from sealgate.errors import InvalidKeyError, SigningError, VerificationError
from sealgate.keys.algorithms import Algorithm
from sealgate.keys.ed25519ph import sign_ed25519ph
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.keys.pem import read_public_key_pem, write_pem
from sealgate.keys.private_keys import PrivateKey, load_private_key, public_pem_of
from sealgate.keys.public_keys import allowed_algorithms, load_public_key
from sealgate.keys.signing_keys import sign_verified
from sealgate.keys.sm2_signing import SM2PrivateKey
from tests.support.clocks import FakeClock
from tests.support.real_tools.cosign import Cosign
from tests.support.real_tools.required import require_tool
from tests.support.signers.kept_keys import kept_rsa_key
from tests.support.signers.private_keys import fingerprint, new_key
from tests.support.signers.sm2 import SM2PrivateKey as OtherSM2Key

if TYPE_CHECKING:
    from pathlib import Path

    from sealgate.keys.private_keys import AnyPrivateKey

MESSAGE = b"which image, under which name"
PASSPHRASE = b"open sesame"
SOON = Deadline.after(FakeClock(), 10)
KINDS = ["ECDSA P-256", "ECDSA P-384", "ECDSA P-521", "RSA 2048", "Ed25519"]


def no_passphrase() -> bytes:
    raise AssertionError("a key that is not encrypted needs no passphrase")


def load(pem: bytes, passphrase: bytes | None = None, **more: str) -> PrivateKey:
    return load_private_key(pem, "the key file", no_passphrase if passphrase is None else lambda: passphrase, **more)


def pem_of(key: Any, form: PrivateFormat, encryption: KeySerializationEncryption | None = None) -> bytes:
    data: bytes = key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())
    return data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_key_of_every_form_signs(kind: str, form: PrivateFormat) -> None:
    if (kind, form) == ("Ed25519", PrivateFormat.TraditionalOpenSSL):
        return  # the old form has no such keys
    private = new_key(kind)
    for encryption in (NoEncryption(), BestAvailableEncryption(PASSPHRASE)):
        encrypted = not isinstance(encryption, NoEncryption)
        key = load(pem_of(private, form, encryption), PASSPHRASE if encrypted else None)
        assert key.public.fingerprint == fingerprint(private)
        key.public.verify(sign_verified(key, MESSAGE, SOON), MESSAGE)


@functools.cache
def generated(kind: str) -> AnyPrivateKey:
    """Generate a key, once for each kind: the primes of an RSA key take long to find."""
    return generate_key(KeyType(kind))


@functools.cache
def encrypted(kind: str) -> bytes:
    """Encrypt a generated key, once for each kind: scrypt takes a fifth of a second."""
    return write_private_key(generated(kind), PASSPHRASE)


@pytest.mark.parametrize("kind", [each.value for each in KeyType])
def test_generated_key_signs_with_each_of_its_algorithms(kind: str) -> None:
    private = generated(kind)
    pem, public = write_private_key(private, None), public_pem_of(private)
    algorithms = allowed_algorithms(public)
    if kind == KeyType.RSA_4096.value:
        # Each load checks the primes for half a second; the algorithms are those of shorter RSA keys.
        assert algorithms == allowed_algorithms(public_pem_of(generated(KeyType.RSA_3072.value)))
        algorithms = (Algorithm.RSA_PKCS1_SHA_256, Algorithm.RSA_PSS_SHA_512)
    for algorithm in algorithms:
        key = load(pem, algorithm=algorithm.value)
        signature = sign_verified(key, MESSAGE, SOON)
        load_public_key(public, algorithm.value).verify(signature, MESSAGE)
        with pytest.raises(VerificationError):
            load_public_key(public, algorithm.value).verify(signature, MESSAGE + b".")


@pytest.mark.parametrize("kind", [each.value for each in KeyType])
def test_generated_key_is_encrypted_with_a_passphrase(kind: str) -> None:
    public = load_public_key(public_pem_of(generated(kind)))
    assert load(encrypted(kind), PASSPHRASE).public.fingerprint == public.fingerprint


@pytest.mark.parametrize("kind", [KeyType.ECDSA_P256.value, KeyType.SM2.value])
def test_generated_key_is_not_read_with_another_passphrase(kind: str) -> None:
    with pytest.raises(InvalidKeyError, match="the passphrase is wrong"):
        load(encrypted(kind), b"open barley")


def test_cosign_key_signs_with_its_passphrase(tmp_path: Path) -> None:
    cosign = Cosign(tmp_path)
    for name, kind, passphrase in (("one", "p256", ""), ("two", "ed25519", "open sesame")):
        public = cosign.new_key(name, kind, passphrase)
        key = load(cosign.private_key(name).read_bytes(), passphrase.encode())
        load_public_key(public).verify(sign_verified(key, MESSAGE, SOON), MESSAGE)


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-3072", "ed25519"])
def test_cosign_reads_generated_keys(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "release.key"
    path.write_bytes(encrypted(kind))
    public = public_pem_of(generated(kind)).decode()
    assert Cosign(tmp_path).public_key_of(path, PASSPHRASE.decode()).split() == public.split()


def test_openssl_and_sealgate_sign_with_the_same_sm2_key(tmp_path: Path) -> None:
    openssl = require_tool("openssl")
    path = tmp_path / "sm2.pem"
    path.write_bytes(write_private_key(SM2PrivateKey.generate(), None))
    key = load(path.read_bytes())
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "ours").write_bytes(key.sign(MESSAGE, SOON))
    shared = ["-sigopt", "distid:1234567812345678", str(tmp_path / "message")]
    public = tmp_path / "sm2.pub"
    for command in (
        ["pkey", "-in", str(path), "-pubout", "-out", str(public)],
        ["dgst", "-sm3", "-verify", str(public), "-signature", str(tmp_path / "ours"), *shared],
        ["dgst", "-sm3", "-sign", str(path), "-out", str(tmp_path / "theirs"), *shared],
    ):
        subprocess.run([openssl, *command], check=True, capture_output=True)
    assert load_public_key(public.read_bytes()).fingerprint == key.public.fingerprint
    key.public.verify((tmp_path / "theirs").read_bytes(), MESSAGE)


@pytest.mark.parametrize(
    "command",
    [["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2"], ["ecparam", "-name", "SM2", "-genkey"]],
)
def test_sm2_key_of_openssl_is_read(command: list[str]) -> None:
    made = subprocess.run([require_tool("openssl"), *command], check=True, capture_output=True).stdout
    key = load(made)
    assert (key.public.kind, key.public.algorithm) == ("SM2", Algorithm.SM2)
    key.public.verify(sign_verified(key, MESSAGE, SOON), MESSAGE)


def test_sm2_signature_carries_the_distinguishing_id() -> None:
    pem = write_private_key(SM2PrivateKey(OtherSM2Key.generate().scalar), None)
    signature = load(pem, distinguishing_id="ALICE123@YAHOO.COM").sign(MESSAGE, SOON)
    with pytest.raises(VerificationError):
        load(pem).public.verify(signature, MESSAGE)


def test_sm2_public_key_is_that_of_another_implementation() -> None:
    for scalar in (1, 2, 2**128, SM2PrivateKey.generate().scalar):
        assert read_public_key_pem(SM2PrivateKey(scalar).public_pem) == OtherSM2Key(scalar).public_der


def test_ed25519ph_signature_is_that_of_the_standard() -> None:
    # RFC 8032, 7.3.
    seed = bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
    assert sign_ed25519ph(seed, b"abc").hex() == (
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
        "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
    )


def test_passphrase_is_asked_for_once_and_only_if_needed() -> None:
    asked: list[bytes] = []

    def passphrase() -> bytes:
        asked.append(PASSPHRASE)
        return PASSPHRASE

    pem = pem_of(new_key("ECDSA P-256"), PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE))
    load_private_key(pem, "the key file", passphrase)
    assert len(asked) == 1


def test_short_and_unsupported_keys_are_refused() -> None:
    for private, message in (
        (kept_rsa_key(1024), "an RSA key of 1024 bits is refused"),
        (ec.generate_private_key(ec.SECP256K1()), "the curve secp256k1"),
        (dsa.generate_private_key(1024), "a DSA key cannot sign"),  # noqa: S505 - to show that it is refused
    ):
        with pytest.raises(InvalidKeyError, match=message):
            load(pem_of(private, PrivateFormat.PKCS8))


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        (b"", "not one private key"),
        (b"\x30\x80\xff", "convert DER with"),
        (public_pem_of(new_key("ECDSA P-256")), "not one private key"),
        (2 * pem_of(new_key("ECDSA P-256"), PrivateFormat.PKCS8), "not one private key"),
        (pem_of(new_key("Ed25519"), PrivateFormat.OpenSSH), "ssh-keygen -p -m PKCS8"),
        (write_pem("PRIVATE KEY", b"not DER"), "does not hold a private key that is sound"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA=A\n-----END PRIVATE KEY-----\n", "base64 is damaged"),
        (write_pem("ENCRYPTED SIGSTORE PRIVATE KEY", b"{}"), "the encrypted key is damaged"),
        (b"x" * 70_000, "no more than 65536 bytes"),
    ],
)
def test_what_is_not_a_private_key_is_explained(pem: bytes, message: str) -> None:
    with pytest.raises(InvalidKeyError, match=message):
        load(pem, PASSPHRASE)


@pytest.mark.parametrize(
    ("member", "value"),
    [("N", 1 << 24), ("N", 3), ("N", True), ("r", 9), ("p", 11), ("p", 0), ("name", "pbkdf2"), ("nonce", "AAAA")],
)
def test_encrypted_key_with_other_parameters_costs_no_work(member: str, value: object) -> None:
    block = encrypted(KeyType.ECDSA_P256.value).split(b"-----")[2]
    document = json.loads(base64.b64decode(block))
    parents = {"name": document["kdf"], "nonce": document["cipher"]}
    parents.get(member, document["kdf"]["params"])[member] = value
    pem = write_pem("ENCRYPTED SIGSTORE PRIVATE KEY", json.dumps(document).encode())
    with pytest.raises(InvalidKeyError, match="in a way that cosign does not write"):
        load(pem, PASSPHRASE)


@pytest.mark.parametrize(
    "scalar",
    [0, 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54122],
)
def test_sm2_key_out_of_range_is_refused(scalar: int) -> None:
    der = SM2PrivateKey(1).pkcs8.replace((1).to_bytes(32, "big"), scalar.to_bytes(32, "big"))
    with pytest.raises(InvalidKeyError, match="not a number that a key can be"):
        load(write_pem("PRIVATE KEY", der))


def test_damaged_sm2_keys_are_refused() -> None:
    der = SM2PrivateKey.generate().pkcs8
    for cut in range(30, len(der)):
        with pytest.raises(InvalidKeyError):
            load(write_pem("PRIVATE KEY", der[:cut]))


def test_nothing_of_a_key_is_in_its_representation_or_in_errors() -> None:
    private = generate_key(KeyType.SM2)
    assert isinstance(private, SM2PrivateKey)
    assert str(private.scalar) not in repr(private)
    assert "scalar" not in repr(load(write_private_key(private, None)))
    pem = write_private_key(private, PASSPHRASE)
    with pytest.raises(InvalidKeyError) as refused:
        load(pem, b"a wrong secret")
    assert "secret" not in str(refused.value)


def test_signature_that_does_not_verify_does_not_leave() -> None:
    ours, other = (load(pem_of(new_key("ECDSA P-256", name), PrivateFormat.PKCS8)) for name in ("one", "two"))
    confused = PrivateKey(other.public, "the key file a.pem", lambda message: ours.sign(message, SOON))
    with pytest.raises(SigningError, match=r"the key file a\.pem returned a signature that its public key"):
        sign_verified(confused, MESSAGE, SOON)
