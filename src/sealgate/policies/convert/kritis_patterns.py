"""Name patterns of AdmissionAllowlists, and the image selectors that cover the same.

Such a pattern is held against an image as it is written, tag included. Without `*` it is exact; a `*` at the end is
anything but `/`; any other `*` is letters, digits, `-` and `_`. Selectors of ours are held against the normalised
name, and tags apart:

| pattern | selector |
|---|---|
| `registry.example.org/acs/*` | repository `registry.example.org/acs/*`, any tag |
| `registry.example.org/app` | repository `registry.example.org/app`, tag `latest`: what is pulled without a tag |
| `registry.example.org/app:v1` | repository `registry.example.org/app`, tag `v1` |
| `nginx*` | repository `docker.io/library/nginx*`, any tag |
| `registry*.*.aliyuncs.com/acs/*` | the same, any tag |

Our `*` covers dots as well. Inside of a registry's name that could let other people's registries in, so a pattern is
converted only if at least two labels follow its last `*` there. An exclusion by tag holds only for references without
a digest, and digests cannot be selected at all.
"""

from __future__ import annotations

import re
from typing import Any

from sealgate.errors import InvalidPatternError
from sealgate.messages import quote
from sealgate.patterns import compile_repository_pattern, compile_tag_pattern
from sealgate.references import DOCKER_HUB

_HUB_ALIASES = frozenset({DOCKER_HUB, "index.docker.io"})
_FIXED_DOMAIN = re.compile(r"(\.[A-Za-z0-9-]+){2,}(:[0-9]+)?")


class NoSelectorError(Exception):
    """Nothing here covers the same; the text says why."""


def selector_of(pattern: str) -> tuple[dict[str, Any], str]:
    """Return the selector of a name pattern, and what differs; empty where nothing does.

    Raises:
        NoSelectorError: no selector covers the same.
    """
    if "@" in pattern:
        raise NoSelectorError("an image cannot be left out by its digest")
    head, slash, last = pattern.rpartition("/")
    name, colon, tag = last.partition(":")
    selector: dict[str, Any] = {"repository": _repository(f"{head}{slash}{name}")}
    if colon and tag != "*":
        selector["tags"] = [tag]
    elif not colon and not last.endswith("*"):
        selector["tags"] = ["latest"]
    try:
        compile_repository_pattern(selector["repository"])
        for text in selector.get("tags", ()):
            compile_tag_pattern(text)
    except InvalidPatternError as error:
        raise NoSelectorError(error.message) from error
    return selector, _difference(pattern, selector)


def _repository(name: str) -> str:
    host, slash, path = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = DOCKER_HUB, name
    if "*" in host and not _FIXED_DOMAIN.fullmatch(host.rpartition("*")[2]):
        raise NoSelectorError("its * could stand for registries of other people; write the registry's name in full")
    host = DOCKER_HUB if host.lower() in _HUB_ALIASES else host.lower()
    if host == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return f"{host}/{path}"


def _difference(pattern: str, selector: dict[str, Any]) -> str:
    said = []
    if "*" in pattern[:-1]:
        said.append("* covers dots here as well")
    if selector.get("tags", ["latest"]) != ["latest"]:
        said.append(f"it holds for the tag {quote(selector['tags'][0], 128)} without a digest only")
    return "; ".join(said)
