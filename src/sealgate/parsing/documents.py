"""Documents of untrusted YAML and JSON files, each as plain values with the line of every field.

Files are split into documents as kubectl splits them, at lines that begin with `---`. Each document may begin with a
byte order mark. A document that cannot be read does not affect the others. `sealgate.parsing.yaml_reader` says what is
refused in a document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from json import JSONDecoder
from typing import TYPE_CHECKING, Any, Final

import yaml

from sealgate.errors import Problem
from sealgate.messages import join_field, key_part, quote
from sealgate.parsing.strict_json import MalformedError, parse_next
from sealgate.parsing.yaml_reader import Position, Rules, UnreadableError, YAMLReader

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Policy objects nest less deep than this; merge keys are refused because they hide what a policy says.
POLICY_FILES: Final = Rules(max_depth=64, max_values=200_000)

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MARK = "\ufeff"
_SEPARATOR = re.compile(r"---(?=[ \t\r]|$)")
_END = re.compile(r"\.\.\.(?=[ \t\r]|$)")
#: What may precede a JSON object: a separator, comments, blanks.
_BEFORE_JSON = re.compile(r"(?:---[ \t]*(?=[#\r\n])|#[^\n]*|\s+)*")
#: Parts of a field path: an index, a key in double quotes, a plain key.
_PART = re.compile(r'\[(?P<index>\d+)\]|\.?(?P<key>"(?:[^"\\]|\\.)*"|[^.\["]+)')


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file, or one object of a list in it.

    Attributes:
        file: where it was read, as given.
        value: its content; None if it is empty or cannot be read.
        position: lines of its fields, and which of them cannot be read.
        prefix: its path in the whole document ("items[2]"); empty for a whole document.
        problems: everything that is wrong with the YAML or JSON of the whole document.
    """

    file: str
    value: Any
    position: Position
    prefix: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it, not even something that cannot be read."""
        return self.value is None and not self.problems

    def line(self, field: str) -> int:
        """Return the line of a field, or of the nearest field around it that is present."""
        position = self.position
        for part in _PART.finditer(join_field(self.prefix, field)):
            inner = _find(position, part)
            if inner is None:
                break
            position = inner
        return position.line

    def problem(self, field: str, message: str, suggestion: str = "") -> Problem:
        """Return a problem of one of its fields, with its line."""
        return Problem(self.file, self.line(field), field, message, suggestion)

    def item(self, field: str, value: object) -> Document:
        """Return one of its members as a document of its own."""
        return Document(self.file, value, self.position, join_field(self.prefix, field))


def read_documents(text: str, file: str, rules: Rules = POLICY_FILES) -> tuple[Document, ...]:
    """Return the documents of a file in order, those included that are empty or cannot be read.

    Args:
        text: the content; JSON is YAML too.
        file: its name, for problems.
        rules: limits and accepted constructs.
    """
    return tuple(document for first, chunk in _chunks(text) for document in _read_chunk(chunk, file, first, rules))


def _find(position: Position, part: re.Match[str]) -> Position | None:
    if part["index"] is not None:
        return position.members.get(int(part["index"]))
    key = part["key"]
    if not key.startswith('"'):
        return position.members.get(key)
    return next((inner for name, inner in position.members.items() if key_part(str(name)) == key), None)


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the documents of a stream as text, each with the number of its first line.

    Directives and comments belong to the document that follows them.
    """
    lines: list[str] = []
    first, begun = 1, False
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw
        if all(not before.strip() or before.startswith(("---", "#")) for before in lines[-1:]):
            line = raw.removeprefix(_MARK)
        if _SEPARATOR.match(line) and begun:
            yield first, "\n".join(lines)
            lines, first, begun = [], number, False
        lines.append(line)
        begun = begun or bool(_SEPARATOR.match(line)) or bool(line.strip() and line[0] not in "#%")
        if _END.match(line):
            yield first, "\n".join(lines)
            lines, first, begun = [], number + 1, False
    if begun:
        yield first, "\n".join(lines)


def _read_chunk(chunk: str, file: str, first: int, rules: Rules) -> list[Document]:
    if rules.json and (start := _BEFORE_JSON.match(chunk)) and chunk.startswith("{", start.end()):
        objects = _read_json(chunk, start.end(), file, first, rules)
        if objects:
            return objects
        # Not JSON: either YAML in flow style, or invalid; the YAML parser reports where.
    return _read_yaml(chunk, file, first, rules)


def _read_yaml(chunk: str, file: str, first: int, rules: Rules) -> list[Document]:
    documents: list[Document] = []
    reader = None
    try:
        for event in (events := yaml.parse(chunk, Loader=_LOADER)):
            if isinstance(event, yaml.DocumentStartEvent):
                reader = YAMLReader(events, file, first, rules)
                value, position = reader.read()
                documents.append(Document(file, value, position, problems=tuple(reader.problems)))
                reader = None
    except UnreadableError:
        documents.append(_unreadable(file, reader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"not YAML or JSON: {quote(error.problem or error.context or 'it cannot be read')}"
        problem = Problem(file, mark.line + first if mark else 0, "", message, _hint(error))
        documents.append(_unreadable(file, reader, problem))
    except (yaml.YAMLError, UnicodeError) as error:
        problem = Problem(file, 0, "", f"not YAML or JSON: {quote(str(error).splitlines()[0])}")
        documents.append(_unreadable(file, reader, problem))
    return documents


def _unreadable(file: str, reader: YAMLReader | None, *problems: Problem) -> Document:
    """Return the document that cannot be read for its last problem, with those that were found before it."""
    found = (*(reader.problems if reader else ()), *problems)
    return Document(file, None, Position(found[-1].line, found[-1], found[-1]), problems=found)


def _hint(error: yaml.MarkedYAMLError) -> str:
    if "cannot start any token" in (error.problem or ""):
        return "indent with blanks, not with tabs, and put text that begins with '@', '`' or '%' in quotes"
    return "check the indentation, and put text with ':', '#', '{', '*' or '?' in quotes"


def _read_json(chunk: str, start: int, file: str, first: int, rules: Rules) -> list[Document]:
    """Return the JSON objects from a position on; none if the first is not JSON."""
    documents: list[Document] = []
    line, counted = first, 0
    while start < len(chunk):
        line, counted = line + chunk.count("\n", counted, start), start
        try:
            value, end = parse_next(chunk, start, "the object")
            documents.append(Document(file, value, Position(line)))
        except MalformedError:
            end = _end_of_json(chunk, start)
            if end == start:
                if documents:
                    problem = Problem(file, line, "", "not JSON, after a JSON object")
                    documents.append(_unreadable(file, None, problem))
                return documents
            # Ambiguous JSON: the YAML reader says where. Only outside of strings can JSON have tabs.
            documents += _read_yaml(chunk[start:end].replace("\t", " "), file, line, rules)
        behind = _BEFORE_JSON.match(chunk, end)
        start = behind.end() if behind else end
    return documents


def _end_of_json(text: str, start: int) -> int:
    """Return the end of the JSON value, ambiguous or not, that begins at a position; the position if there is none."""
    try:
        return JSONDecoder().raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return start
