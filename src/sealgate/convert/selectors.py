"""Image selectors for the patterns of other tools."""

from __future__ import annotations

import re
from typing import Any

from sealgate.errors import InvalidPatternError, InvalidReferenceError
from sealgate.messages import quote
from sealgate.patterns import compile_repository_pattern, compile_tag_pattern
from sealgate.references import parse_registry

Selector = dict[str, Any]

#: What tags are made of.
TAG = re.compile(r"[A-Za-z0-9_.-]+")
#: The beginning of a tag that neither a digest nor a port begins with.
TAG_ALONE = re.compile(r"[A-Za-z0-9_.-]*[g-zA-Z_][A-Za-z0-9_.-]*")


class NoSelectorError(Exception):
    """No image selectors are equivalent to a pattern; the message says why."""


def selectors(text: str, repositories: list[str], tags: list[str]) -> tuple[Selector, ...]:
    """Return the selectors of repositories, with the same tags each; none for every tag.

    Args:
        text: the pattern that they stand for, for messages.
        repositories: patterns over repositories.
        tags: patterns over tags.

    Raises:
        NoSelectorError: one of them is not valid.
    """
    try:
        for repository in repositories:
            compile_repository_pattern(repository)
        for tag in tags:
            compile_tag_pattern(tag)
    except InvalidPatternError as error:
        raise NoSelectorError(f"{quote(text)} has no equivalent: {error.message}") from error
    more = {"tags": tags} if tags else {}
    return tuple({"repository": repository, **more} for repository in repositories)


def registry_of(host: str, aliases: frozenset[str] = frozenset()) -> str:
    """Return the name that a registry has here.

    Args:
        host: the registry as a tool writes it.
        aliases: other names that the tool has for the registry of its name here.

    Raises:
        NoSelectorError: it is not a registry, or has another name here that the tool takes for another registry.
    """
    try:
        registry = parse_registry(host)
    except InvalidReferenceError as error:
        raise NoSelectorError(error.message) from error
    if registry != host and host not in aliases:
        raise NoSelectorError(f"sealgate calls the registry {quote(host)} {registry}; write {registry} there")
    return registry


def is_registry(host: str) -> bool:
    """Return whether the first part of a name is a registry, and not a part of a repository of Docker Hub."""
    return bool(set(".:") & set(host)) or host == "localhost"
