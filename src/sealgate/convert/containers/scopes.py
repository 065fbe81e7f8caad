"""Scopes of containers' `policy.json`, and their equivalent image selectors.

====================================  =================================================================
empty                                 every image
`*.example.org`                       every registry below a domain, at any depth, with any port
`registry.example.org:5000`           every repository of a registry
`registry.example.org/team`           a repository, and every repository below that name
`registry.example.org/team/api:1.4`   one tag of a repository
`registry.example.org/team/api@...`   one digest; selectors have no digests
====================================  =================================================================

Of several scopes that cover an image only the narrowest applies, while in sealgate all policies apply. So the policy of
a wide scope excludes what narrower ones cover.

Hosts are normalised as in references. Docker Hub is `docker.io` in scopes, also for its other host names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sealgate.errors import InvalidPatternError, InvalidReferenceError
from sealgate.messages import quote
from sealgate.patterns import compile_repository_pattern, compile_tag_pattern
from sealgate.references import DOCKER_HUB, parse_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SPECIAL = frozenset("*?{}, \t")


class NoSelectorError(Exception):
    """No image selector is equivalent to a scope; the message says why.

    Attributes:
        scope: the images that the text means; None if it cannot match any image.
    """

    def __init__(self, message: str, scope: Scope | None = None) -> None:
        super().__init__(message)
        self.scope = scope


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope.

    Attributes:
        text: the scope as written.
        name: host and path; for a wildcard the text after the star (".example.org"); empty for every image.
        wildcard: whether the scope covers every registry below a domain.
        tag: the tag; None if the scope has none.
    """

    text: str = field(compare=False)
    name: str
    wildcard: bool = False
    tag: str | None = None

    def covers(self, other: Scope) -> bool:
        """Return whether this scope is strictly wider: it covers every image of the other scope, and more."""
        if self == other:
            return False
        if not self.name:
            return True
        if self.wildcard:
            # The tools remove the port before they match wildcards.
            return other.name.partition("/")[0].partition(":")[0].endswith(self.name)
        if self.tag is not None or other.wildcard:
            return False
        return other.name.startswith(f"{self.name}/") or other.name == self.name

    def selectors(self) -> list[Mapping[str, Any]]:
        """Return image selectors that cover exactly the same images."""
        if self.tag is not None:
            return [{"repository": self.name, "tags": [self.tag]}]
        return [{"repository": pattern} for pattern in self._patterns()]

    def settings_names(self) -> list[str]:
        """Return the names in `registries.d` whose settings apply to this scope, the narrowest first."""
        if not self.name or self.wildcard:
            return [self.text] if self.text else []
        parts = self.name.split("/")
        above = ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
        return [self.text, *above] if self.tag is not None else above

    def _patterns(self) -> list[str]:
        if not self.name:
            return ["**"]
        if self.wildcard:
            return [f"*{self.name}/**", f"*{self.name}:*/**"]
        host, slash, path = self.name.partition("/")
        # On Docker Hub a single name is a namespace: official images are in library.
        if not slash or (host == DOCKER_HUB and "/" not in path):
            return [f"{self.name}/**"]
        return [self.name, f"{self.name}/**"]


def parse_scope(text: str) -> Scope:
    """Parse a scope of the docker transport.

    Raises:
        NoSelectorError: the text is not a scope, or no selector can express it.
    """
    scope = _parse(text)
    try:
        for selector in scope.selectors():
            compile_repository_pattern(selector["repository"])
            for tag in selector.get("tags", ()):
                compile_tag_pattern(tag)
    except InvalidPatternError as error:
        raise NoSelectorError(error.message) from error
    return scope


def narrower(scope: Scope, others: Iterable[Scope]) -> list[Scope]:
    """Return the scopes directly inside a scope, whose images its policy must exclude."""
    inside = [other for other in others if scope.covers(other)]
    return [one for one in inside if not any(other.covers(one) for other in inside)]


def wider(scope: Scope, others: Iterable[Scope]) -> Scope:
    """Return the narrowest of the scopes that cover a scope; the scope of every image must be among them."""
    around = [other for other in others if other.covers(scope)]
    return next(one for one in around if not any(one.covers(other) for other in around))


def _parse(text: str) -> Scope:
    if not text:
        return Scope(text, "")
    name, at, digest = text.partition("@")
    if at:
        raise NoSelectorError("image selectors have no digests", replace(_parse(name), text=text, tag=f"@{digest}"))
    wildcard = text.startswith("*.")
    name = text.removeprefix("*")
    if _SPECIAL & set(name) or (wildcard and "/" in name):
        raise NoSelectorError(f"{quote(text)} is not a scope of the docker transport")
    host, slash, path = name.partition("/")
    if wildcard and ":" in host:
        raise NoSelectorError(
            "the tools remove the port of a registry before they match wildcards, so it matches no image"
        )
    if wildcard:
        return Scope(text, host.lower(), wildcard=True)
    path, colon, tag = path.partition(":")
    registry = _registry(host)
    scope = Scope(text, f"{registry}{slash}{path}", tag=tag if colon else None)
    if registry == DOCKER_HUB and host.lower() == "index.docker.io":
        raise NoSelectorError(f"Docker Hub is {DOCKER_HUB} in scopes, so it matches no image")
    if registry == DOCKER_HUB and host.lower().startswith("registry-1."):
        raise NoSelectorError(
            f"sealgate calls Docker Hub {DOCKER_HUB}, also if a pull names another of its hosts", scope
        )
    return scope


def _registry(host: str) -> str:
    try:
        return parse_registry(host)
    except InvalidReferenceError as error:
        raise NoSelectorError(error.message) from error
