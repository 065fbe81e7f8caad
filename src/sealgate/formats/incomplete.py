"""An authenticator that works although some of its keys cannot be used.

Signatures by the usable keys are verified as always. Any other image may be signed by a missing key: it is refused if
every missing key is known to be refused, and unavailable if one of them has not been read yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import KeyRefusedError, UnavailableError, VerificationError
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.findings import Verified
    from sealgate.formats.interface import Check, CheckKey, Image, Sources


@dataclass(frozen=True, slots=True)
class IncompleteCheck:
    """A check without some of its keys. Immutable, thread-safe.

    Attributes:
        check: with the keys that can be used; its `content` is that of these keys.
        missing: why the others cannot.
    """

    check: Check
    missing: tuple[UnavailableError, ...]

    @property
    def format(self) -> str:
        """The format's field name."""
        return self.check.format

    @property
    def content(self) -> str:
        """See `sealgate.formats.interface.Check`."""
        return self.check.content

    @property
    def depends_on_tag(self) -> bool:
        """See `sealgate.formats.interface.Check`."""
        return self.check.depends_on_tag

    @property
    def named_hosts(self) -> frozenset[str]:
        """The registries that the authenticator names literally."""
        return self.check.named_hosts

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...] | None:
        """Return the keys that can be used; see `sealgate.formats.interface.Check`."""
        return self.check.keys_at(now)

    def budget_host(self, image: Image) -> str:
        """Return the host whose budget one verification of that image is charged to."""
        return self.check.budget_host(image)

    def verify(self, image: Image, sources: Sources) -> Verified:
        """Verify the image's signatures with the keys that can be used.

        Raises:
            VerificationError: there is no signature, or none by a usable key and the missing keys are refused.
            UnavailableError: none by a usable key and a missing key has not been read yet; or nothing could be fetched.
        """
        try:
            return self.check.verify(image, sources)
        except VerificationError as error:
            if error.reason in {Reason.NO_SIGNATURE, Reason.NO_ATTESTATION} and not error.signatures:
                raise  # there is nothing that any key could have made
            message = f"{error.message}; {_explain(self.missing)}"
            if all(isinstance(why, KeyRefusedError) for why in self.missing):
                raise VerificationError(message, reason=error.reason, signatures=error.signatures) from error
            raise UnavailableError(message, reason=Reason.AUTHENTICATOR_NOT_READY) from error


def _explain(missing: tuple[UnavailableError, ...]) -> str:
    """Return why keys cannot be used, in words: the first one's reason, and how many there are more."""
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    return f"a key that is accepted too cannot be used now: {missing[0].message}{more}"
