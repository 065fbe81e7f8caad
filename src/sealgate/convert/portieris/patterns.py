"""Names of repositories in Portieris' policies, their selectors, and which of two applies.

Portieris compares a name with the image as the pod has it: the text before the first `/` with the registry, and the
rest with path and tag. `*` is any text, in the rest also across `/`, and a name without a tag holds for every tag:

| name | selectors |
|---|---|
| `*` | every image |
| `icr.io/shop/*`, `icr.io/shop/we*` | `icr.io/shop/**`, `icr.io/shop/we**` |
| `icr.io/shop/web`, `icr.io/shop/web:*` | `icr.io/shop/web` |
| `icr.io/shop/web:v1`, `icr.io/shop/web:v1*` | `icr.io/shop/web`, tags `v1` (no image with a digest), `v1*` |
| `*.icr.io/*`, `*/web` | `*.icr.io/**`, `*/web` |
| `nginx`, `shop/*` | `docker.io/library/nginx`, `docker.io/shop/**`: a pod may leave Docker Hub's name out |
| `icr.io/*web`, `nginx*` | refused: they also match tags, or names of registries |

The name with most characters besides stars applies, and the first of those with as many.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sealgate.convert.selectors import (
    TAG,
    TAG_ALONE,
    NoSelectorError,
    Selector,
    is_registry,
    registry_of,
    selectors,
)
from sealgate.messages import quote
from sealgate.references import DOCKER_HUB

_VALID = re.compile(r"[A-Za-z0-9_.:/*-]+")
_STARS = re.compile(r"\*+")
_NAME = re.compile(r"(?P<name>[^:]*(?::[0-9]+/[^:]*)?)(?::(?P<tag>[^:/]*))?")


@dataclass(frozen=True, slots=True)
class RepositoryName:
    """A name of repositories.

    Attributes:
        text: as written.
        selectors: of the images that it matches.
    """

    text: str
    selectors: tuple[Selector, ...]

    @property
    def is_tag(self) -> bool:
        """Whether it is one tag, which does not match a tag with a digest."""
        return not self.selectors[0].get("tags", ["*"])[0].endswith("*")

    @property
    def matches_digests(self) -> bool:
        """Whether it matches images with a digest and without a tag."""
        return "tags" not in self.selectors[0] and str(self.selectors[0]["repository"]).endswith("**")

    @property
    def quality(self) -> int:
        """How specific it is: the number of its characters besides stars."""
        return len(self.text) - self.text.count("*")

    def loses_to(self, other: RepositoryName, *, later: bool) -> bool | None:
        """Return whether the other name applies to the images that both match.

        Args:
            other: the other name.
            later: whether the other one comes later.

        Returns:
            True if the other does, False if this one does or no image matches both, None if that depends on the image.
        """
        begins = [_beginning(one) for one in (self, other)]
        if not begins[0].startswith(begins[1]) and not begins[1].startswith(begins[0]):
            return False
        if self.quality != other.quality:
            return other.quality > self.quality
        stars = ["*" in one.text for one in (self, other)]
        # A name without a star that is equal to the image applies at once, but not to another spelling of the image.
        return None if stars[0] != stars[1] and stars[1] != later else not later


def parse_name(text: str) -> RepositoryName:
    """Return the selectors of a name.

    Raises:
        NoSelectorError: there are none.
    """
    if not _VALID.fullmatch(text):
        raise NoSelectorError(f"{quote(text)} has characters that neither names nor tags have, besides *")
    match = _NAME.fullmatch(text)
    if match is None or not match["name"]:
        raise NoSelectorError(f"{quote(text)} is not the name of repositories")
    name, tag = match["name"], match["tag"]
    tail = name.rpartition("*")[2] if "*" in name else ""
    if tail and "/" not in tail:
        raise NoSelectorError(f"{quote(tail)} in {quote(text)} may also match a tag; write it with a slash before it")
    if tag is None and name.endswith("*"):
        tag = "*"
    literal = (tag or "*").rstrip("*")
    if literal and not (TAG_ALONE if name.endswith("*") else TAG).fullmatch(literal):
        raise NoSelectorError(f"the tag in {quote(text)} may also match a digest; write the repository in full")
    tags = [literal + ("*" if (tag or "").endswith("*") else "")] if literal else []
    return RepositoryName(text, selectors(text, [_repository(text, name)], tags))


def _repository(text: str, name: str) -> str:
    """Return the pattern over repositories for a name without its tag."""
    host, slash, path = name.partition("/")
    wide = _STARS.sub("**", path)
    if not slash:
        if host.strip("*") and "*" in host:
            raise NoSelectorError(f"{quote(text)} also matches names of registries; write the registry")
        return f"{DOCKER_HUB}/library/{host}" if host.strip("*") else "**"
    if "*" in host:
        return f"{_STARS.sub('*', host)}/{wide}"
    if not is_registry(host):
        return f"{DOCKER_HUB}/{host}/{wide}"
    return f"{registry_of(host, frozenset({'index.docker.io'}))}/{wide}"


def _beginning(name: RepositoryName) -> str:
    """Return the text that every repository begins with that a name matches."""
    return str(name.selectors[0]["repository"]).partition("*")[0]
