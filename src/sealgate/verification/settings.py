"""Limits of the verifier: TTLs, budgets and concurrency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Bytes in a mebibyte.
MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class VerifierSettings:
    """Limits of one verifier; the defaults suit one replica on two cores.

    Attributes:
        tag_seconds: TTL of the digest of a tag; 0 caches none.
        stale_tag_seconds: how old the digest of a tag and a verified finding may be that are used while the registry of
            the image is unreachable; 0 uses none.
        verified_seconds: TTL of a verified finding; 0 caches none.
        refused_seconds: TTL of a refusal; short, so that an image that was just signed is admitted soon.
        cache_bytes: maximum memory of all caches together, as they estimate it. A quarter is for verdicts, the rest for
            findings, grants and the digests of tags.
        verifications_per_minute: budget of verifications for each host that holds signatures.
        burst: how many of them may come at once after a quiet time.
        verification_seconds: timeout of one verification. It runs on after the request that started it was answered,
            so that the next request finds the result in the cache.
        host_concurrency: verifications and tag resolutions that run for one host at the same time. This limit and the
            three following ones are shared by namespaces (`sealgate.verification.shares`).
        workers: the same for all hosts that respond together.
        silent_workers: the same for all hosts that have never responded, or not for `unresponsive_after`, together.
        silent_host_concurrency: the same for one of them.
        max_waiting: requests that can wait at the same time, as many as the server has threads for them. When an eighth
            of them is left, a namespace that has more than its share loses those that have waited longer than
            `unresponsive_after`.
        max_waiters: callers that may wait for hosts that have been silent for `unresponsive_after`. All others, also
            those that wait already, are answered *unavailable*, so that dead registries cannot hold every thread.
        unresponsive_after: seconds without a response after which a host counts as silent, and after which a registry
            counts as unreachable where a stale answer can stand in for its own.
    """

    tag_seconds: float = 30.0
    stale_tag_seconds: float = 0.0
    verified_seconds: float = 600.0
    refused_seconds: float = 30.0
    cache_bytes: int = 80 * MEBIBYTE
    verifications_per_minute: float = 300.0
    burst: int = 300
    verification_seconds: float = 30.0
    host_concurrency: int = 32
    workers: int = 64
    silent_workers: int = 32
    silent_host_concurrency: int = 8
    max_waiting: int = 64
    max_waiters: int = 64
    unresponsive_after: float = 5.0
