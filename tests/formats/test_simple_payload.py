"""Payloads of simple signing and its descendants: an unknown critical member is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sealgate.errors import VerificationError
from sealgate.formats.simple_payload import parse_simple_payload
from sealgate.reasons import Reason

DIGEST = "sha256:" + "4a" * 32


def payload(**changes: Any) -> dict[str, Any]:
    critical = {
        "identity": {"docker-reference": "registry.example.org/team/api"},
        "image": {"docker-manifest-digest": DIGEST},
        "type": "cosign container image signature",
    }
    document = {"critical": {**critical, **changes}, "optional": {"env": "prod"}}
    document["critical"] = {name: value for name, value in document["critical"].items() if value != "left out"}
    return document


def parse(document: object) -> Any:
    return parse_simple_payload(json.dumps(document).encode(), "the payload")


def test_payload_is_parsed() -> None:
    said = parse(payload())
    assert (said.digest, said.docker_reference) == (DIGEST, "registry.example.org/team/api")
    assert (said.type, said.optional) == ("cosign container image signature", {"env": "prod"})


@pytest.mark.parametrize("identity", ["left out", None, {}])
def test_an_identity_may_be_left_out(identity: object) -> None:
    assert parse(payload(identity=identity)).docker_reference == ""


def test_optional_may_be_null_or_left_out() -> None:
    critical = payload()["critical"]
    assert parse({"critical": critical, "optional": None}).optional == {}
    assert parse({"critical": critical}).optional == {}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"critical": None, "optional": {}},
        {**payload(), "more": 1},
        {**payload(), "optional": []},
        {**payload(), "optional": "x"},
        payload(more=1),
        payload(type=None),
        payload(type="left out"),
        payload(image="left out"),
        payload(image={}),
        payload(image={"docker-manifest-digest": 1}),
        payload(image={"docker-manifest-digest": DIGEST, "more": 1}),
        payload(identity="registry.example.org/team/api"),
        payload(identity={"docker-reference": None}),
        payload(identity={"docker-reference": "x", "more": 1}),
    ],
)
def test_missing_unknown_or_mistyped_members_are_refused(document: object) -> None:
    with pytest.raises(VerificationError) as caught:
        parse(document)
    assert caught.value.reason is Reason.MALFORMED_EVIDENCE
