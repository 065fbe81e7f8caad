r"""Image references, `registry/repository[:tag][@digest]`, parsed and normalised.

The grammar is docker's (`distribution/reference`), as kubelets read it:

- the first component is a registry when it holds a `.` or a `:`, is `localhost`, or has an upper-case letter;
  otherwise the registry is `docker.io`, and a single component there means `library/<name>`;
- repository components are lower case, joined by `/`, separated inside by `.`, `_`, `__` or dashes;
- a tag is `[\w][\w.-]{0,127}`; a digest is `sha256:` and 64 lower-case hex digits.

A reference that can be written in several ways has one normalised form, so that a different spelling cannot evade a
pattern: the registry in lower case, `index.docker.io` and `registry-1.docker.io` as `docker.io`, the port `:443` left
out, an IPv6 address in its short form. Everything outside the grammar (a trailing dot, white space, percent signs,
letters outside ASCII) is rejected, not repaired, and so are ambiguous references that the grammar allows:

- a port with leading zeros, or out of range; an IPv4 address in any form but `10.0.0.1`, IPv6 ones of IPv4 included;
- `sha256:4a4a` and 64 hex digits alone: kubelets take them for the ID of an image that is on the node already;
- `registry-1.docker.io/nginx`: docker adds `library/` to other spellings of Docker Hub only;
- `HOST/name`: in lower case, without a dot or a port, it would be a repository of Docker Hub.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, NewType

from sealgate.errors import InvalidReferenceError
from sealgate.messages import quote_image

#: A digest in its only accepted form: `sha256:` and 64 lower-case hex digits.
Digest = NewType("Digest", str)

DOCKER_HUB = "docker.io"
#: The most characters of a repository's path. The registry before it does not count, as in `distribution/reference`.
MAX_PATH_LENGTH = 255
#: The most characters of `host[:port]`; the DNS has shorter names only.
MAX_REGISTRY_LENGTH = 255
#: Longer than any reference can be; longer text is rejected without being parsed.
MAX_LENGTH = 1024
#: Parsed references in the cache: a cluster uses the same ones again and again.
MAX_CACHED = 4096
#: Parsed registries in the cache: a new image is seldom of a new one.
MAX_CACHED_REGISTRIES = 256

_HUB_ALIASES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
#: Names of Docker Hub after which docker adds `library/` to a single component.
_HUB_WITH_LIBRARY = frozenset({DOCKER_HUB, "index.docker.io"})
#: Names that, before a `:`, make the text an image ID instead of a reference.
_DIGEST_ALGORITHMS = frozenset({"sha256", "sha384", "sha512"})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_LABEL = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)"
_REGISTRY = re.compile(rf"({_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::([0-9]+))?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_PORT = 65535
_HTTPS_PORT = 443
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")


class Repository(NamedTuple):
    """A repository of one registry, normalised.

    Attributes:
        registry: `host[:port]`, lower case ("docker.io" for Docker Hub).
        path: the repository's name inside the registry ("library/nginx").
    """

    registry: str
    path: str

    @property
    def name(self) -> str:
        """`registry/path`: what patterns are matched against."""
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed and normalised image reference.

    Attributes:
        repository: registry and path.
        tag: as written; None when the reference has none (no default is filled in here).
        digest: as written; None when the reference has none.
    """

    repository: Repository
    tag: str | None
    digest: Digest | None

    @property
    def name(self) -> str:
        """`registry/path`, without tag and digest."""
        return self.repository.name

    @property
    def effective_tag(self) -> str | None:
        """The tag that will be pulled: the written one, `latest` where neither tag nor digest is written."""
        if self.tag is None and self.digest is None:
            return "latest"
        return self.tag

    def __str__(self) -> str:
        """Return the normalised text; parsing it gives an equal reference."""
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.name}{tag}{digest}"


def parse_digest(text: str) -> Digest:
    """Return the text as a digest.

    Raises:
        InvalidReferenceError: it is not `sha256:` and 64 lower-case hex digits.
    """
    if not _DIGEST.fullmatch(text):
        msg = f"{quote_image(text)} is not a digest: write sha256: and 64 lower-case hex digits"
        raise InvalidReferenceError(msg)
    return Digest(text)


