"""Single flight across replicas: the replica that holds the lease for a piece of work does it, the others wait for it.

A lease has an owner and ends by itself, `LEASE_SECONDS` after it was taken, even if its owner has died. No replica
waits for longer than that: one whose wait is over does the work itself, without a lease. Work that takes longer is done
more than once, and that is all.
"""

from __future__ import annotations

from contextlib import contextmanager
from secrets import token_bytes
from typing import TYPE_CHECKING, Final, TypeVar

from sealgate.shared_cache.sealing import MAX_VALUE_BYTES
from sealgate.shared_cache.store import Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sealgate.clocks import Clock
    from sealgate.shared_cache.observers import SharedCacheObserver
    from sealgate.shared_cache.sealing import Part
    from sealgate.shared_cache.store import SealedStore

T = TypeVar("T")

#: Seconds for which a lease is held at most, and a replica waits at most.
LEASE_SECONDS: Final = 2.0
#: Seconds between two looks at the work of another replica: at first, and at most.
MIN_POLL_SECONDS: Final = 0.01
MAX_POLL_SECONDS: Final = 0.1

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class _Lease:
    """A lease that this replica holds."""

    def __init__(self, slot: Slot, value: bytes) -> None:
        self.slot = slot
        self.value = value


class SharedFlights:
    """The pieces of work that some replica does now. Thread-safe.

    Args:
        store: holds the leases.
        clock: measures the waits.
        observer: counts leases.
    """

    def __init__(self, store: SealedStore, clock: Clock, observer: SharedCacheObserver) -> None:
        self._store = store
        self._clock = clock
        self._observer = observer

    @contextmanager
    def lead(self, parts: Sequence[Part], find: Callable[[], T | None]) -> Iterator[T | None]:
        """Look for a result; without one take the lease, or wait while another replica holds it.

        Within the context the caller uses the result, or does the work and stores its result.

        Args:
            parts: what the work is about.
            find: returns the result from the shared cache; None if it is not there.

        Returns:
            A context manager whose value is the result, or None if the caller is to do the work.
        """
        found, lease = find(), None
        if found is None:
            found, lease = self._take_or_wait(parts, find)
        try:
            yield found
        finally:
            if lease is not None:
                self._release(lease)

    def _take_or_wait(self, parts: Sequence[Part], find: Callable[[], T | None]) -> tuple[T | None, _Lease | None]:
        until = self._clock.monotonic() + LEASE_SECONDS
        pause = MIN_POLL_SECONDS
        while True:
            lease, busy = self._take(parts)
            # The former owner may have stored its result since the last look.
            found = find() if busy or lease is not None else None
            if found is not None or not busy or self._clock.monotonic() >= until:
                return found, lease
            self._clock.sleep(pause)
            pause = min(2 * pause, MAX_POLL_SECONDS)

    def _take(self, parts: Sequence[Part]) -> tuple[_Lease | None, bool]:
        """Return the lease if it could be taken, and whether another replica holds it."""
        keys = self._store.keys
        if not keys:
            return None, False
        slot = Slot(keys[0], keys[0].name("lease", parts))
        value = slot.key.seal(slot.name, token_bytes(16), self._store.now + LEASE_SECONDS)
        responses = self._store.exchange(
            "lease",
            [
                ("SET", slot.name, value, "NX", "PX", int(LEASE_SECONDS * 1000)),
                ("GETRANGE", slot.name, 0, MAX_VALUE_BYTES),
            ],
        )
        if responses is None:
            return None, False
        self._observer.shared_cache_used("lease", "done")
        if responses[1] == value:
            return _Lease(slot, value), False
        # A value that is not a lease of the present stops no replica.
        return None, self._store.open("lease", slot, responses[1]) is not None

    def _release(self, lease: _Lease) -> None:
        self._store.exchange("lease", [("EVAL", _RELEASE, 1, lease.slot.name, lease.value)])
