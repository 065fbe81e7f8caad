"""What to say about a signature that an accepted key made with another algorithm than the policy's.

Signers differ in the hash that they use (older cosign: SHA-256 for every curve), and the policy fixes one. Such a
signature is refused, and stays refused: what is found out here is text for the refusal and nothing else. The text is
made in the expression that raises the refusal, when the outcome and its reason are settled.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sealgate.keys.public_keys import PublicKey

#: The most candidates that are tried for one refusal, and the most signature checks for all of them.
MAX_CANDIDATES = 4
MAX_TRIALS = 32


class StrangerError(VerificationError):
    """None of the accepted keys made a signature with its algorithm.

    Attributes:
        keys: the keys that were tried.
        signature: decoded.
        signed: the exact bytes that it should be over.
    """

    reason = Reason.INVALID_SIGNATURE

    def __init__(
        self,
        message: str,
        keys: Sequence[PublicKey],
        signature: bytes,
        signed: bytes,
        *,
        reason: Reason | None = None,
    ) -> None:
        super().__init__(message, reason=reason)
        self.keys = tuple(keys)
        self.signature = signature
        self.signed = signed


@dataclass(slots=True)
class HashTrials:
    """Candidates that no accepted key made, kept until it is known whether a refusal has to be explained."""

    _candidates: list[tuple[Sequence[PublicKey], bytes, bytes]] = field(default_factory=list)

    def keep(self, keys: Sequence[PublicKey], signature: bytes, signed: bytes) -> None:
        """Keep a candidate; only the first few are.

        Args:
            keys: the accepted keys.
            signature: decoded.
            signed: the exact bytes that it should be over.
        """
        if len(self._candidates) < MAX_CANDIDATES:
            self._candidates.append((keys, signature, signed))

    def hint(self) -> str:
        """Return what to add to the message of a refusal: which key made a candidate, and how; empty if none did."""
        for _, (key, signature, signed) in zip(range(MAX_TRIALS), self._trials(), strict=False):
            with suppress(VerificationError):
                key.verify(signature, signed)
                return (
                    f"; it was made with the accepted {key.kind} key {key.fingerprint}, but with {key.algorithm}: set "
                    f"algorithm: {key.algorithm} if that is how it signs"
                )
        return ""

    def _trials(self) -> Iterator[tuple[PublicKey, bytes, bytes]]:
        for keys, signature, signed in self._candidates:
            for key in keys:
                for algorithm in key.other_algorithms:
                    yield key.with_algorithm(algorithm), signature, signed
