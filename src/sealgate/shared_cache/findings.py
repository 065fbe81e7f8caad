"""Encoding of findings and digests for the shared cache. Pure."""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple

from sealgate.errors import InvalidReferenceError
from sealgate.findings import Finding, Outcome, SeenSignature
from sealgate.reasons import Reason
from sealgate.references import Digest, Repository, parse_digest

#: The access of an answer as replicas compare it: each repository whose credentials were read, with a keyed hash of
#: the caller's credentials there. See `sealgate.registry.callers`.
SharedAccess = tuple[tuple[Repository, str], ...]


class SharedFinding(NamedTuple):
    """A finding and the credentials that it was obtained with."""

    finding: Finding
    access: SharedAccess


class SharedDigest(NamedTuple):
    """The digest of a tag and the credentials that it was obtained with."""

    digest: Digest
    access: SharedAccess


def encode_finding(finding: Finding, access: SharedAccess) -> bytes:
    """Return a finding as JSON.

    Raises:
        ValueError: its outcome is *unavailable*, which says nothing about the subject.
    """
    if finding.outcome is Outcome.UNAVAILABLE:
        raise ValueError("an unavailable finding must not be cached")
    signatures = [[each.source, each.reason, each.message, each.fingerprint] for each in finding.signatures]
    document = {
        "authenticator": finding.authenticator,
        "format": finding.format,
        "outcome": finding.outcome,
        "reason": finding.reason,
        "message": finding.message,
        "fingerprints": finding.fingerprints,
        "signatures": signatures,
        "validUntil": None if finding.valid_until is None else finding.valid_until.isoformat(),
        "access": _encode_access(access),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decode_finding(payload: bytes, authenticator: str) -> SharedFinding:
    """Return the finding that `encode_finding` wrote.

    Args:
        payload: a payload whose seal is intact.
        authenticator: the authenticator that the finding must be of.

    Raises:
        ValueError: it is not a finding of this authenticator that may be cached.
    """
    try:
        document = json.loads(payload)
        finding = Finding(
            document["authenticator"],
            document["format"],
            Outcome(document["outcome"]),
            Reason(document["reason"]),
            document["message"],
            tuple(document["fingerprints"]),
            tuple(
                SeenSignature(source, Reason(reason), message, fingerprint)
                for source, reason, message, fingerprint in document["signatures"]
            ),
            _decode_end(document["validUntil"]),
        )
        access = _decode_access(document["access"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a finding") from error
    verified = finding.outcome is Outcome.VERIFIED
    if finding.authenticator != authenticator or finding.outcome is Outcome.UNAVAILABLE:
        raise ValueError("not a finding of this authenticator that may be cached")
    if verified != bool(finding.fingerprints) or verified != (finding.reason is Reason.VERIFIED):
        raise ValueError("outcome, reason and fingerprints of the finding do not fit")
    return SharedFinding(finding, access)


def encode_digest(digest: Digest, access: SharedAccess) -> bytes:
    """Return the digest of a tag as JSON."""
    return json.dumps({"digest": digest, "access": _encode_access(access)}, separators=(",", ":")).encode()


def decode_digest(payload: bytes) -> SharedDigest:
    """Return the digest that `encode_digest` wrote.

    Raises:
        ValueError: it is not one.
    """
    try:
        document = json.loads(payload)
        return SharedDigest(parse_digest(document["digest"]), _decode_access(document["access"]))
    except (KeyError, TypeError, RecursionError, InvalidReferenceError) as error:
        raise ValueError("not the digest of a tag") from error


def _decode_end(text: str | None) -> datetime | None:
    if text is None:
        return None
    end = datetime.fromisoformat(text)
    if end.tzinfo is None:
        raise ValueError("the end of the finding has no time zone")
    return end


def _encode_access(access: SharedAccess) -> list[list[str]]:
    return [[repository.registry, repository.path, identity] for repository, identity in access]


def _decode_access(access: list[list[str]]) -> SharedAccess:
    return tuple((Repository(registry, path), identity) for registry, path, identity in access)
