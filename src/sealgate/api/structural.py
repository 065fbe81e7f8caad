"""Conversion of a pydantic model to the structural OpenAPI schema of a CustomResourceDefinition.

Kubernetes accepts a subset of JSON Schema: no references, no types inside `anyOf`, no `additionalProperties: false`
(unknown fields are dropped or refused independently of the schema), and exactly one type for every node. A model that
the subset cannot express is an error, so that a new field fails when the CRDs are generated and not when they are
installed.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

Schema = dict[str, Any]

#: Bounds where a model has none, so that the API server can bound the cost of CEL rules.
MAX_STRING = 1024
MAX_ITEMS = 64

_KEPT = (
    "description", "type", "format", "enum", "default", "pattern", "minLength", "maxLength", "minimum", "maximum",
    "minItems", "maxItems", "minProperties", "maxProperties", "required", "properties", "items",
    "additionalProperties",
)  # fmt: skip
_DROPPED = frozenset({"title", "$defs", "propertyNames", "patternProperties", "examples", "deprecated", "uniqueItems"})


class UnstructuredError(TypeError):
    """A model has a field that no structural schema can describe."""


def structural_schema(model: type[BaseModel], extend: Callable[[str, Schema, int], Schema]) -> Schema:
    """Return the structural schema of a model, in the names and with the descriptions that users see.

    Args:
        model: the model; its fields' aliases become property names.
        extend: called for every node with its path, such as `CosignSpec`, `CosignSpec.annotations` or
            `ImageSelector.tags[]`, the finished node, and how often at most there is such a one in an object; returns
            members to add (CEL rules, say).

    Raises:
        UnstructuredError: a field has a type that Kubernetes' schemas cannot express.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _Converter(schema.get("$defs", {}), extend).convert(schema, model.__name__)


class _Converter:
    """Converts the nodes of one JSON Schema."""

    def __init__(self, definitions: Mapping[str, Schema], extend: Callable[[str, Schema, int], Schema]) -> None:
        self._definitions = definitions
        self._extend = extend

    def convert(self, source: Schema, node_path: str, times: int = 1) -> Schema:
        """Return the structural form of one node."""
        node, node_path = self._resolve(source, node_path)
        unknown = node.keys() - set(_KEPT) - _DROPPED - {"const", "exclusiveMinimum", "exclusiveMaximum"}
        if unknown := {key for key in unknown if not key.startswith("x-kubernetes-")}:
            raise UnstructuredError(f"{node_path}: no structural schema has {', '.join(sorted(unknown))}")
        result = {key: node[key] for key in _KEPT if key in node}
        result |= {key: value for key, value in node.items() if key.startswith("x-kubernetes-")}
        if "description" in result:
            result["description"] = _describe(result["description"])
        self._plain_values(node, result)
        self._containers(node, result, node_path, times)
        if "type" not in result:
            raise UnstructuredError(f"{node_path}: the type must be one that Kubernetes knows")
        for key, value in self._extend(node_path, result, times).items():
            result[key] = [*result.get(key, []), *value] if isinstance(value, list) else value
        return result

    def _resolve(self, source: Schema, node_path: str) -> tuple[Schema, str]:
        """Follow references and choices of one; members beside them take precedence."""
        node = dict(source)
        while True:
            if "$ref" in node:
                name = node.pop("$ref").rpartition("/")[2]
                node, node_path = self._definitions[name] | node, name
            elif choice := next((key for key in ("anyOf", "oneOf", "allOf") if key in node), None):
                options = [option for option in node.pop(choice) if option.get("type") != "null"]
                if len(options) != 1:
                    raise UnstructuredError(f"{node_path}: a field has one type in Kubernetes, not {len(options)}")
                node = options[0] | node
            else:
                return node, node_path

    @staticmethod
    def _plain_values(node: Schema, result: Schema) -> None:
        if "const" in node:
            result["enum"] = [node["const"]]
        if result.get("default", ...) in (None, {}, []):
            del result["default"]  # the same as absent, so the API server need not store it
        if result.get("type") == "integer":
            result.setdefault("format", "int64")
            if "exclusiveMinimum" in node:
                result["minimum"] = node["exclusiveMinimum"] + 1
            if "exclusiveMaximum" in node:
                result["maximum"] = node["exclusiveMaximum"] - 1
        if result.get("type") == "string" and "enum" not in result:
            result.setdefault("maxLength", MAX_STRING)

    def _containers(self, node: Schema, result: Schema, node_path: str, times: int) -> None:
        if result.get("type") == "array":
            result.setdefault("maxItems", MAX_ITEMS)
            result["items"] = self.convert(node.get("items", {}), f"{node_path}[]", times * result["maxItems"])
            result.setdefault("x-kubernetes-list-type", "atomic")  # a writer replaces the whole list
        elif result.get("type") == "object" and "properties" in result:
            result.pop("additionalProperties", None)
            result["properties"] = {
                name: self.convert(value, f"{node_path}.{name}", times) for name, value in result["properties"].items()
            }
        elif result.get("type") == "object":
            values = node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), None)
            if isinstance(values, dict):
                result.setdefault("maxProperties", MAX_ITEMS)
                result["additionalProperties"] = self.convert(values, f"{node_path}[]", times * result["maxProperties"])
            else:
                result.pop("additionalProperties", None)


def _describe(text: str) -> str:
    """Return the part of a docstring that is for users, in lines of no fixed width."""
    prose = inspect.cleandoc(text).partition("\n\nAttributes:")[0]
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in prose.split("\n\n"))
