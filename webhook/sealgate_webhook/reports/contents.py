"""What a node may report for an image: the digest of its index, of a platform's manifest, or of a configuration.

Which of them `imageID` has depends on the container runtime. They are asked for only where a node reports another
digest than the one that was verified, with the credentials of the workload, at a rate of their own. Content is named by
its digest, so what was read once stays true. What cannot be read is not known, which is never a failure.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache, TTLCache

from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.errors import RateLimitedError, SealgateError
from sealgate.formats.simple_signing.platforms import read_platforms
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.parsing.evidence import object_member, parse_object, text_member
from sealgate.registry.interface import DOCKER_LIST, OCI_INDEX

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sealgate.clocks import Clock
    from sealgate.references import Digest, Reference
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.interface import Manifest, Registry
    from sealgate.verification.network import Network

#: Images that are read from a registry a minute, and at once; each takes a request for each of its platforms.
PER_MINUTE: Final = 10.0
BURST: Final = 10
#: Images whose contents are kept, at most 64 digests each, and images that could not be read.
MAX_KEPT: Final = 4000
#: Seconds after which an image that could not be read is asked for again.
RETRY_SECONDS: Final = 600.0


class ImageContents:
    """Reads the contents of images. Thread-safe.

    Args:
        network: registries.
        clock: measures the rate.
    """

    def __init__(self, network: Network, clock: Clock) -> None:
        self._network = network
        self._clock = clock
        self._budgets = Budgets(PER_MINUTE, BURST, clock)
        self._kept: LRUCache[Digest, frozenset[str]] = LRUCache(MAX_KEPT)
        # That one namespace's credentials or repository fail says nothing about those of another.
        self._failed: TTLCache[Hashable, None] = TTLCache(MAX_KEPT, RETRY_SECONDS, timer=clock.monotonic)
        self._lock = threading.Lock()

    def cached(self, subject: Digest) -> frozenset[str] | None:
        """Return the digests that a node may report for a subject; None if they are not known."""
        with self._lock:
            return self._kept.get(subject)

    def read(
        self,
        reference: Reference,
        subject: Digest,
        credentials: CredentialProvider,
        literal_hosts: frozenset[str],
        deadline: Deadline,
    ) -> None:
        """Read the contents of a subject, unless that was tried a moment ago or the rate does not permit it now.

        Args:
            reference: names its repository.
            subject: the digest that was verified.
            credentials: those of the workloads that use it.
            literal_hosts: hosts that a policy or authenticator names literally.
            deadline: for all requests together.
        """
        tried = (reference.repository, subject, credentials.source)
        with self._lock:
            if subject in self._kept or tried in self._failed:
                return
        try:
            self._budgets.reserve(reference.repository.registry, Deadline.after(self._clock, 0))
        except RateLimitedError:
            return
        try:
            registry = self._network.session(credentials, deadline, literal_hosts)
            found = frozenset(_contents(registry, reference, subject))
        except SealgateError:
            with self._lock:
                self._failed[tried] = None
            return
        with self._lock:
            self._kept[subject] = found


def _contents(registry: Registry, reference: Reference, subject: Digest) -> list[str]:
    """Return the digests of all that an image consists of, but its layers."""
    manifest = registry.manifest(reference.repository, subject)
    if manifest.media_type not in (OCI_INDEX, DOCKER_LIST):
        return [_config(manifest)]
    found: list[str] = []
    for platform in read_platforms(manifest):
        found += (platform.digest, _config(registry.manifest(reference.repository, platform.digest)))
    return found


def _config(manifest: Manifest) -> str:
    what = "the manifest of a platform"
    body = parse_object(manifest.body, what, limit=MAX_RESPONSE_BYTES)
    return text_member(object_member(body, "config", what), "digest", what)
