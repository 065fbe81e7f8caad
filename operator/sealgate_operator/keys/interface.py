"""Sources of the keys that an authenticator names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.api.v1alpha1.status import KeyStatus


class KeySource(Protocol):
    """A kind of place in which public keys are kept, such as a KMS."""

    def name(self, entry: KeyEntry) -> str | None:
        """Return what `status.keys[].source` calls the entry's place; None if the entry is not of this kind."""

    def observe(self, entry: KeyEntry, known: Sequence[KeyStatus], now: datetime) -> tuple[KeyStatus, ...]:
        """Return the keys at the entry's place, at least one, refused ones with reason and message.

        Args:
            entry: what the spec says.
            known: what the status says about this place.
            now: the time.
        """

    def refresh_after(self, entry: KeyEntry) -> float | None:
        """Return the seconds after which an entry that was observed must be again; None where changes are seen."""
