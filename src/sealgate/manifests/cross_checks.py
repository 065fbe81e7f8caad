"""Checks between objects: references to objects that do not exist, and patterns that do not compile.

The checks read raw documents, not validated models, so that a misspelt field does not hide the other problems of the
same object.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.dependencies import config_map_references, secret_references
from sealgate.errors import InvalidPatternError
from sealgate.manifests.validation import did_you_mean
from sealgate.messages import join_field, quote
from sealgate.policies.limits import ObjectTooLargeError, PatternCompiler
from sealgate.policies.signing import require_named_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from sealgate.api.v1alpha1.dependencies import Reference
    from sealgate.errors import Problem
    from sealgate.parsing.documents import Document


def check_policy(policy: Document, authenticators: Collection[str]) -> Iterator[Problem]:
    """Yield the problems of a verification policy: unknown authenticators and invalid patterns.

    Args:
        policy: the object.
        authenticators: names of all authenticators.
    """
    for path, name in _texts(policy, "spec", "require", "authenticators", "*"):
        yield from _check_authenticator(policy, path, name, authenticators)
    yield from check_patterns(policy)


def check_signing_policy(policy: Document, authenticators: Collection[str]) -> Iterator[Problem]:
    """Yield the problems of a signing policy: an unknown authenticator and invalid patterns; see `check_policy`."""
    for path, name in _texts(policy, "spec", "key", "authenticator"):
        yield from _check_authenticator(policy, path, name, authenticators)
    yield from check_patterns(policy)


def check_patterns(policy: Document, patterns: PatternCompiler | None = None) -> Iterator[Problem]:
    """Yield the problems of the patterns of a policy or exception; they may be too large together.

    Args:
        policy: the object.
        patterns: compiles its patterns; None for a compiler of its own.
    """
    patterns = patterns or PatternCompiler()
    try:
        for field in ("images", "excludeImages"):
            signed = policy.value.get("kind") == "SigningPolicy" and field == "images"
            for path, text in _texts(policy, "spec", field, "*", "repository"):
                yield from _check_pattern(
                    policy, path, text, partial(_compile_signed, patterns) if signed else patterns.repository
                )
            for path, text in _texts(policy, "spec", field, "*", "tags", "*"):
                yield from _check_pattern(policy, path, text, patterns.tag)
    except ObjectTooLargeError as error:
        yield policy.problem("spec", error.message)


def check_secrets(document: Document, secrets: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """Yield the problems of the Secrets that an object names: missing Secrets and missing keys.

    Args:
        document: an authenticator or signing policy, of any format.
        secrets: name of each Secret -> its keys.
    """
    yield from _check_references(document, "Secret", secret_references(document.value), secrets)


def check_config_maps(document: Document, config_maps: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """Yield the problems of the ConfigMaps that an object names: missing ConfigMaps and missing keys.

    Args:
        document: an authenticator or signing policy, of any format.
        config_maps: name of each ConfigMap -> its keys.
    """
    yield from _check_references(document, "ConfigMap", config_map_references(document.value), config_maps)


def _compile_signed(patterns: PatternCompiler, text: str) -> None:
    require_named_registry(patterns.repository(text))


def _check_authenticator(policy: Document, path: str, name: str, authenticators: Collection[str]) -> Iterator[Problem]:
    if name not in authenticators:
        suggestion = did_you_mean(name, authenticators, "there are") or "add it to the files"
        yield policy.problem(path, f"there is no Authenticator named {quote(name, 64)}", suggestion)


def _check_references(
    document: Document, kind: str, references: Iterable[Reference], objects: Mapping[str, Collection[str]]
) -> Iterator[Problem]:
    for found in references:
        name, key = found.name, found.key
        if isinstance(name, str) and name not in objects:
            suggestion = did_you_mean(name, objects, "there are") or "add it to the files"
            message = f"there is no {kind} named {quote(name, 64)} among the files"
            yield document.problem(f"{found.field}.name", message, suggestion)
        elif isinstance(name, str) and isinstance(key, str) and key not in objects[name]:
            message = f"the {kind} {quote(name, 64)} has no key {quote(key, 64)}"
            yield document.problem(f"{found.field}.key", message, did_you_mean(key, objects[name], "it has"))


def _check_pattern(
    policy: Document, path: str, text: str, compile_pattern: Callable[[str], object]
) -> Iterator[Problem]:
    try:
        compile_pattern(text)
    except ObjectTooLargeError:
        raise
    except InvalidPatternError as error:
        yield policy.problem(path, error.message)


def _texts(document: Document, *parts: str) -> Iterator[tuple[str, str]]:
    """Yield field path and value of every string at a path; `*` is every item of a list."""
    found: list[tuple[str, Any]] = [("", document.value)]
    for part in parts:
        found = [member for path, value in found for member in _members(path, value, part)]
    for path, value in found:
        if isinstance(value, str):
            yield path, value


def _members(path: str, value: object, part: str) -> Iterator[tuple[str, Any]]:
    if part == "*" and isinstance(value, list):
        for index, item in enumerate(value):
            yield join_field(path, index), item
    elif isinstance(value, Mapping) and part in value:
        yield join_field(path, part), value[part]
