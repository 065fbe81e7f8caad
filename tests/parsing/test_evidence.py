"""Malformed evidence is refused with the reason for its format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import VerificationError
from sealgate.parsing import evidence
from sealgate.parsing.strict_json import MalformedError
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

PARENT = {"number": 1}


@pytest.mark.parametrize(
    "read",
    [
        lambda: evidence.parse(b"{", "the payload"),
        lambda: evidence.parse_object(b"[]", "the payload"),
        lambda: evidence.as_object([], "the payload"),
        lambda: evidence.object_member(PARENT, "number", "the payload"),
        lambda: evidence.list_member(PARENT, "number", "the payload"),
        lambda: evidence.text_member(PARENT, "number", "the payload"),
        lambda: evidence.optional_text(PARENT, "number", "the payload"),
        lambda: evidence.base64_member(PARENT, "number", "the payload"),
        lambda: evidence.decode_base64("-", "the payload"),
        lambda: evidence.only_members(PARENT, (), "the payload"),
    ],
)
def test_malformed_evidence_is_a_refusal(read: Callable[[], object]) -> None:
    with pytest.raises(VerificationError, match="the payload is malformed: ") as caught:
        read()
    assert caught.value.reason is Reason.MALFORMED_EVIDENCE
    assert isinstance(caught.value.__cause__, MalformedError)


@pytest.mark.parametrize("parse", [evidence.parse, evidence.parse_object])
def test_oversized_evidence_has_a_reason_of_its_own(parse: Callable[..., object]) -> None:
    with pytest.raises(VerificationError, match="the payload is larger than 1 bytes") as caught:
        parse(b"{}", "the payload", limit=1)
    assert caught.value.reason is Reason.EVIDENCE_TOO_LARGE


def test_well_formed_evidence_is_read_as_strict_json() -> None:
    assert evidence.parse_object(b'{"a": ["b"]}', "the payload") == {"a": ["b"]}
    assert evidence.list_member({"a": ["b"]}, "a", "the payload") == ["b"]
    assert evidence.malformed("the payload", "it is odd").message == "the payload is malformed: it is odd"
