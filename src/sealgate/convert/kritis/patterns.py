"""Name patterns of AdmissionAllowlists, and the image selectors that cover the same.

Such a pattern is held against an image as it is written, tag included. Without `*` it is exact; a `*` at the end is
anything but `/`; any other `*` is letters, digits, `-` and `_`. Nothing else is special: `**` is no more than `*`, and
braces, commas and question marks stand for themselves, which no image's name holds. Selectors of ours are held
against the normalised name, and tags apart:

| pattern | selector |
|---|---|
| `registry.example.org/acs/*`, or with `**` | repository `registry.example.org/acs/*`, any tag |
| `registry.example.org/app` | repository `registry.example.org/app`, tag `latest`: what is pulled without a tag |
| `registry.example.org/app:v1` | repository `registry.example.org/app`, tag `v1` |
| `registry.example.org/app:*` | repository `registry.example.org/app`, tag `*` |
| `nginx*` | repository `docker.io/library/nginx*`, any tag |
| `registry*.*.aliyuncs.com/acs/*` | the same, without what is in `registry*.*.*.aliyuncs.com/acs/*` |

An exclusion must never let in what the pattern did not. What a selector covers and its pattern did not is told
beside it, so that it can be held to a policy of its own: our `*` covers dots as well, so it is everything with a dot in
the place of such a `*`. In registries' names that matters most: under a domain where anybody may open a registry,
more labels are other people's. A pattern for registries is converted only if at least two labels follow its last `*`
there. Beside a digest an exclusion by tag holds only if the registry says that the tag names it, and digests cannot be
selected at all.
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

#: The longest pattern over tags that a selector may have.
MAX_TAG = 128

_HUB_ALIASES = frozenset({DOCKER_HUB, "index.docker.io"})
_FIXED_DOMAIN = re.compile(r"(\.[A-Za-z0-9-]+){2,}(:[0-9]+)?")
_STARS = re.compile(r"\*+")
#: What no image's name holds outside of a registry that is an IPv6 address; most of it is special in our patterns.
_NEVER = re.compile(r"[{},?\s]|(?<=/)[^/]*[\[\]]")


class NoSelectorError(Exception):
    """There is no equivalent selector; the message says why."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What covers the images of a name pattern.

    Attributes:
        selector: covers them.
        beyond: cover all that the selector covers and the pattern did not; may cover more.
        difference: what differs, for a person; empty where nothing does.
    """

    selector: Mapping[str, Any]
    beyond: tuple[Mapping[str, Any], ...]
    difference: str


def exclusion_of(pattern: str) -> Exclusion:
    """Return what covers the images of a name pattern.

    Raises:
        NoSelectorError: nothing here does.
    """
    if "@" in pattern:
        raise NoSelectorError("an image cannot be left out by its digest")
    if never := _NEVER.search(pattern):
        what = f"{quote(never[0][-1])} stands for itself in such a pattern, and no image's name holds it"
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
    """Return globs for what the glob covers with a dot in the place of a `*` that is not open to everything."""
    stars = [match.start() for match in _STARS.finditer(glob)]
    if open_end:
        stars.pop()
    return list(dict.fromkeys(f"{glob[:at]}*.*{glob[at + 1 :]}" for at in stars))


def _check(selectors: Iterable[Mapping[str, Any]]) -> None:
    """Refuse what could not be applied: of an exclusion and what is beyond it, one must not come without the other."""
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
            raise NoSelectorError(f"its first * could stand for a registry; write the registry, or {DOCKER_HUB}/")
        host, path = DOCKER_HUB, name
    if "*" in host and not _FIXED_DOMAIN.fullmatch(host.rpartition("*")[2]):
        raise NoSelectorError("its * could stand for registries of other people; write the registry's name in full")
    host = DOCKER_HUB if host.lower() in _HUB_ALIASES else host.lower()
    if host == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return f"{host}/{path}"


def _difference(tags: list[str], beyond: Iterable[object]) -> str:
    said = []
    if beyond:
        said.append(
            "* covers dots here and did not there: images with more dots are held to the policies whose names end in "
            ".more-dots, unless a pattern without such a * allows them; keep those policies, or write the names out"
        )
    if tags not in ([], ["latest"]):
        tag = quote(tags[0], MAX_TAG)
        said.append(f"it holds for the tag {tag}, and beside a digest only if the registry says that the tag names it")
    return "; ".join(said)
