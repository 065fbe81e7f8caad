"""Limits of the verifier: TTLs, budgets and concurrency."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VerifierSettings:
    """Limits of one verifier; the defaults suit one replica on two cores.

    Attributes:
        tag_seconds: TTL of the digest of a tag; 0 caches none.
        verified_seconds: TTL of a verified finding; 0 caches none.
        refused_seconds: TTL of a refusal; short, so that an image that was just signed is admitted soon.
        entries: maximum number of findings, and of tags, in the cache.
        verifications_per_minute: budget of verifications for each host that holds signatures.
        burst: how many of them may come at once after a quiet time.
        verification_seconds: timeout of one verification. It runs on after the request that started it was answered,
            so that the next request finds the result in the cache.
        host_concurrency: verifications and tag resolutions that may run for one host at the same time.
        workers: the same for all hosts together.
        max_waiters: callers that may wait for a host that has been silent for `unresponsive_after`. All others, also
            those that wait already, are answered *unavailable*, so that one dead registry cannot hold every thread.
        unresponsive_after: seconds without a response after which a host counts as silent.
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
    max_waiters: int = 64
    unresponsive_after: float = 5.0
