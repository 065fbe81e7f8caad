"""The key of `--without-key`: found among the keys that Authenticators accept, and taken out of verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import ConfigError, SealgateError
from sealgate.messages import name_accepted, quote
from sealgate.policies.lost_keys import without_keys

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.policies.decisions import ImageVerdict
    from sealgate.verification.policy_sets import PolicySet

#: A format in which the repository's owner chooses signers and thresholds, so that all of them may be needed.
_WITH_ROLES = "notary"


@dataclass(frozen=True, slots=True)
class LostKey:
    """A key that is taken away.

    Attributes:
        fingerprint: as findings have it, or of the primary key of an OpenPGP certificate.
        keys: fingerprints of all keys that go with it.
        whole: authenticators that are not met without one of the keys that took part.
    """

    fingerprint: str
    keys: frozenset[str]
    whole: frozenset[str]

    @classmethod
    def find(cls, text: str, policies: PolicySet, now: datetime) -> LostKey:
        """Return the key that a fingerprint names.

        Args:
            text: the fingerprint as written; case and white space of an OpenPGP fingerprint do not matter.
            policies: the policies whose authenticators accept it.
            now: the time at which keys must be valid.

        Raises:
            ConfigError: no authenticator accepts such a key. A typing error must not look like a key that is not used.
        """
        text = "".join(text.split())
        fingerprint = text.lower() if ":" in text else text.upper().removeprefix("0X")
        checks = {name: check for name, check in policies.checks.items() if not isinstance(check, SealgateError)}
        named = [check.keys_at(now) for check in checks.values()]
        known = {key.fingerprint: key.certificate for keys in named if keys is not None for key in keys}
        found = {key for key, certificate in known.items() if fingerprint in (key, certificate)}
        if not found and None not in named:
            raise ConfigError(
                f"no Authenticator accepts a key with the fingerprint {quote(fingerprint, 80)}{name_accepted(known)}; "
                "sealgate key show FILE prints that of a key"
            )
        whole = frozenset(name for name, check in checks.items() if check.format == _WITH_ROLES)
        return cls(fingerprint, frozenset(found | {fingerprint}), whole)

    def take(self, verdict: ImageVerdict) -> ImageVerdict:
        """Return a verdict without the key; the same one if nothing would stop passing."""
        return without_keys(verdict, self.keys, self.whole)
