"""Pushes as events report them, and events that report none; pure.

A push names a tag in the registry of its source. What an event says about another host is foreign, and what names a
signature, attestation or SBOM is ignored: the endpoint must not cause a signature of a signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sealgate.errors import InvalidReferenceError
from sealgate.messages import quote
from sealgate.parsing.strict_json import malformed
from sealgate.policies.signing import is_attached
from sealgate.references import parse_reference, parse_registry


class Ignored(StrEnum):
    """Why an event causes no signing request; values of a metric's label."""

    NOT_A_PUSH = "not_a_push"
    NOT_A_MANIFEST = "not_a_manifest"
    NO_TAG = "no_tag"
    SIGNATURE = "signature"
    FOREIGN_HOST = "foreign_host"
    UNREADABLE = "unreadable"
    NOT_COVERED = "not_covered"
    LEFT_TO_RESYNC = "left_to_resync"


class IgnoredEventError(Exception):
    """An event is dropped, the others of its body are not.

    Args:
        reason: why.
        problem: what is wrong with it, foreign text quoted; empty for what registries send every day.
    """

    def __init__(self, reason: Ignored, problem: str = "") -> None:
        super().__init__(problem or reason.value)
        self.reason = reason
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Push:
    """A tag that was pushed, as its source says.

    Attributes:
        repository: normalised name, `registry/path`.
        tag: the tag.
        digest: what it named then, `sha256:<hex>`.
    """

    repository: str
    tag: str
    digest: str


def make_push(registry: str, path: str, tag: str | None, digest: str) -> Push:
    """Return the push of a tag.

    Args:
        registry: of the source, normalised.
        path: the repository inside the registry.
        tag: as the event has it; None or empty for a push by digest, which some registries write as a tag.
        digest: as the event has it.

    Raises:
        IgnoredEventError: there is no tag, or it is that of a signature.
        MalformedError: repository, tag or digest is outside the grammar of references.
    """
    if not tag or tag == digest:
        raise IgnoredEventError(Ignored.NO_TAG)
    if is_attached(tag):
        raise IgnoredEventError(Ignored.SIGNATURE)
    try:
        reference = parse_reference(f"{registry}/{path}:{tag}@{digest}")
    except InvalidReferenceError as error:
        raise malformed("the event", error.message) from error
    if reference.tag != tag or reference.repository.registry != registry:
        raise malformed("the event", f"{quote(path)} with the tag {quote(tag)} is not a repository and its tag")
    return Push(reference.name, tag, digest)


def require_host(named: str, registry: str) -> None:
    """Require that a host is the registry that the source speaks for.

    Args:
        named: `host[:port]` as the event has it.
        registry: of the source, normalised.

    Raises:
        IgnoredEventError: it is another host, or not a host.
    """
    try:
        same = parse_registry(named) == registry
    except InvalidReferenceError:
        same = False
    if not same:
        problem = f"it names the host {quote(named)}, and its source speaks for {registry} only"
        raise IgnoredEventError(Ignored.FOREIGN_HOST, problem)
