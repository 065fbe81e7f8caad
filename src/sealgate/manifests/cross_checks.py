"""What can be wrong in objects that are right by themselves: names that nobody has, patterns that do not compile.

These checks read documents instead of models, so that one misspelt field does not hide everything else that is
wrong with the same object.
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
    """Yield what is wrong with a verification policy.

    Args:
        policy: the object.
        authenticators: the names of all authenticators.
    """
    for place, name in _texts(policy, "spec", "require", "authenticators", "*"):
        if name not in authenticators:
            suggestion = did_you_mean(name, authenticators, "there are") or "add it to the files"
            yield policy.problem(place, f"there is no Authenticator named {quote(name, 64)}", suggestion)
    yield from check_patterns(policy)


def check_patterns(policy: Document) -> Iterator[Problem]:
    """Yield what is wrong with a verification policy's patterns."""
    for field in ("images", "excludeImages"):
        for place, text in _texts(policy, "spec", field, "*", "repository"):
            yield from _check_pattern(policy, place, text, compile_repository_pattern)
        for place, text in _texts(policy, "spec", field, "*", "tags", "*"):
            yield from _check_pattern(policy, place, text, compile_tag_pattern)


def check_secrets(authenticator: Document, secrets: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """Yield what is wrong with the Secrets that an authenticator names, whatever the format.

    Args:
        authenticator: the object.
        secrets: the names of all Secrets, each with its keys.
    """
    for found in secret_references(authenticator.value):
        name, key = found.name, found.key
        yield from _check_secret(authenticator, found.field, name, secrets)
        if isinstance(name, str) and name in secrets and isinstance(key, str) and key not in secrets[name]:
            message = f"the Secret {quote(name, 64)} has no key {quote(key, 64)}"
            yield authenticator.problem(f"{found.field}.key", message, did_you_mean(key, secrets[name], "it has"))


def _check_secret(document: Document, place: str, name: object, secrets: Collection[str]) -> Iterator[Problem]:
    if isinstance(name, str) and name not in secrets:
        suggestion = did_you_mean(name, secrets, "there are") or "add it to the files"
        yield document.problem(
            f"{place}.name", f"there is no Secret named {quote(name, 64)} among the files", suggestion
        )


def _check_pattern(
    policy: Document, place: str, text: str, compile_pattern: Callable[[str], object]
) -> Iterator[Problem]:
    try:
        compile_pattern(text)
    except InvalidPatternError as error:
        yield policy.problem(place, error.message)


def _texts(document: Document, *path: str) -> Iterator[tuple[str, str]]:
    """Yield field and value of every text at a path, in which `*` stands for every item of a list."""
    found: list[tuple[str, Any]] = [("", document.value)]
    for part in path:
        found = [member for place, value in found for member in _members(place, value, part)]
    for place, value in found:
        if isinstance(value, str):
            yield place, value


def _members(place: str, value: object, part: str) -> Iterator[tuple[str, Any]]:
    if part == "*" and isinstance(value, list):
        for index, item in enumerate(value):
            yield join_field(place, index), item
    elif isinstance(value, Mapping) and part in value:
        yield join_field(place, part), value[part]
