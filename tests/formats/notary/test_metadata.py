"""Parsing of metadata: canonical form, key ids, times; invalid input is refused and never crashes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.formats.notary.wire.canonical import canonical_json
from sealgate.formats.notary.wire.keys import read_key
from sealgate.formats.notary.wire.metadata import (
    is_delegation,
    read_delegations,
    read_file,
    read_hashes,
    read_root_roles,
)
from sealgate.reasons import Reason
from tests.support.examples import examples
from tests.support.signers.notary import canonical, certified, ecdsa_signer, ed25519_signer, rsa_key, wire
from tests.support.simulators.notary import NotaryRepository

LIMIT = 1 << 20
REPOSITORY = NotaryRepository()
REPOSITORY.delegate("targets/releases", ecdsa_signer())
REPOSITORY.sign_tag("1.4", b"manifest", "targets", "targets/releases")
REPOSITORY.publish()


def document(role: str = "targets") -> dict[str, Any]:
    members: dict[str, Any] = json.loads(REPOSITORY.files[role])
    return members


def refusal(data: bytes, role: str = "targets") -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        read_file(data, role, "the file", LIMIT)
    return caught.value


# Canonical JSON --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ({"b": 1, "a": [True, False, None], "": {}}, b'{"":{},"a":[true,false,null],"b":1}'),
        ([], b"[]"),
        (-0, b"0"),
        (2**53, b"9007199254740992"),
        ('quote " backslash \\ slash /', b'"quote \\" backslash \\\\ slash /"'),
        # Specific to notary: control characters and non-ASCII characters are not escaped.
        ("a\nb\tc\x00\x7f", b'"a\nb\tc\x00\x7f"'),
        ("<&>\u2028é😀", '"<&>\u2028é😀"'.encode()),
        ({"é": 1, "z": 2, "😀": 3, "\uffff": 4}, '{"z":2,"é":1,"\uffff":4,"😀":3}'.encode()),
    ],
)
def test_canonical_form_is_that_of_notary(value: object, form: bytes) -> None:
    assert canonical_json(value, "it") == form


@pytest.mark.parametrize("value", [1.5, 1.0, 2**53 + 1, -(2**60)])
def test_numbers_without_canonical_form_are_refused(value: float) -> None:
    with pytest.raises(VerificationError, match="canonical"):
        canonical_json({"a": [value]}, "it")


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=10)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
@settings(max_examples=examples(100))
def test_canonical_form_is_sorted_compact_json(value: object) -> None:
    assert canonical_json(value, "it") == canonical(value)


# Keys ------------------------------------------------------------------------------------------------------------


def test_key_ids_are_those_of_notary() -> None:
    for signer in (ecdsa_signer(), ed25519_signer(), certified("a"), certified("b", rsa_key())):
        key = read_key(signer.kind, signer.public)
        assert (key.key_id, key.canonical_id, key.fingerprint) == (
            signer.key_id,
            signer.canonical_id,
            signer.fingerprint,
        )


@pytest.mark.parametrize(
    ("kind", "public"),
    [
        ("ecdsa", b""),
        ("ecdsa", b"\x30\x03\x02\x01\x01"),
        ("ecdsa", ed25519_signer().public),
        ("ecdsa", certified("rsa", rsa_key()).bare.public),
        ("rsa", ecdsa_signer().public),
        ("rsa-x509", certified("ec").public),
        ("ecdsa-x509", ecdsa_signer().public),
        ("ecdsa-x509", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("ed25519", bytes(31)),
        ("rsa", certified("weak", rsa_key(bits=1024)).bare.public),
        ("gpg", b"key"),
    ],
    ids=range(11),  # the keys are new in every run, and names made of them would be too
)
def test_unusable_key_is_refused(kind: str, public: bytes) -> None:
    with pytest.raises(InvalidKeyError):
        read_key(kind, public)


def test_one_key_written_in_two_ways_is_one_key() -> None:
    signer = ecdsa_signer()
    point = signer.private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    # SubjectPublicKeyInfo with the point compressed, which the usual encoding never has.
    algorithm = signer.public[2:23]
    bits = bytes([0x03, len(point) + 1, 0x00]) + point
    compressed = bytes([0x30, len(algorithm) + len(bits)]) + algorithm + bits
    key, other = read_key("ecdsa", signer.public), read_key("ecdsa", compressed)
    assert key.key_id != other.key_id
    assert key.canonical_id == other.canonical_id


# Files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires", "moment"),
    [
        ("2026-11-21T12:00:00Z", datetime(2026, 11, 21, 12, tzinfo=UTC)),
        ("2026-11-21T12:00:00.123456789Z", datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2026-11-21T12:00:00.5+02:00", datetime(2026, 11, 21, 10, 0, 0, 500000, tzinfo=UTC)),
        ("2026-11-21T12:00:00-00:30", datetime(2026, 11, 21, 12, 30, tzinfo=UTC)),
    ],
)
def test_times_in_the_format_of_go_are_read(expires: str, moment: datetime) -> None:
    members = document()
    members["signed"]["expires"] = expires
    assert read_file(wire(members), "targets", "it", LIMIT).expires == moment


@pytest.mark.parametrize(
    "expires",
    [
        "",
        "2026-11-21",
        "2026-11-21T12:00:00",
        "2026-11-21 12:00:00Z",
        "2026-13-21T12:00:00Z",
        "2026-11-21T12:00:60Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-11-21T12:00:00.1234567890Z",
        "2026-11-21T12:00:00+24:00",
        "٢٠٢٦-11-21T12:00:00Z",
        "2026-11-21T12:00:00Z\n",
    ],
)
def test_invalid_time_is_refused(expires: str) -> None:
    members = document()
    members["signed"]["expires"] = expires
    assert refusal(wire(members)).reason is Reason.MALFORMED_EVIDENCE


def test_a_file_expires_at_its_very_time() -> None:
    file = read_file(REPOSITORY.files["timestamp"], "timestamp", "it", LIMIT)
    file.check_expiry(file.expires - timedelta(microseconds=1))
    with pytest.raises(VerificationError) as caught:
        file.check_expiry(file.expires)
    assert caught.value.reason is Reason.EXPIRED


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("targets/releases", True),
        ("targets/a/b-c/d_9", True),
        ("targets", False),
        ("targets/", False),
        ("targets//a", False),
        ("targets/a/", False),
        ("targets/../root", False),
        ("targets/.", False),
        ("targets/A", False),
        ("targets/a b", False),
        ("targets/a\n", False),
        ("targets/é", False),
        ("/targets/a", False),
        ("root/a", False),
        ("targets/" + "a" * 247, True),
        ("targets/" + "a" * 248, False),
    ],
)
def test_names_of_delegations_are_no_other_paths(name: str, *, good: bool) -> None:
    assert is_delegation(name) is good


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("signed",), []),
        (("signed", "version"), True),
        (("signed", "version"), "1"),
        (("signed", "version"), -1),
        (("signed", "version"), None),
        (("signed", "_type"), 1),
        (("signatures",), {}),
        (("signatures", 0), "x"),
        (("signatures", 0, "keyid"), None),
        (("signatures", 0, "method"), 1),
        (("signatures", 0, "sig"), "!!"),
        (("signatures", 0, "sig"), "AA==\n"),
    ],
)
def test_member_of_the_wrong_type_is_refused(path: tuple[str | int, ...], value: object) -> None:
    members = document()
    parent: Any = members
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    assert refusal(wire(members)).reason is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("delegations",), None),
        (("delegations", "keys"), []),
        (("delegations", "keys"), {"a": 1}),
        (("delegations", "keys"), {"a": {"keytype": "ecdsa", "keyval": {"public": None}}}),
        (("delegations", "keys"), {"a": {"keytype": "ecdsa", "keyval": None}}),
        (("delegations", "roles"), {}),
        (("delegations", "roles", 0), 1),
        (("delegations", "roles", 0, "name"), 1),
        (("delegations", "roles", 0, "keyids"), "x"),
        (("delegations", "roles", 0, "keyids"), [1]),
        (("delegations", "roles", 0, "keyids"), ["0" * 64]),
        (("delegations", "roles", 0, "threshold"), 1.0),
        (("delegations", "roles", 0, "threshold"), None),
        (("delegations", "roles", 0, "paths"), "1"),
        (("delegations", "roles", 0, "paths"), [1]),
    ],
)
def test_delegations_that_are_malformed_are_refused(path: tuple[str | int, ...], value: object) -> None:
    members = document()["signed"]
    parent: Any = members
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    with pytest.raises(VerificationError):
        read_delegations(read_file(wire({"signed": members, "signatures": []}), "targets", "it", LIMIT))


def test_delegations_may_be_left_out() -> None:
    members = document()["signed"]
    del members["delegations"]
    assert read_delegations(read_file(wire({"signed": members, "signatures": []}), "targets", "it", LIMIT)) == {}


def test_excessive_number_of_keys_is_refused() -> None:
    members = document("root")
    (entry, *_) = members["signed"]["keys"].values()
    members["signed"]["keys"] = {f"{number:064x}": entry for number in range(257)}
    with pytest.raises(VerificationError) as caught:
        read_root_roles(read_file(wire(members), "root", "it", LIMIT))
    assert caught.value.reason is Reason.EVIDENCE_TOO_LARGE


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {},
        {"hashes": {}, "length": 1},
        {"hashes": {"sha256": "AA=="}, "length": 1},
        {"hashes": {"sha512": "AA=="}, "length": 1},
        {"hashes": {"sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}},
        {"hashes": {"sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}, "length": -1},
        {"hashes": {"sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}, "length": "0"},
        {"hashes": {"sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "sha512": ""}, "length": 0},
    ],
)
def test_hashes_that_are_malformed_are_refused(entry: object) -> None:
    with pytest.raises(VerificationError):
        read_hashes({"1.4": entry}, "1.4", "it")
