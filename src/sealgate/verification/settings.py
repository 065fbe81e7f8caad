"""How long verdicts live, how much is asked of a registry, and how many at once: all limits in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VerifierSettings:
    """The limits of one verifier; the defaults suit one replica on two cores.

    Attributes:
        tag_seconds: how long a tag's digest is remembered.
        verified_seconds: how long a verified finding is remembered.
        refused_seconds: how long a refusal is remembered; short, so that an image signed just now is admitted soon.
        entries: how many findings, and how many tags, are remembered at most.
        verifications_per_minute: budget of verifications for each host that holds signatures.
        burst: how many of them may come at once after a quiet time.
        verification_seconds: the longest one verification may take. It goes on when the review that asked for it
            has been answered, so that the next review finds the result.
        host_concurrency: verifications and resolutions under way at once for one host.
        workers: the same for all hosts together.
        crowd: reviews that may wait for a host that has not answered for `patience_seconds`; all others, those that
            wait already included, are answered *unavailable*, so that one dead registry cannot keep every server
            thread.
        patience_seconds: see `crowd`.
    """

    tag_seconds: float = 30.0
    verified_seconds: float = 600.0
    refused_seconds: float = 30.0
    entries: int = 100_000
    verifications_per_minute: float = 300.0
    burst: int = 300
    verification_seconds: float = 30.0
    host_concurrency: int = 32
    workers: int = 256
    crowd: int = 64
    patience_seconds: float = 5.0
