from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from sealgate.findings import Outcome
from sealgate.policies.decisions import Verdict
from sealgate.reasons import Reason
from tests.cli.objects import dump, pod, write
from tests.cli.running import sealgate
from tests.support.builders.objects import policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cli.shop import Shop

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sealgate("verify", "--schema").stdout)
    return document


def check(document: Any, schema: Mapping[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(document)


def test_the_schema_is_a_schema_and_the_published_one(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads((ROOT / "docs/verify.schema.json").read_text()) == schema


def test_every_kind_of_output_matches_the_schema(shop: Shop, schema: dict[str, Any]) -> None:
    write(
        shop.policies / "more.yaml",
        policy("audit", f"{shop.registry.host}/shop/unsigned", authenticators=["qa-key"], action="Audit"),
        policy(
            "warn",
            f"{shop.registry.host}/shop/foreign",
            authenticators=["qa-key", "release-key"],
            action="Warn",
            count=1,
        ),
    )
    images = [shop.image(name) for name in ("signed", "unsigned", "foreign", "copied", "both", "gone")]
    text = dump(pod("a", *images, "elsewhere.example.org/x", "no reference", f"nginx@{shop.digests['signed']}"))
    document = json.loads(shop.verify("-f", "-", "-o", "json", stdin=text).stdout)
    check(document, schema)
    assert {entry["verdict"] for entry in document} == {"admit", "deny", "unavailable"}
    field = "spec.containers[0].image"
    used = {"kind": "Pod", "name": "a", "field": field, "file": "-", "document": 1}
    assert (document[0]["objects"], document[0]["furtherObjects"]) == ([used], 0)
    assert document[-1]["subject"] == shop.digests["signed"]


def test_namespace_is_named_where_it_is_known(shop: Shop, schema: dict[str, Any]) -> None:
    unknown = json.loads(shop.verify(shop.image("signed"), "-o", "json").stdout)
    known = json.loads(shop.verify(shop.image("signed"), "--namespace", "team", "-o", "json").stdout)
    check([*unknown, *known], schema)
    assert [entry["namespace"] for entry in (*unknown, *known)] == [None, "team"]
    assert [entry["objects"] for entry in (*unknown, *known)] == [[], []]


def test_no_images_keep_to_the_schema(shop: Shop, schema: dict[str, Any]) -> None:
    text = dump({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}})
    check(json.loads(shop.verify("-f", "-", "-o", "json", stdin=text).stdout), schema)


def test_schema_has_every_enum_value_of_the_library(schema: dict[str, Any]) -> None:
    definitions = schema["$defs"]
    assert definitions["image"]["properties"]["verdict"]["enum"] == [verdict.value for verdict in Verdict]
    assert definitions["finding"]["properties"]["outcome"]["enum"] == [outcome.value for outcome in Outcome]
    for reason in Reason:
        check(reason.value, definitions["finding"]["properties"]["reason"])


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "admitted"},
        {"subject": "sha256:abc"},
        {"namespace": 1},
        {"objects": [{"kind": "Pod"}]},
        {"furtherObjects": -1},
        {"policies": [{"name": "a"}]},
        {"image": None},
    ],
)
def test_schema_refuses_documents_outside_the_contract(schema: dict[str, Any], change: dict[str, Any]) -> None:
    good: dict[str, Any] = {"image": "nginx", "subject": None, "verdict": "admit", "policies": []}
    check([good], schema)
    with pytest.raises(jsonschema.ValidationError):
        check([{**good, **change}], schema)


def test_the_schema_ties_keys_to_verified_findings(schema: dict[str, Any]) -> None:
    finding = {
        "authenticator": "a", "format": "cosign", "outcome": "verified", "reason": "Verified", "message": "m",
        "keyFingerprints": [], "signatures": 1,
    }  # fmt: skip
    entry = {"name": "p", "action": "Enforce", "satisfied": 1, "required": 1, "findings": [finding]}
    document = [{"image": "a", "subject": None, "verdict": "admit", "policies": [entry]}]
    with pytest.raises(jsonschema.ValidationError):
        check(document, schema)