@lru_cache(MAX_CACHED)
def parse_reference(text: str) -> Reference:
    """Parse and normalise an image reference.

    Raises:
        InvalidReferenceError: it is outside the grammar.
    """
    if len(text) > MAX_LENGTH:
        raise _invalid(text, f"it is longer than {MAX_LENGTH} characters")
    rest, digest = _split_digest(text)
    rest, tag = _split_tag(rest, text)
    if tag is not None and rest in _DIGEST_ALGORITHMS:
        raise _invalid(text, "a digest alone names an image ID on a node, not an image in a registry")
    repository = _parse_repository(rest, text)
    if tag is None and digest is None and _IDENTIFIER.fullmatch(text):
        raise _invalid(text, "64 hex digits name an image ID on a node, not an image in a registry")
    return Reference(repository, tag, digest)


def parse_repository(text: str) -> Repository:
    """Parse and normalise a repository name (a reference without tag and digest).

    Raises:
        InvalidReferenceError: it is outside the grammar, or has a tag or digest.
    """
    reference = parse_reference(text)
    if reference.tag is not None or reference.digest is not None:
        raise _invalid(text, "a repository has neither tag nor digest")
    return reference.repository


@lru_cache(MAX_CACHED_REGISTRIES)
def parse_registry(text: str) -> str:
    """Return `host[:port]` as references have it: lower case, without `:443`, Docker Hub as `docker.io`.

    The port of a host without a dot is kept: `registry/app` would be a repository of Docker Hub.

    Raises:
        InvalidReferenceError: the text is not a host.
    """
    matched = _REGISTRY.fullmatch(text) if len(text) <= MAX_REGISTRY_LENGTH else None
    if matched is None:
        raise _invalid_registry(text, "write host or host:port")
    host = _normalise_host(text, matched[1].lower())
    if matched[2] is not None:
        port = _parse_port(text, matched[2])
        if port != _HTTPS_PORT or not _names_registry(host):
            host = f"{host}:{port}"
    return DOCKER_HUB if host in _HUB_ALIASES else host


def _normalise_host(text: str, host: str) -> str:
    if host.startswith("["):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
        except ValueError as error:
            raise _invalid_registry(text, "the text in brackets is not an IPv6 address") from error
        if address.ipv4_mapped is not None:
            raise _invalid_registry(text, f"write the IPv4 address, {address.ipv4_mapped}")
        return f"[{address.compressed}]"
    # Resolvers also accept 127.1, 0177.0.0.1 and 0x7f000001 as addresses; a DNS name never ends in a number.
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            ipaddress.IPv4Address(host)
        except ValueError as error:
            raise _invalid_registry(text, "it resembles an IPv4 address; write it as in 192.0.2.1") from error
    return host


def _parse_port(text: str, digits: str) -> int:
    if digits.startswith("0") or len(digits) > len(str(_MAX_PORT)) or int(digits) > _MAX_PORT:
        raise _invalid_registry(text, f"a port is a number from 1 to {_MAX_PORT}, without leading zeros")
    return int(digits)


def _split_digest(text: str) -> tuple[str, Digest | None]:
    rest, separator, digest = text.partition("@")
    if not separator:
        return rest, None
    return rest, parse_digest(digest)


def _split_tag(rest: str, text: str) -> tuple[str, str | None]:
    head, slash, last = rest.rpartition("/")
    last, separator, tag = last.partition(":")
    if not separator:
        return rest, None
    if not _TAG.fullmatch(tag):
        raise _invalid(text, f"{quote_image(tag)} is not a tag")
    return head + slash + last, tag


def _parse_repository(rest: str, text: str) -> Repository:
    first, slash, path = rest.partition("/")
    if not slash or not _names_registry(first):
        first, path = DOCKER_HUB, rest
    registry = parse_registry(first)
    if not _names_registry(registry):
        raise _invalid(text, "a repository is lower case; a registry has a dot or a port")
    if registry == DOCKER_HUB and "/" not in path:
        if first not in _HUB_WITH_LIBRARY:
            raise _invalid(
                text, f"Docker Hub's own images are in library: write {DOCKER_HUB}/library/{quote_image(path)}"
            )
        path = f"library/{path}"
    if len(path) > MAX_PATH_LENGTH:
        raise _invalid(text, f"the repository is longer than {MAX_PATH_LENGTH} characters, its registry not counted")
    if not all(_COMPONENT.fullmatch(component) for component in path.split("/")):
        raise _invalid(text, "the repository must be lower-case letters, digits and single separators")
    return Repository(registry, path)


def _names_registry(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost" or first != first.lower()


def _invalid(text: str, why: str) -> InvalidReferenceError:
    return InvalidReferenceError(f"{quote_image(text)} is not an image reference: {why}")


def _invalid_registry(text: str, why: str) -> InvalidReferenceError:
    return InvalidReferenceError(f"{quote_image(text)} is not a registry: {why}")
