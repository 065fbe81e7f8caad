"""Globs of ClusterImagePolicies, and the image selectors that cover exactly the same images.

policy-controller compares a glob with the image's full name and its digest, `index.docker.io/library/nginx@sha256:...`,
never with a tag: a tag is replaced by its digest first. `*` is any run without `/`, `**` any run. So a glob that does
not end in a star matches nothing, and text between two stars may match inside the digest:

| glob | selector |
|---|---|
| `**` | every image |
| `*`, `*/*` | `docker.io/library/*`, `docker.io/*/*` |
| `registry.example.org/team/*` | the same |
| `registry.example.org/team/*:*` | `registry.example.org/team/*`: the colon is that of the digest |
| `registry.example.org/team/app`, `.../app:v*` | none: it matches nothing |
| `registry.example.org/*a*` | refused: `sha256` has an `a` |
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sealgate.convert.selectors import NoSelectorError
from sealgate.errors import InvalidPatternError, InvalidReferenceError
from sealgate.messages import quote
from sealgate.patterns import compile_repository_pattern
from sealgate.references import DOCKER_HUB, parse_registry

if TYPE_CHECKING:
    from collections.abc import Mapping

_VALID = re.compile(r"[A-Za-z0-9_:/*.-]+")
_ALIASES = {"*/*": "index.docker.io/*/*", "*": "index.docker.io/library/*"}
_HUB = "index.docker.io"
_MANY_STARS = re.compile(r"\*{3,}")
#: Text without any character that `sha256:` and hexadecimal digits lack.
_IN_DIGEST = re.compile(r"[0-9a-fsh:]*")


def selectors_of(glob: str) -> list[Mapping[str, Any]]:
    """Return the selectors that cover exactly the images of a glob; empty if it matches no image.

    Raises:
        NoSelectorError: the glob is not valid, or no selectors are equivalent.
    """
    if not _VALID.fullmatch(glob):
        raise NoSelectorError(f"{quote(glob)} is not a glob of policy-controller")
    names = _names(_MANY_STARS.sub("**", _ALIASES.get(glob, glob)))
    patterns = [] if names is None else _patterns(names)
    try:
        for pattern in patterns:
            compile_repository_pattern(pattern)
    except InvalidPatternError as error:
        raise NoSelectorError(error.message) from error
    return [{"repository": pattern} for pattern in patterns]


def _names(glob: str) -> str | None:
    """Return the glob over names alone, without what matches the digest; None if it matches nothing."""
    head, star, tail = glob.rpartition("*")
    if tail or not star:
        if star and _IN_DIGEST.fullmatch(tail):
            raise NoSelectorError(f"the end of {quote(glob)} is compared with the digest; write a * at the end")
        return None
    before = head.removesuffix("*")
    inner, inner_star, between = before.rpartition("*")
    if not inner_star:
        return None if ":" in before.partition("/")[2] else glob
    if between == ":" and ("/" in inner or before == "**:"):
        return _names(f"{inner}*")
    if _IN_DIGEST.fullmatch(between):
        raise NoSelectorError(
            f"{quote(between)} in {quote(glob)} also matches inside digests, so the glob covers more than its names; "
            "write the names out, or end it after the first of these stars"
        )
    return None if ":" in between.rpartition("/")[2] and "/" in before else glob


def _patterns(glob: str) -> list[str]:
    host, slash, path = glob.partition("/")
    if host == "**":
        return [glob]
    if "**" in host:
        raise NoSelectorError(f"** in the registry of {quote(glob)} has no equivalent; write the registries out")
    if not slash:
        return []
    if glob != glob.lower():
        raise NoSelectorError(f"{quote(glob)} has upper-case letters, and names are in lower case; write them so")
    if "*" in host:
        return _wild_hosts(glob, host, path)
    if host == _HUB:
        return [f"{DOCKER_HUB}/{path}"]
    if host == DOCKER_HUB or not ("." in host or ":" in host or host == "localhost"):
        return []  # the full name of such an image begins with index.docker.io
    try:
        registry = parse_registry(host)
    except InvalidReferenceError as error:
        raise NoSelectorError(error.message) from error
    if registry != host:
        raise NoSelectorError(f"sealgate calls the registry {quote(host)} {registry}; write index.docker.io, or that")
    return [glob]


def _wild_hosts(glob: str, host: str, path: str) -> list[str]:
    """Return patterns for a glob over several registries; Docker Hub's name is another one here."""
    expression = re.compile(re.escape(host).replace(r"\*", "[^/]*"))
    theirs, ours = (expression.fullmatch(name) is not None for name in (_HUB, DOCKER_HUB))
    if ours and not theirs:
        raise NoSelectorError(f"the registries of {quote(glob)} have no equivalent; write them out")
    return [glob, f"{DOCKER_HUB}/{path}"] if theirs and not ours else [glob]
