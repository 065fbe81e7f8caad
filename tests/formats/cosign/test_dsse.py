"""DSSE: the type is signed together with the payload."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import VerificationError
from sealgate.formats.cosign.wire import parse_envelope, pre_authentication_encoding
from sealgate.reasons import Reason
from tests.support.examples import examples

ENVELOPE = {"payloadType": "text/plain", "payload": "eA==", "signatures": [{"sig": "AAE="}, {"keyid": "k", "sig": ""}]}


def test_the_encoding_is_that_of_the_specification() -> None:
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pre_authentication_encoding("ä", b"") == b"DSSEv1 2 \xc3\xa4 0 "


@settings(max_examples=examples(100))
@given(st.text(max_size=9), st.binary(max_size=9), st.text(max_size=9), st.binary(max_size=9))
def test_no_two_payloads_have_the_same_encoding(a: str, b: bytes, c: str, d: bytes) -> None:
    one, other = pre_authentication_encoding(a, b), pre_authentication_encoding(c, d)
    assert (one == other) == ((a, b) == (c, d))


def test_envelope_is_parsed() -> None:
    envelope = parse_envelope(ENVELOPE, "the bundle")
    assert (envelope.payload_type, envelope.payload, envelope.signatures) == ("text/plain", b"x", (b"\0\1", b""))
    assert envelope.signed == b"DSSEv1 10 text/plain 1 x"


@pytest.mark.parametrize(
    "wrong",
    [
        {"payloadType": 1},
        {"payload": "not base64"},
        {"payload": base64.urlsafe_b64encode(b"\xff\xff").decode()},
        {"signatures": None},
        {"signatures": []},
        {"signatures": ["AAE="]},
        {"signatures": [{}]},
        {"signatures": [{"sig": 1}]},
        {"signatures": [{"sig": "AAE="}, {"sig": "!"}]},
    ],
)
def test_a_malformed_envelope_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(VerificationError, match="the bundle is malformed") as caught:
        parse_envelope({**ENVELOPE, **wrong}, "the bundle")
    assert caught.value.reason is Reason.MALFORMED_EVIDENCE
