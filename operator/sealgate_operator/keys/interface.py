"""Sources of the keys that an authenticator names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.api.v1alpha1.status import KeyStatus


class KeySource(Protocol):
    """A kind of store of public keys, such as Secrets or a KMS."""

    def name(self, entry: KeyEntry) -> str | None:
        """Return the name of the entry's key in `status.keys[].source`; None if the entry is not of this kind."""

    def observe(self, entry: KeyEntry, known: Sequence[KeyStatus], now: datetime) -> tuple[KeyStatus, ...]:
        """Return the keys of an entry, at least one; refused ones have a reason and a message.

        Args:
            entry: key entry of the spec, for which `name` is not None.
            known: keys of the same name in the current status.
            now: the time, in UTC.
        """

    def refresh_after(self, entry: KeyEntry) -> float | None:
        """Return the seconds after which an entry must be observed again; None if the source is watched."""
