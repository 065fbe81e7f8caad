"""Write the chart's values.schema.json and README.md from the comments in its values.yaml.

Usage: python scripts/chart_docs.py [--check]

The comment above a value describes it. A line `@name: content` in the comment adds to the value's schema:

- `@enum: a, b` the only values;
- `@type`, `@pattern`, `@minimum`, `@maximum`, `@exclusiveMinimum` as in JSON Schema;
- `@itemType: string` the type of a list's items, or of a map's values;
- `@items: {...}` a whole schema of a list's items, as JSON.

Without them the type is the one of the default. Maps that have values of their own here take no others, so that a
value that is misspelt is refused.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHART = Path(__file__).resolve().parent.parent / "charts" / "sealgate"
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum")


@dataclass
class Value:
    """One value of the chart.

    Attributes:
        path: where it is ("webhook.image.tag").
        default: its default.
        description: the prose of its comment.
        marks: the `@` lines of its comment.
        children: the values inside, where it is a map with values of its own.
    """

    path: str
    default: Any
    description: str
    marks: dict[str, str]
    children: list[Value] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


def read_values(text: str) -> list[Value]:
    """Return the values of a values.yaml, with their comments."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)  # noqa: S101 - values are a map
    return list(_read(root, yaml.safe_load(text), text.splitlines(), ""))


def _read(node: yaml.MappingNode, data: Mapping[str, Any], lines: list[str], parent: str) -> Iterator[Value]:
    for key, child in node.value:
        description, marks = _comment(lines, key.start_mark.line)
        value = Value(f"{parent}{key.value}", data[key.value], description, marks)
        is_map = isinstance(child, yaml.MappingNode) and not child.flow_style and child.value
        if is_map and "type" not in marks and "itemType" not in marks:
            value.children = list(_read(child, data[key.value], lines, f"{value.path}."))
        yield value


def _comment(lines: list[str], line: int) -> tuple[str, dict[str, str]]:
    """Return the prose and the marks of the comment right above a line."""
    block: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("# "):
        line -= 1
        block.insert(0, lines[line].lstrip()[2:])
    marks = dict(text[1:].split(": ", 1) for text in block if text.startswith("@"))
    return " ".join(text for text in block if not text.startswith("@")), marks


def schema_of(value: Value) -> dict[str, Any]:
    """Return the JSON Schema of a value."""
    schema: dict[str, Any] = {"description": value.description}
    schema["type"] = value.marks.get("type") or _TYPES[type(value.default)]
    for name in _NUMBERS:
        if name in value.marks:
            schema[name] = int(value.marks[name])
    if "pattern" in value.marks:
        schema["pattern"] = value.marks["pattern"]
    if "enum" in value.marks:
        schema["enum"] = value.marks["enum"].split(", ")
    inner = json.loads(value.marks["items"]) if "items" in value.marks else None
    if "itemType" in value.marks:
        inner = {"type": value.marks["itemType"]}
    if inner is not None:
        schema["items" if schema["type"] == "array" else "additionalProperties"] = inner
    if value.children:
        schema["additionalProperties"] = False
        schema["properties"] = {child.name: schema_of(child) for child in value.children}
    return schema


def render_schema(values: list[Value]) -> str:
    """Return values.schema.json."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the sealgate chart",
        "type": "object",
        "additionalProperties": False,
        # Helm hands these to every chart that is a part of another one.
        "properties": {value.name: schema_of(value) for value in values} | {"global": {"type": "object"}},
    }
    return json.dumps(schema, indent=2) + "\n"


def render_readme(values: list[Value], chart: Mapping[str, Any]) -> str:
    """Return README.md."""
    oldest = chart["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
    head = (CHART / "README.head.md").read_text(encoding="utf-8").replace("{{kubeVersion}}", oldest)
    rows = [
        f"| `{value.path}` | {_default(value)} | {value.description.replace('|', chr(92) + '|')} |"
        for value in _leaves(values)
    ]
    table = "\n".join(["| Value | Default | Description |", "|---|---|---|", *rows])
    return (
        f"<!-- Written by scripts/chart_docs.py from values.yaml and README.head.md; edit those. -->\n{head}\n{table}\n"
    )


def _leaves(values: list[Value]) -> Iterator[Value]:
    for value in values:
        if value.children:
            yield from _leaves(value.children)
        else:
            yield value


def _default(value: Value) -> str:
    return f"`{json.dumps(value.default)}`".replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write both files, or with `--check` say which is out of date.

    Returns:
        0; 1 when a file was out of date.
    """
    values = read_values((CHART / "values.yaml").read_text(encoding="utf-8"))
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    wanted = {"values.schema.json": render_schema(values), "README.md": render_readme(values, chart)}
    stale = [
        name
        for name, text in wanted.items()
        if not (CHART / name).exists() or (CHART / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        sys.stderr.writelines(
            f"charts/sealgate/{name} is out of date: run python scripts/chart_docs.py\n" for name in stale
        )
        return 1 if stale else 0
    for name in stale:
        (CHART / name).write_text(wanted[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
