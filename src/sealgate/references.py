r"""What a pod names: `registry/repository[:tag][@digest]`, in its one normalised form.

The grammar is docker's (`distribution/reference`), as kubelets read it:

- the first component is a registry when it holds a `.` or a `:`, is `localhost`, or has an upper-case letter;
  otherwise the registry is `docker.io`, and a single component there means `library/<name>`;
- repository components are lower case, joined by `/`, separated inside by `.`, `_`, `__` or dashes;
- a tag is `[\w][\w.-]{0,127}`; a digest is `sha256:` and 64 lower-case hex digits.

What may be written in several ways is folded, so that no pattern can be walked around by spelling: the registry
in lower case, `index.docker.io` and `registry-1.docker.io` as `docker.io`, the port `:443` left out. Everything
outside the grammar (a trailing dot, white space, percent signs, letters outside ASCII) is refused, not repaired.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, NewType

from sealgate.errors import InvalidReferenceError
from sealgate.messages import quote

#: A digest in its only accepted form: `sha256:` and 64 lower-case hex digits.
Digest = NewType("Digest", str)

DOCKER_HUB = "docker.io"
MAX_NAME_LENGTH = 255

_HUB_ALIASES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_LABEL = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:.]+\])(?::[0-9]{{1,5}})?")
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
        msg = f"{quote(text)} is not a digest: write sha256: and 64 lower-case hex digits"
        raise InvalidReferenceError(msg)
    return Digest(text)


def parse_reference(text: str) -> Reference:
    """Parse and normalise an image reference.

    Raises:
        InvalidReferenceError: it is outside the grammar.
    """
    rest, digest = _split_digest(text)
    rest, tag = _split_tag(rest, text)
    repository = _parse_repository(rest, text)
    if tag is None and digest is None and _IDENTIFIER.fullmatch(text):
        raise _invalid(text, "64 hex digits name an image id on a node, not an image in a registry")
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


def parse_registry(text: str) -> str:
    """Return `host[:port]` as references have it: lower case, without `:443`, Docker Hub as `docker.io`.

    Raises:
        InvalidReferenceError: it is no host.
    """
    if not _REGISTRY.fullmatch(text) or len(text) > MAX_NAME_LENGTH:
        raise _invalid(text, "not a registry: write host or host:port")
    registry = text.lower().removesuffix(":443")
    return DOCKER_HUB if registry in _HUB_ALIASES else registry


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
        raise _invalid(text, f"{quote(tag)} is not a tag")
    return head + slash + last, tag


def _parse_repository(rest: str, text: str) -> Repository:
    first, slash, path = rest.partition("/")
    if not slash or not _names_registry(first):
        registry, path = DOCKER_HUB, rest
    else:
        registry = parse_registry(first)
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    if len(registry) + 1 + len(path) > MAX_NAME_LENGTH:
        raise _invalid(text, f"the name is longer than {MAX_NAME_LENGTH} characters")
    if not all(_COMPONENT.fullmatch(component) for component in path.split("/")):
        raise _invalid(text, "the repository must be lower-case letters, digits and single separators")
    return Repository(registry, path)


def _names_registry(first: str) -> bool:
    return any(c in first for c in ".:[") or first == "localhost" or first != first.lower()


def _invalid(text: str, why: str) -> InvalidReferenceError:
    return InvalidReferenceError(f"{quote(text)} is not an image reference: {why}")
