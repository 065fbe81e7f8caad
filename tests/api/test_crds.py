"""The CRDs are generated from the models, in the form that Kubernetes accepts."""

from __future__ import annotations

import copy
import functools
import re
from typing import TYPE_CHECKING, Any, Literal

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, Field

from sealgate.api import crds
from sealgate.api.structural import UnstructuredError, structural_schema
from sealgate.api.v1alpha1 import authenticator, verification_exception, verification_policy
from tests.api.crd_examples import AUTHENTICATOR, EXCEPTION, FORMATS, POLICY, WRONG, Wrong, of_format
from tests.chart.rendering import CHART

if TYPE_CHECKING:
    from collections.abc import Iterator


#: What a structural schema may hold (Kubernetes: "Specifying a structural schema"), but for x-kubernetes-*.
ALLOWED = {
    "additionalProperties", "default", "description", "enum", "format", "items", "maxItems", "maxLength",
    "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "nullable", "pattern",
    "properties", "required", "type",
}  # fmt: skip
ALLOWED_EXTENSIONS = {"x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"}


@functools.cache
def by_kind() -> dict[str, dict[str, Any]]:
    """Return all CRDs; they are generated when a test asks for them, and not in every process that collects tests."""
    texts = crds.render_crds((*crds.KINDS, *crds.SIGNING_KINDS)).values()
    return {crd["spec"]["names"]["kind"]: crd for crd in (yaml.load(text, yaml.CSafeLoader) for text in texts)}


def schema(kind: str) -> dict[str, Any]:
    (version,) = by_kind()[kind]["spec"]["versions"]
    result: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return result


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema in a schema, with its path."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for part, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if part in node:
            yield from nodes(node[part], path + mark)


@functools.cache
def all_nodes() -> dict[str, dict[str, Any]]:
    """Return every schema in all CRDs, by its path.

    Tests loop over them: as parameters of tests, hundreds of assertions that take microseconds would cost seconds.
    """
    return {f"{kind}{path}": node for kind in by_kind() for path, node in nodes(schema(kind))}


def test_the_chart_has_the_generated_files_and_no_others() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in (CHART / "crds").iterdir()}
    assert files == crds.render_crds(), "run: sealgate crd --directory charts/sealgate/crds"


def test_the_chart_has_the_generated_files_of_signing_and_no_others() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in (CHART / "signing-crds").iterdir()}
    assert files == crds.render_crds(crds.SIGNING_KINDS), "run: make generate"


def test_names_are_as_documented() -> None:
    assert {kind: crd["spec"]["names"]["shortNames"] for kind, crd in by_kind().items()} == {
        "Authenticator": ["authn"],
        "VerificationPolicy": ["vpol"],
        "VerificationException": ["vexc"],
        "SigningPolicy": ["spol"],
        "SigningRequest": ["sreq"],
        "SigningBaseline": ["sbase"],
    }
    namespaced = {"SigningRequest", "SigningBaseline"}
    for crd in by_kind().values():
        spec = crd["spec"]
        scope = "Namespaced" if spec["names"]["kind"] in namespaced else "Cluster"
        assert crd["metadata"]["name"] == f"{spec['names']['plural']}.sealgate.dev"
        assert (spec["group"], spec["scope"], spec["versions"][0]["name"]) == ("sealgate.dev", scope, "v1alpha1")
        has_status = spec["names"]["kind"] != "SigningBaseline"
        assert spec["versions"][0].get("subresources") == ({"status": {}} if has_status else None)
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_changed_schema_changes_the_mark_used_by_upgrades() -> None:
    marks = [crd["metadata"]["annotations"]["sealgate.dev/schema"] for crd in by_kind().values()]
    assert len(set(marks)) == len(marks)
    kind = crds.KINDS[0]
    other = crds.Kind(kind.name, kind.plural, kind.short, kind.spec, kind.status, "Something else.", kind.columns)
    changed = crds.custom_resource_definition(other)["metadata"]["annotations"]["sealgate.dev/schema"]
    assert changed != crds.custom_resource_definition(kind)["metadata"]["annotations"]["sealgate.dev/schema"]


