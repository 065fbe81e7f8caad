"""Names in registries: repositories, tags and digests, checked before they go into a URL."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from sealgate.errors import InvalidReferenceError
from sealgate.messages import quote
from sealgate.references import Digest, parse_digest, parse_repository

if TYPE_CHECKING:
    from sealgate.references import Repository

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@lru_cache(4096)
def check_repository(repository: Repository) -> None:
    """Check that a repository is normalised; its parts are put into URLs.

    Raises:
        InvalidReferenceError: it is not.
    """
    if parse_repository(repository.name) != repository:
        raise InvalidReferenceError(f"{quote(repository.name)} is not a repository in normalised form")


def as_digest(reference: str) -> Digest | None:
    """Return a reference that is a digest; None for a tag.

    Raises:
        InvalidReferenceError: it is neither.
    """
    if ":" in reference:
        return parse_digest(reference)
    if not _TAG.fullmatch(reference):
        raise InvalidReferenceError(f"{quote(reference)} is neither a tag nor a digest")
    return None


def manifest_name(repository: Repository, reference: str) -> str:
    """Return the name of a manifest for messages.

    Args:
        repository: the repository, with the host that is asked.
        reference: tag or digest.
    """
    separator = "@" if ":" in reference else ":"
    return f"the manifest {quote(repository.path)}{separator}{quote(reference)}"


def digest_of(body: bytes) -> Digest:
    """Return the digest of bytes (`sha256:<hex>`)."""
    return Digest("sha256:" + hashlib.sha256(body).hexdigest())


def referrers_tag(digest: Digest) -> str:
    """Return the tag whose index lists the referrers of a digest, in registries without the referrers API.

    See the OCI distribution specification, "Referrers Tag Schema"; digests here are short enough to need no cut.
    """
    return digest.replace(":", "-")
