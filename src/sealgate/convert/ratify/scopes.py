"""Scopes of the trust policies of Ratify 1: repositories, beginnings of the names of images, or all images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.convert.selectors import NoSelectorError, registry_of
from sealgate.convert.signers import NoEquivalentError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCOPE = re.compile(r"[a-z0-9._:/@-]*\*?")


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope.

    Attributes:
        text: a repository, or the beginning of the names of images; empty for all.
        prefix: whether it is the beginning.
    """

    text: str
    prefix: bool

    @property
    def pattern(self) -> str:
        """The pattern over repositories that covers its images."""
        if self.text and "/" not in self.text:
            return f"{self.text}*/**"  # of registries
        return f"{self.text}**" if self.prefix else self.text

    @property
    def narrowness(self) -> tuple[int, bool]:
        """What is larger for the inner one of two scopes of which one contains the other."""
        return len(self.text), not self.prefix

    def contains(self, other: Scope) -> bool:
        """Return whether every image of another scope is in this one."""
        return other.text.startswith(self.text) if self.prefix else self == other


def read_scope(written: str, notation: bool) -> tuple[Scope | None, bool]:  # noqa: FBT001 - of one of two kinds
    """Return a scope, and whether it has an equivalent; None if it matches no image.

    Raises:
        NoEquivalentError: it is not a scope of Ratify.
    """
    if written == "*":
        return Scope("", prefix=True), True
    if not _SCOPE.fullmatch(written) or (notation and ("*" in written or "@" in written)):
        raise NoEquivalentError(f"{quote(written, 128)} is not a scope")
    text = written.removesuffix("*")
    host, slash, path = text.partition("/")
    try:
        registry = registry_of(host) if slash else host
    except NoSelectorError as error:
        raise NoEquivalentError(str(error)) from error
    if notation:
        return Scope(f"{registry}/{path}", prefix=False), True
    repository = re.split("[:@]", path)[0]
    if repository != path:
        return Scope(f"{registry}/{repository}", prefix=False), False
    # Cosign's scopes without a wildcard are compared with the whole reference, which always has a tag or a digest.
    return (Scope(text, prefix=True) if written != text else None), True


def check_disjoint(scopes: Sequence[str]) -> None:
    """Refuse what Ratify does not load: two scopes that match the same image, except for the one of all images.

    Raises:
        NoEquivalentError: two of them overlap.
    """
    for index, one in enumerate(scopes):
        for other in scopes[index + 1 :]:
            within = [
                wide.endswith("*") and wide != "*" and narrow.startswith(wide[:-1]) and narrow != "*"
                for wide, narrow in ((one, other), (other, one))
            ]
            if one == other or any(within):
                raise NoEquivalentError(f"the scopes {quote(one, 128)} and {quote(other, 128)} overlap")
