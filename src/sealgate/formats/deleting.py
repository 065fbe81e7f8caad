"""The interface between deleting and formats: how one format removes a stored signature.

A listing gives a `Removal` to every signature that it read for an image, so that only what was listed for exactly that
image can be deleted. A removal changes nothing that another signature needs. It looks at the store again when it runs:
what changed since the listing is kept, and what is gone already is no error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sealgate.formats.interface import Image
    from sealgate.formats.signing import SigningContext


class Removal(Protocol):
    """What is removed from a store so that a signature is no longer there. Immutable, thread-safe."""

    @property
    def name(self) -> str:
        """Name of it, with its store: the same for signatures that are stored as one and can only go together.

        It does not depend on what else is stored, so that the IDs of signatures are stable.
        """

    @property
    def lock_name(self) -> str:
        """Name of what only one writer may change at a time, as `Signer.lock_name` has it; empty for none."""

    def check(self) -> None:
        """Check, before anything is deleted, that the store is one that signatures can be deleted from.

        Raises:
            SigningError: it is not; the message says what to do instead.
        """

    def remove(self, image: Image, context: SigningContext) -> bool:
        """Remove it from the store.

        Args:
            image: the image that it was listed for.
            context: reads and writes.

        Returns:
            Whether a writer elsewhere that read the store before may store it again, so that it is checked once more
            some seconds later.

        Raises:
            SigningError: the store refuses it, or holds something that must not be changed.
            VerificationError: what is stored cannot be read.
            UnavailableError: the store could not be asked (and its subclasses).
        """
