"""Checks between objects: references to objects that do not exist, and patterns that do not compile.

The checks read raw documents, not validated models, so that a misspelt field does not hide the other problems of the
same object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.dependencies import secret_references
from sealgate.errors import InvalidPatternError
from sealgate.manifests.validation import did_you_mean
from sealgate.messages import join_field, quote
from sealgate.patterns import compile_repository_pattern, compile_tag_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from sealgate.errors import Problem
    from sealgate.parsing.documents import Document


def check_policy(policy: Document, authenticators: Collection[str]) -> Iterator[Problem]:
    """Yield the problems of a verification policy: unknown authenticators and invalid patterns.

    Args:
        policy: the object.
        authenticators: names of all authenticators.
    """
    for path, name in _texts(policy, "spec", "require", "authenticators", "*"):
        if name not in authenticators:
            suggestion = did_you_mean(name, authenticators, "there are") or "add it to the files"
            yield policy.problem(path, f"there is no Authenticator named {quote(name, 64)}", suggestion)
    yield from check_patterns(policy)


def check_patterns(policy: Document) -> Iterator[Problem]:
    """Yield the problems of a verification policy's patterns."""
    for field in ("images", "excludeImages"):
        for path, text in _texts(policy, "spec", field, "*", "repository"):
            yield from _check_pattern(policy, path, text, compile_repository_pattern)
        for path, text in _texts(policy, "spec", field, "*", "tags", "*"):
            yield from _check_pattern(policy, path, text, compile_tag_pattern)


def check_secrets(authenticator: Document, secrets: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """Yield the problems of the Secrets that an authenticator of any format names: missing Secrets and missing keys.

    Args:
        authenticator: the object.
        secrets: name of each Secret -> its keys.
    """
    for found in secret_references(authenticator.value):
        name, key = found.name, found.key
        yield from _check_secret(authenticator, found.field, name, secrets)
        if isinstance(name, str) and name in secrets and isinstance(key, str) and key not in secrets[name]:
            message = f"the Secret {quote(name, 64)} has no key {quote(key, 64)}"
            yield authenticator.problem(f"{found.field}.key", message, did_you_mean(key, secrets[name], "it has"))


def _check_secret(document: Document, path: str, name: object, secrets: Collection[str]) -> Iterator[Problem]:
    if isinstance(name, str) and name not in secrets:
        suggestion = did_you_mean(name, secrets, "there are") or "add it to the files"
        yield document.problem(
            f"{path}.name", f"there is no Secret named {quote(name, 64)} among the files", suggestion
        )


def _check_pattern(
    policy: Document, path: str, text: str, compile_pattern: Callable[[str], object]
) -> Iterator[Problem]:
    try:
        compile_pattern(text)
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
