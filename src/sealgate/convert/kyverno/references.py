"""Image references of verifyImages rules, and selectors that cover at least the same images.

Kyverno compares a pattern with the image as text: `registry/path:tag`, or `registry/path@digest` if there is a digest;
`docker.io` is the default registry. `*` is any text, also across `/` and `:`, and `?` any character. Images that no
rule covers are admitted, so selectors may cover more, which asks for more signatures, and never fewer:

| pattern | selectors |
|---|---|
| `ghcr.io/shop/*` | `ghcr.io/shop/**` |
| `ghcr.io/shop/web:v1*` | `ghcr.io/shop/web`, tags `v1*` |
| `ghcr.io/shop/web:*`, `ghcr.io/shop/web:1*` | `ghcr.io/shop/web`, any tag: `1*` may be the beginning of a digest |
| `ghcr.io*` | `ghcr.io*/**` |
| `docker.io/nginx*` | `docker.io/nginx*/**` and `docker.io/library/nginx**` |
| `*` | every image |
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sealgate.convert.selectors import NoSelectorError
from sealgate.errors import InvalidPatternError
from sealgate.messages import quote
from sealgate.patterns import compile_repository_pattern, compile_tag_pattern
from sealgate.references import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALIASES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_VALID = re.compile(r"[A-Za-z0-9_.:/*?@\[\]-]+")
_WILDCARDS = re.compile(r"[*?]+")
#: A tag pattern that begins with text that no digest begins with: it is compared with the tag.
_TAG = re.compile(r"(?=[A-Za-z0-9_.-]*[g-zA-Z_.-])[A-Za-z0-9_.*?-]+")
#: The longest pattern, in characters; selectors are somewhat longer.
_MAX_LENGTH = 400
#: A pattern that is equal to one of sealgate's: a registry in full, other than Docker Hub, and everything below a path.
_EXACT = re.compile(r"(?P<name>[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]+)?/(?:[a-z0-9._-]+/)*)\*")


def selectors_of(pattern: str) -> list[Mapping[str, Any]]:
    """Return selectors that cover at least the images of a pattern.

    Raises:
        NoSelectorError: there are none.
    """
    if not _VALID.fullmatch(pattern) or len(pattern) > _MAX_LENGTH:
        raise NoSelectorError(f"{quote(pattern)} is not a pattern over images; variables have no equivalent")
    name, tags = _split(pattern)
    found: list[Mapping[str, Any]] = [
        {"repository": repository, "tags": tags} if tags else {"repository": repository}
        for repository in dict.fromkeys(_repositories(name))
    ]
    usable = [selector for selector in found if _compiles(selector)]
    if not usable:
        raise NoSelectorError(f"{quote(pattern)} has no equivalent; write the registry and the repositories in full")
    return usable


def exact_selector_of(pattern: str) -> Mapping[str, Any] | None:
    """Return the selector that covers exactly the images of a pattern; None if there is none."""
    match = _EXACT.fullmatch(pattern)
    selector = None if match is None else {"repository": f"{match['name']}**"}
    if match is None or selector is None or any(match["name"].startswith(f"{alias}/") for alias in _ALIASES):
        return None
    return selector if _compiles(selector) else None


def _split(pattern: str) -> tuple[str, list[str]]:
    """Return the pattern over names, and those over tags; without the latter if they may fit something else."""
    text = pattern.partition("@")[0]
    head, colon, last = text.rpartition(":")
    if text == pattern and "/" in head and "/" not in last and _TAG.fullmatch(last):
        return _WILDCARDS.sub("**", head), [last.replace("**", "*")]
    if colon and "/" not in last and ("/" in head or "*" in head):
        text = f"{head}*" if _WILDCARDS.search(head) else head
    return _open(_WILDCARDS.sub("**", text)), []


def _open(name: str) -> str:
    """Return the pattern without what a tag or a digest may match: text after a star that has no `/`."""
    pieces = name.split("**")
    last = max((index for index, piece in enumerate(pieces) if "/" in piece), default=0)
    return "**".join(pieces[: last + 1]) + ("**" if last + 1 < len(pieces) else "")


def _repositories(text: str) -> list[str]:
    """Return patterns of sealgate that cover the names together; some may not be valid, which cover no name."""
    text = text.lower()
    host, slash, path = text.partition("/")
    if "*" in host:
        return _open_hosts(text, host)
    if not slash:
        return [*_hub(text), f"{host}/**"]
    if "." in host or ":" in host or host == "localhost":
        return _hub(path) if host in _ALIASES else [text]
    return _hub(text)


def _open_hosts(text: str, host: str) -> list[str]:
    """Return patterns for a text with a star before its first `/`, which may reach into the path.

    Raises:
        NoSelectorError: there are none.
    """
    start = host.partition("*")[0]
    hub = [f"{DOCKER_HUB}/**"]
    if start:
        wide = [f"{start}*/**", f"{start}*.*/**", f"{start}*:*/**"]
        if "localhost".startswith(start):
            wide.append("localhost/**")
        return [*wide, *hub] if any(alias.startswith(start) for alias in _ALIASES) else wide
    before, colon, after = text.rpartition(":")
    if colon:
        # The colon is that of a port, which patterns of sealgate have only after a registry without `**`.
        text = f"**/{after.partition('/')[2]}" if "/" in after and "/" not in before else "**"
    if not _compiles({"repository": text}):
        raise NoSelectorError(f"{quote(text)} has no equivalent; write the registry and the repositories in full")
    first = text.split("**")[1]
    literal, slash, _ = first.partition("/")
    # The literal may be part of one of Docker Hub's names, which is another one here.
    named = any(alias.endswith(literal) if slash else literal in alias for alias in _ALIASES)
    return [text, *hub] if literal and named else [text]


def _hub(path: str) -> list[str]:
    """Return patterns for a path on Docker Hub, whose own images are in `library` here and may not be there."""
    first = path.partition("/")[0]
    found = [f"{DOCKER_HUB}/library/{path}"]
    if "*" in first:
        found.append(f"{DOCKER_HUB}/{first.partition('*')[0]}*/**")
    elif "/" in path:
        found.append(f"{DOCKER_HUB}/{path}")
    return found


def _compiles(selector: Mapping[str, Any]) -> bool:
    try:
        compile_repository_pattern(selector["repository"])
        for tag in selector.get("tags", ()):
            compile_tag_pattern(tag)
    except InvalidPatternError:
        return False
    return True