def test_the_schema_is_structural() -> None:
    for path, node in all_nodes().items():
        assert {key for key in node if not key.startswith("x-kubernetes-")} <= ALLOWED, path
        assert {key for key in node if key.startswith("x-kubernetes-")} <= ALLOWED_EXTENSIONS, path
        assert node["type"] in {"object", "array", "string", "integer", "boolean"}, path
        assert not {"properties", "additionalProperties"} <= node.keys(), path
        assert set(node.get("required", ())) <= node.get("properties", {}).keys(), path
        if node["type"] == "array":
            assert isinstance(node["items"], dict), path
            assert node["x-kubernetes-list-type"] in {"atomic", "map"}, path
            for key in node.get("x-kubernetes-list-map-keys", ()):
                assert key in node["items"]["required"], path
        if "default" in node:
            jsonschema.validate(node["default"], node)


def test_every_list_and_text_is_bounded_for_rule_costs() -> None:
    for path, node in all_nodes().items():
        if node["type"] == "array":
            assert node["maxItems"] <= 256, path
        if node["type"] == "string" and "enum" not in node and "description" in node:
            assert "maxLength" in node or node["description"].startswith("Always "), path
        if "additionalProperties" in node:
            assert node["maxProperties"] <= 64, path


def test_every_field_is_explained() -> None:
    for path, node in all_nodes().items():
        for name, child in node.get("properties", {}).items():
            if name != "metadata":
                assert len(child.get("description", "")) >= 10, f"{path}.{name}"


def test_patterns_and_rules_are_ones_that_the_api_server_can_read() -> None:
    """Its regular expressions are RE2: without look-around and back-references."""
    for path, node in all_nodes().items():
        if "pattern" in node:
            re.compile(node["pattern"])
            assert not re.search(r"\(\?[=!<]|\\[1-9]", node["pattern"]), path
        for rule in node.get("x-kubernetes-validations", ()):
            assert rule.keys() <= {"rule", "message", "fieldPath"}, path
            assert "\n" not in rule["message"], path
            assert len(rule["message"]) > 20, path
            assert rule["rule"].count("(") == rule["rule"].count(")"), path


@pytest.mark.parametrize(
    "obj", [AUTHENTICATOR, POLICY, EXCEPTION, *map(of_format, FORMATS)], ids=lambda obj: obj["metadata"]["name"]
)
def test_valid_objects_pass_schema_and_model(obj: dict[str, Any]) -> None:
    jsonschema.validate(obj, schema(obj["kind"]))
    _model(obj).model_validate_json(_json(obj))


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_invalid_objects_are_refused_by_schema_rule_or_model(wrong: Wrong) -> None:
    """`test_crds_on_a_cluster` checks the refusals; this test checks that no rule is missing."""
    obj = wrong.object()
    messages = [error.message for error in jsonschema.Draft7Validator(schema(obj["kind"])).iter_errors(obj)]
    rules = [
        rule["message"] for _, node in nodes(schema(obj["kind"])) for rule in node.get("x-kubernetes-validations", ())
    ]
    if not messages and not any(wrong.says in message for message in rules):
        with pytest.raises(ValueError, match="validation error"):
            _model(obj).model_validate_json(_json(obj))


def test_exactly_one_format_is_demanded_of_all_that_there_are() -> None:
    spec = schema("Authenticator")["properties"]["spec"]
    (rule,) = (rule for rule in spec["x-kubernetes-validations"] if "format" in rule["message"])
    assert [f"has(self.{name})" in rule["rule"] for name in spec["properties"]] == [True] * len(spec["properties"])
    assert spec["properties"].keys() == {field.alias for field in authenticator.AuthenticatorSpec.model_fields.values()}


def test_status_schema_has_no_defaults() -> None:
    for kind in by_kind():
        status = schema(kind)["properties"].get("status", {})
        for path, node in nodes(status):
            assert "default" not in node or node is status, path


