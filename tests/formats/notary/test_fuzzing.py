"""Fuzzing of a notary server's files: each is verified or refused by a SealgateError, never another exception."""

from __future__ import annotations

import base64
import contextlib
import re
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidKeyError, NotFoundError, SealgateError, VerificationError
from sealgate.formats.notary.pins import AcceptedKey, KeyPin
from sealgate.formats.notary.reader import TrustReader
from sealgate.formats.notary.trusted_metadata import TrustedMetadata
from sealgate.formats.notary.wire.keys import read_key
from sealgate.reasons import Reason
from sealgate.trusted_state.records import TrustRecord
from tests.support.examples import examples
from tests.support.signers.notary import NOW, ecdsa_signer, key_id
from tests.support.simulators.notary import GUN, NotaryRepository

REPOSITORY = NotaryRepository()
REPOSITORY.delegate("targets/releases", ecdsa_signer())
REPOSITORY.sign_tag("1.4", b"manifest", "targets", "targets/releases")
REPOSITORY.publish()
ROOT = REPOSITORY.signers["root"][0]
FILES = ["root", "timestamp", "snapshot", "targets", "targets/releases"]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def read(files: dict[str, bytes], record: TrustRecord | None = None) -> None:
    """Read a repository like a verification does; a file is found by any hash."""

    def fetch(name: str, limit: int) -> bytes:
        data = files.get(re.sub(r"\.[0-9a-f]{64}$", "", name))
        if data is None or len(data) > limit:
            raise NotFoundError("no such file")
        return data

    pin = KeyPin((AcceptedKey(fingerprint=ROOT.fingerprint),))
    reader = TrustReader(fetch, TrustedMetadata(GUN, pin, record or TrustRecord(), NOW))
    reader.start()
    targets = reader.targets("targets/releases")
    for tag in ("1.4", *targets.entries):
        targets.entry(tag)


def test_valid_repository_is_read() -> None:
    read(REPOSITORY.files)


@given(st.sampled_from(FILES), st.binary(max_size=300))
@settings(max_examples=examples(150))
def test_arbitrary_bytes_instead_of_a_file_are_refused(role: str, data: bytes) -> None:
    with pytest.raises(SealgateError):
        read({**REPOSITORY.files, role: data})


@given(st.sampled_from(FILES), st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
@settings(max_examples=examples(150))
def test_changed_bytes_in_a_file_are_refused_or_harmless(role: str, at: int, data: bytes) -> None:
    good = REPOSITORY.files[role]
    at %= len(good)
    with contextlib.suppress(SealgateError):
        read({**REPOSITORY.files, role: good[:at] + data + good[at + len(data) :]})


@given(st.data())
@settings(max_examples=examples(300))
def test_arbitrary_signed_members_never_crash(data: st.DataObject) -> None:
    repository = REPOSITORY.copy()
    parent: Any = repository.signed[data.draw(st.sampled_from(FILES))]
    while True:
        step: Any = data.draw(st.sampled_from(sorted(parent) if isinstance(parent, dict) else range(len(parent))))
        if not (isinstance(parent[step], dict | list) and parent[step] and data.draw(st.booleans())):
            break
        parent = parent[step]
    parent[step] = data.draw(JSON)
    with contextlib.suppress(KeyError, TypeError, AttributeError):  # some of it the simulator cannot publish
        repository.publish()
    with contextlib.suppress(SealgateError):
        read(repository.files)


@given(JSON)
@settings(max_examples=examples(100))
def test_arbitrary_signatures_never_crash(signature: Any) -> None:
    repository = REPOSITORY.copy()
    repository.resign("targets", signature)
    with pytest.raises(SealgateError):
        read(repository.files)


@given(st.binary(max_size=300))
@settings(max_examples=examples(50))
def test_arbitrary_stored_roots_never_crash(root: bytes) -> None:
    with pytest.raises(SealgateError):
        read(REPOSITORY.files, TrustRecord({"root": 1}, root))


@given(st.sampled_from(["ecdsa", "rsa", "ecdsa-x509", "rsa-x509", "ed25519"]), st.binary(max_size=200))
@settings(max_examples=examples(150))
def test_arbitrary_keys_never_crash(kind: str, public: bytes) -> None:
    with contextlib.suppress(InvalidKeyError):
        read_key(kind, public)


@given(st.integers(0, 1000), st.integers(0, 255))
@settings(max_examples=examples(300))
def test_any_byte_of_a_root_certificate_may_be_another(at: int, value: int) -> None:
    der = bytearray(ROOT.certificates[0].public_bytes(Encoding.DER))
    der[at % len(der)] = value
    with contextlib.suppress(SealgateError):
        read(with_root_certificate(bytes(der)))


COMMON_NAME = b"\x06\x03\x55\x04\x03\x0c"


@pytest.mark.parametrize(
    "other", [b"\x06\x03\x55\x04\x06\x0c", b"\x06\x03\x55\x04\x03\x03"], ids=["a country", "a string of bits"]
)
def test_root_certificate_with_an_invalid_name_is_refused(other: bytes) -> None:
    der = ROOT.certificates[0].public_bytes(Encoding.DER)
    assert COMMON_NAME in der
    der = der.replace(COMMON_NAME, other)
    with pytest.raises(VerificationError) as caught:
        read(with_root_certificate(der))
    assert caught.value.reason is Reason.REPOSITORY_MISMATCH


def with_root_certificate(der: bytes) -> dict[str, bytes]:
    """Return the files, re-signed, with the root key in this certificate."""
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    repository = REPOSITORY.copy()
    root = repository.signed["root"]
    odd = key_id("ecdsa-x509", pem)
    root["keys"][odd] = {
        "keytype": "ecdsa-x509",
        "keyval": {"private": None, "public": base64.b64encode(pem).decode()},
    }
    root["roles"]["root"]["keyids"] = [odd]
    repository.resign("root", ROOT.sign(repository.message("root")) | {"keyid": odd})
    return repository.files
