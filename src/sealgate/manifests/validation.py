"""Validation of objects against models, with errors that say what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from sealgate.messages import join_field, key_part, quote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from sealgate.errors import Problem
    from sealgate.parsing.documents import Document

M = TypeVar("M", bound=BaseModel)

_MAX_DIFFERENCE = 8
_MAX_COMPARED = 200
_MAX_LISTED = 20
_MAX_SHOWN = 64
#: Problems of one object that are explained; the others are counted. Each may be compared with many names.
_MAX_EXPLAINED = 64
_MIN_PREFIX = 3
_QUOTED = re.compile(r"'([^']*)'")
#: Errors that pydantic reports as a consequence of an error in a nested field.
_CONSEQUENCES = frozenset({"too_short"})
_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def validate(model: type[M], document: Document, problems: list[Problem]) -> M | None:
    """Return the document as a model; if it is not valid, append its problems to `problems` and return None."""
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        problems.extend(_problems(model, document, error.errors(include_url=False)))
        return None


def did_you_mean(word: str, known: Collection[str], what: str = "") -> str:
    """Return a suggestion for an unknown word: the most similar known word, or the list of all known words.

    Args:
        word: the unknown word.
        known: the known words.
        what: introduction of the list ("the fields are"); empty for no list.
    """
    # Comparing is slow, so names whose length differs too much are not compared.
    names = sorted(name for name in known if abs(len(name) - len(word)) <= _MAX_DIFFERENCE)[:_MAX_COMPARED]
    by_case = {name.casefold(): name for name in names}
    folded = word.casefold()
    close = get_close_matches(folded, by_case, n=1, cutoff=0.6)
    if not close and len(folded) >= _MIN_PREFIX:
        close = [name for name in by_case if name.startswith(folded)]
    if close:
        return f"did you mean {quote(by_case[close[0]])}?"
    listed = sorted(known)[:_MAX_LISTED]
    return f"{what}: {', '.join(map(quote, listed))}" if what and listed else ""


def _problems(model: type[BaseModel], document: Document, errors: Sequence[ErrorDetails]) -> Iterator[Problem]:
    rest = len(errors) - _MAX_EXPLAINED
    if rest > 0:
        yield document.problem("spec", f"{rest} more problems", "solve the others first")
        errors = errors[:_MAX_EXPLAINED]
    field_paths = [_field_path(error["loc"]) for error in errors]
    for error, field_path in zip(errors, field_paths, strict=True):
        deeper = any(other != field_path and other.startswith(field_path) for other in field_paths)
        if error["type"] in _CONSEQUENCES and deeper:
            continue
        yield document.problem(field_path, *_explain(model, error))


def _field_path(loc: Sequence[str | int]) -> str:
    field_path = ""
    for part in loc:
        field_path = join_field(field_path, part if isinstance(part, int) else key_part(part))
    return field_path


def _explain(model: type[BaseModel], error: ErrorDetails) -> tuple[str, str]:
    """Return message and suggestion."""
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    message, suggestion = _decapitalise(error["msg"]), ""
    if kind == "missing":
        message = "is required"
    elif kind == "extra_forbidden":
        message, suggestion = (
            "unknown field",
            did_you_mean(str(error["loc"][-1]), _fields_at(model, error["loc"][:-1]), "the fields are"),
        )
    elif kind == "literal_error":
        known = _QUOTED.findall(str(context["expected"]))
        message, suggestion = f"{_shown(given)} is not one of {', '.join(known)}", did_you_mean(str(given), known)
    elif kind in _KINDS:
        message = f"must be {_KINDS[kind]}, not {_shown(given)}"
        suggestion = "put it in quotes" if kind == "string_type" and isinstance(given, (bool, int, float)) else ""
    elif kind == "string_pattern_mismatch":
        message, suggestion = f"{_shown(given)} does not have the required form", f"it must match {context['pattern']}"
    return message, suggestion


def _shown(given: object) -> str:
    """Return the value for a message. Long text is not shown: it may be a private key pasted into the wrong field."""
    if given is None:
        return "nothing"
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, Mapping):
        return "an object"
    if isinstance(given, (list, tuple)):
        return "a list"
    text = str(given)
    return quote(text) if len(text) <= _MAX_SHOWN else f"text of {len(text)} characters"


def _decapitalise(message: str) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]


def _fields_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Return the fields that the object at a location may have."""
    models = [model]
    for part in loc:
        if isinstance(part, str):
            fields = [field for found in models for name, field in _fields(found) if name == part]
            models = [inner for field in fields for inner in _models_in(field.annotation)]
    return [name for found in models for name, _ in _fields(found)]


def _fields(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    return [(field.alias or name, field) for name, field in model.model_fields.items()]


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