def test_an_object_that_was_never_reconciled_does_not_count_as_reconciled() -> None:
    for kind in ("Authenticator", "VerificationPolicy", "VerificationException", "SigningPolicy"):
        assert schema(kind)["properties"]["status"]["default"] == {"observedGeneration": -1}


def test_new_format_gets_its_rules_automatically() -> None:
    class Key(BaseModel):
        """A key."""

        pgp: str | None = Field(default=None, description="An armored key.")
        kms: int | None = None
        ca: dict[str, str] | None = None

    class Format(BaseModel):
        """A format.

        Attributes:
            keys: not for users.
        """

        keys: list[Key] = Field(min_length=1)
        mode: Literal["A"] = "A"
        high: int = Field(default=2, gt=1, lt=9)
        note: str = Field(default="", json_schema_extra={"x-kubernetes-validations": [{"rule": "self != 'x'"}]})

    made = structural_schema(Format, crds.extend)
    assert made["description"] == "A format."
    assert made["properties"]["mode"] == {"type": "string", "enum": ["A"], "default": "A"}
    assert (made["properties"]["high"]["minimum"], made["properties"]["high"]["maximum"]) == (2, 8)
    assert made["properties"]["note"]["x-kubernetes-validations"] == [{"rule": "self != 'x'"}]
    assert made["properties"]["keys"]["maxItems"] == 64
    messages = [rule["message"] for rule in made["properties"]["keys"]["items"]["x-kubernetes-validations"]]
    assert messages[-1] == "set exactly one source of the key: pgp or kms or ca"
    assert messages[0].startswith("this is a private key")


def test_a_rule_beside_a_field_is_added_to_the_general_ones() -> None:
    class Key(BaseModel):
        """A key."""

        model_config = {"json_schema_extra": {"x-kubernetes-validations": [{"rule": "true", "message": "mine"}]}}

        pem: str | None = None
        kms: str | None = None

    rules = structural_schema(Key, crds.extend)["x-kubernetes-validations"]
    assert next(rule["message"] for rule in rules) == "mine"
    assert len(rules) == 4


def test_rules_over_the_cost_budget_are_left_to_the_webhook() -> None:
    class Key(BaseModel):
        """A key."""

        pem: str = Field(max_length=65536)

    class Format(BaseModel):
        """A format."""

        few: list[Key] = Field(max_length=64)
        many: list[Key] = Field(max_length=256)

    made = structural_schema(Format, crds.extend)["properties"]
    assert len(made["few"]["items"]["x-kubernetes-validations"]) == 2
    assert "x-kubernetes-validations" not in made["many"]["items"]


class _Choice(BaseModel):
    value: int | str


class _Anything(BaseModel):
    value: Any


class _Pair(BaseModel):
    value: tuple[int, str]


class _Multiple(BaseModel):
    value: int = Field(multiple_of=2)


@pytest.mark.parametrize("model", [_Choice, _Anything, _Pair, _Multiple])
def test_inexpressible_schema_is_a_generation_error(model: type[BaseModel]) -> None:
    with pytest.raises(UnstructuredError, match=r"value|_"):
        structural_schema(model, crds.extend)


def test_open_maps_lose_only_their_openness() -> None:
    class Maps(BaseModel):
        """Maps."""

        closed: dict[str, bool]
        some: dict[str, Any]

    made = structural_schema(Maps, crds.extend)["properties"]
    assert made["closed"]["additionalProperties"] == {"type": "boolean"}
    assert "additionalProperties" not in made["some"]


def _model(obj: dict[str, Any]) -> type[BaseModel]:
    models: dict[str, type[BaseModel]] = {
        "Authenticator": authenticator.Authenticator,
        "VerificationPolicy": verification_policy.VerificationPolicy,
        "VerificationException": verification_exception.VerificationException,
    }
    return models[obj["kind"]]


def _json(obj: dict[str, Any]) -> str:
    import json

    return json.dumps(copy.deepcopy(obj))
