"""Patterns of Connaisseur's policy, their selectors, and which of two is the more specific one.

Connaisseur compares a pattern with the image's full name as text: `index.docker.io/library/nginx:1`, with its digest if
it has one. `*` is any text, also across `/`, and every pattern has one before and after it:

| pattern | images that the policy covers |
|---|---|
| `*:*`, `*` | every image |
| `docker.io/shop/*:*`, `docker.io/shop/*` | `docker.io/shop/**` |
| `ghcr.io/shop/web` | `ghcr.io/shop/web**` |
| `ghcr.io/shop/web:*` | `ghcr.io/shop/web` |
| `ghcr.io/shop/web:v1` | `ghcr.io/shop/web`, tags `v1*` |
| `library/nginx:*`, `*/library/nginx:*` | `**library/nginx`, `**/library/nginx` |
| `ghcr.io/shop/web@sha256:...` | none: selectors have no digests |
| `*nginx*`, `ghcr.io/*web*` | refused: it may also match a tag |

A pattern that begins with a registry also matches where the registry's name is the end of another one, or part of a
path. Its policy does not cover these images, and all others exclude them, so that they are denied.

The pattern with most parts between slashes is chosen; of several, from left to right, the one whose part begins with
more of the image's text, then the one whose part is longer, then the later one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from sealgate.convert.selectors import TAG, TAG_ALONE, NoSelectorError, is_registry, registry_of, selectors
from sealgate.messages import quote
from sealgate.references import DOCKER_HUB

if TYPE_CHECKING:
    from sealgate.convert.selectors import Selector

_HUB = "index.docker.io"
_VALID = re.compile(r"[A-Za-z0-9_.:/*@-]+")
_STARS = re.compile(r"\*+")
_EVERYTHING = re.compile(r"\*+(:?\**)?|:\**")


@dataclass(frozen=True, slots=True)
class RulePattern:
    """A pattern.

    Attributes:
        text: as written.
        covered: selectors of the images that its policy covers.
        matched: selectors of at least all images that it matches.
        anchored: whether `covered` has only images whose registry is the pattern's.
    """

    text: str
    covered: tuple[Selector, ...]
    matched: tuple[Selector, ...]
    anchored: bool

    def loses_to(self, other: RulePattern, *, later: bool) -> bool | None:
        """Return whether the other pattern is chosen for all images that this one covers and the other matches.

        Args:
            other: the other pattern.
            later: whether the other one comes later in the policy.

        Returns:
            True if the other is, False if this one is, None if that depends on the image.
        """
        ends = self._end, other._end
        if all(ends) and not ends[0].endswith(ends[1]) and not ends[1].endswith(ends[0]):
            return False  # the two match different repositories
        mine, theirs = self.text.split("/"), other.text.split("/")
        if len(mine) != len(theirs):
            return len(theirs) > len(mine)
        found: set[int] = set()
        lengths: list[set[int]] = [{_sign(len(b) - len(a))} for a, b in zip(mine, theirs, strict=True)]
        for signs in [*self._prefixes(mine, theirs), *lengths]:
            found |= signs - {0}
            if 0 not in signs:
                break
        else:
            found.add(1 if later else -1)
        return None if len(found) > 1 else found == {1}

    @property
    def _end(self) -> str:
        """The end of every repository that it matches; empty for any."""
        return str(self.matched[-1]["repository"]).rpartition("*")[2]

    def _prefixes(self, mine: list[str], theirs: list[str]) -> list[set[int]]:
        """Return, for each part, the possible signs of their common prefix with the image minus mine."""
        found = []
        known = self.anchored
        for number, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            image = a.partition("*")[0]
            whole = "*" not in a and number < len(mine) - 1
            if known and number == 0 and image in (DOCKER_HUB, _HUB):
                image = _HUB
            found.append(_signs(a.partition("*")[0], b.partition("*")[0], image if known else None, whole=whole))
            known = known and whole
        return found


def _signs(mine: str, theirs: str, image: str | None, *, whole: bool) -> set[int]:
    """Return the possible signs of the length of the image's common prefix with theirs, minus that with mine.

    Args:
        mine: the text of a part up to its first star.
        theirs: the same of the other pattern.
        image: the beginning of the image's part; None if it is not known.
        whole: whether that is all of the image's part.
    """
    if mine == theirs:
        return {0}
    if image is None:
        return {0, 1} if theirs.startswith(mine) else {0, -1} if mine.startswith(theirs) else {-1, 0, 1}
    least = _common(theirs, image)
    most = len(theirs) if least == len(image) and not whole else least
    own = _common(mine, image)
    return {_sign(length - own) for length in (least, most)} | ({0} if least < own < most else set())


def _common(one: str, other: str) -> int:
    """Return the length of the common prefix."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def parse_pattern(text: str) -> RulePattern:
    """Return the selectors of a pattern.

    Raises:
        NoSelectorError: there are none.
    """
    if not _VALID.fullmatch(text):
        raise NoSelectorError(
            f"{quote(text)} has characters that neither names nor tags have, besides *; write it without"
        )
    if _EVERYTHING.fullmatch(text):
        return RulePattern(text, ({"repository": "**"},), ({"repository": "**"},), anchored=False)
    name, tags = _split(text)
    host, slash, path = name.partition("/")
    anchored = bool(slash) and is_registry(host) and "*" not in host
    if not anchored and "*" in host.lstrip("*"):
        raise NoSelectorError(f"{quote(text)} has a star inside the registry; write the registries out")
    covered = [f"{registry_of(host, frozenset({_HUB}))}/{path}"] if anchored else [f"**{name.lstrip('*')}"]
    loose = [f"*{name}" if ":" in host else f"**{name}"] if anchored else covered
    if anchored and _HUB.endswith(host) and not DOCKER_HUB.endswith(host):
        loose = [f"{DOCKER_HUB}/{path}", *loose]
    matched = selectors(text, loose, tags)
    exact = "@" not in text
    return RulePattern(text, selectors(text, covered, tags) if exact else (), matched, anchored)


def _split(text: str) -> tuple[str, list[str]]:
    """Return the pattern over names, with `**` for stars, and those over tags; none for every tag."""
    head = text.partition("@")[0]
    name, colon, tag = head.rpartition(":")
    if not colon or "/" in tag:
        name, tag = (f"{head}*" if head == text else head), ""
    tag = "" if "@" in text else tag.rstrip("*")
    last = next((part for part in reversed(_STARS.split(name)) if part), "")
    if "/" not in last:
        raise NoSelectorError(
            f"{quote(last)} in {quote(text)} may also match a tag, a digest or a port; write it with a slash, "
            "after the registry and the path"
        )
    if tag and not (TAG_ALONE if name.endswith("*") else TAG).fullmatch(tag):
        raise NoSelectorError(f"the tag in {quote(text)} may also match elsewhere; write the repository in full")
    return _STARS.sub("**", name), [f"{tag}*"] if tag else []
