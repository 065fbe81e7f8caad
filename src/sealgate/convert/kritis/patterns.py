"""Name patterns of AdmissionAllowlists, and the image selectors that cover the same images.

kritis matches such a pattern against an image as it is written, tag included. Without `*` the match is exact. A `*` at
the end matches any run without `/`; any other `*` matches letters, digits, `-` and `_`. No other character is special:
`**` is the same as `*`, and braces, commas and question marks are literal, and no image's name contains them. sealgate
matches selectors against the normalised name, and tags separately:

| pattern | selector |
|---|---|
| `registry.example.org/acs/*`, or with `**` | repository `registry.example.org/acs/*`, any tag |
| `registry.example.org/app` | repository `registry.example.org/app`, tag `latest`, the default |
| `registry.example.org/app:v1` | repository `registry.example.org/app`, tag `v1` |
| `registry.example.org/app:*` | repository `registry.example.org/app`, tag `*` |
| `nginx*` | repository `docker.io/library/nginx*`, any tag |
| `registry*.*.aliyuncs.com/acs/*` | the same, except `registry*.*.*.aliyuncs.com/acs/*` |

An exclusion must never admit an image that the pattern did not. sealgate's `*` also matches dots, so a selector covers
more than its pattern: the names with a dot where the pattern has such a `*`. `Exclusion.beyond` selects these, so
that a policy can require signatures of them. This matters most in the names of registries: under a domain where
anyone may open a registry, names with more labels belong to other owners. A pattern over registries is converted only
if at least two labels follow its last `*`. Beside a digest an exclusion by tag applies only if the registry says that
the tag names the digest, and digests cannot be selected at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealgate.errors import InvalidPatternError
from sealgate.messages import quote
from sealgate.patterns import compile_repository_pattern, compile_tag_pattern
from sealgate.references import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The longest tag pattern of a selector, in characters.
MAX_TAG = 128

_HUB_ALIASES = frozenset({DOCKER_HUB, "index.docker.io"})
_FIXED_DOMAIN = re.compile(r"(\.[A-Za-z0-9-]+){2,}(:[0-9]+)?")
_STARS = re.compile(r"\*+")
#: Characters that no image's name contains, except in an IPv6 address of a registry; most are special in selectors.
_NEVER = re.compile(r"[{},?\s]|(?<=/)[^/]*[\[\]]")


class NoSelectorError(Exception):
    """A pattern has no equivalent selector; the message says why."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """The selectors that are equivalent to a name pattern.

    Attributes:
        selector: covers at least the images of the pattern.
        beyond: selectors that cover every image that `selector` covers and the pattern did not; may cover more.
        difference: message to the user about what differs; empty if nothing does.
    """

    selector: Mapping[str, Any]
    beyond: tuple[Mapping[str, Any], ...]
    difference: str


def exclusion_of(pattern: str) -> Exclusion:
    """Return the exclusion that covers the images of a name pattern.

    Raises:
        NoSelectorError: no selector is equivalent.
    """
    if "@" in pattern:
        raise NoSelectorError("an image cannot be excluded by its digest")
    if never := _NEVER.search(pattern):
        what = f"{quote(never[0][-1])} is literal in such a pattern, and no image's name contains it"
        raise NoSelectorError(f"{what}; write one pattern for each image that was meant")
    text = _STARS.sub("*", pattern)
    head, slash, last = text.rpartition("/")
    name, colon, tag = last.partition(":")
    repository = _repository(f"{head}{slash}{name}")
    open_end = not colon and last.endswith("*")
    tags = [tag] if colon else [] if open_end else ["latest"]
    beyond = [_selector(dotted, tags) for dotted in _dotted(repository, open_end=open_end)]
    if colon:
        beyond += [_selector(repository, [dotted]) for dotted in _dotted(tag, open_end=tag.endswith("*"))]
    exclusion = Exclusion(_selector(repository, tags), tuple(beyond), _difference(tags, beyond))
    _check([exclusion.selector, *beyond])
    return exclusion


def _selector(repository: str, tags: list[str]) -> dict[str, Any]:
    return {"repository": repository, "tags": tags} if tags else {"repository": repository}


def _dotted(glob: str, *, open_end: bool) -> list[str]:
    """Return globs for the names that a glob covers only because a `*`, except an open end, matches dots."""
    stars = [match.start() for match in _STARS.finditer(glob)]
    if open_end:
        stars.pop()
    return list(dict.fromkeys(f"{glob[:at]}*.*{glob[at + 1 :]}" for at in stars))


def _check(selectors: Iterable[Mapping[str, Any]]) -> None:
    """Raise unless all selectors are valid: an exclusion must not be applied without the ones beyond it."""
    try:
        for selector in selectors:
            compile_repository_pattern(selector["repository"])
            for tag in selector.get("tags", ()):
                compile_tag_pattern(tag)
                if len(tag) > MAX_TAG:
                    raise NoSelectorError(f"its tag is longer than {MAX_TAG} characters")
    except InvalidPatternError as error:
        raise NoSelectorError(error.message) from error


def _repository(name: str) -> str:
    host, slash, path = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        if slash and "*" in host:
            raise NoSelectorError(f"its first * could match a registry; write the registry, or {DOCKER_HUB}/")
        host, path = DOCKER_HUB, name
    if "*" in host and not _FIXED_DOMAIN.fullmatch(host.rpartition("*")[2]):
        raise NoSelectorError("its * could match registries of other owners; write the registry's name in full")
    host = DOCKER_HUB if host.lower() in _HUB_ALIASES else host.lower()
    if host == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return f"{host}/{path}"


def _difference(tags: list[str], beyond: Iterable[object]) -> str:
    notes = []
    if beyond:
        notes.append(
            "sealgate's * matches dots and kritis's did not: images with more dots must meet the policies whose names "
            "end in .more-dots, unless a pattern without such a * allows them; keep those policies, or list the names"
        )
    if tags not in ([], ["latest"]):
        tag = quote(tags[0], MAX_TAG)
        notes.append(
            f"it applies to the tag {tag}, and beside a digest only if the registry says that the tag names it"
        )
    return "; ".join(notes)
