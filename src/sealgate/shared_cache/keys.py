"""The keys that seal the shared cache: read from the files of a Secret, and read again when it is rotated.

The *current* key seals what is written. What the *previous* key has sealed is still accepted. A replica that has not
seen a rotation yet and one that has therefore miss some of each other's values for as long as the kubelet takes to
update the files, and nothing else happens.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sealgate.shared_cache.sealing import MIN_SECRET_BYTES, SealingKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sealgate.clocks import Clock

#: Names of the files, and of the members of the Secret.
CURRENT: Final = "current"
PREVIOUS: Final = "previous"
#: Seconds between two readings of the files.
REREAD_SECONDS: Final = 5.0
#: Maximum bytes of a file.
_MAX_KEY_BYTES = 1 << 10

_Secrets = tuple[bytes, ...]


class KeyFiles:
    """The keys in one directory. Thread-safe.

    Args:
        directory: where the Secret is mounted. It may be empty or absent until the operator has made the Secret.
        binding: see `SealingKey`.
        clock: measures when the files are read again.
        on_change: called with the number of keys whenever they changed.
    """

    def __init__(
        self, directory: Path, binding: str, clock: Clock, on_change: Callable[[int], None] = lambda _: None
    ) -> None:
        self._directory = directory
        self._binding = binding
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._secrets: _Secrets = ()
        self._keys: tuple[SealingKey, ...] = ()
        self._read_at: float | None = None

    def keys(self) -> tuple[SealingKey, ...]:
        """Return the keys that are accepted, the current one first; empty while there is none."""
        now = self._clock.monotonic()
        with self._lock:
            if self._read_at is not None and now < self._read_at + REREAD_SECONDS:
                return self._keys
            self._read_at = now
            secrets = self._read()
            changed = secrets != self._secrets
            if changed:
                self._secrets = secrets
                self._keys = tuple(SealingKey(secret, self._binding) for secret in secrets)
            keys = self._keys
        if changed:
            self._on_change(len(keys))
        return keys

    def _read(self) -> _Secrets:
        """Return the keys in the files, without those that are absent or cannot be used."""
        current, previous = (self._read_file(self._directory / name) for name in (CURRENT, PREVIOUS))
        if current is None:
            # Without a current key nothing may be written, and what is only read is of no use for long.
            return ()
        return (current,) if previous is None or previous == current else (current, previous)

    @staticmethod
    def _read_file(path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                secret = file.read(_MAX_KEY_BYTES + 1)
        except OSError:
            return None
        return secret if MIN_SECRET_BYTES <= len(secret) <= _MAX_KEY_BYTES else None
