"""The interface between key management services and everything else.

One module here speaks to one provider: it has a function `fetch` that asks the service for a key and says what it
found, and has a line in `PROVIDERS` of `sealgate.kms.resolve`. What a found key is worth (whether it parses, is
strong enough, fits its algorithm) is judged there, the same for all. If its keys sign,
its `SIGNING` says how, and has a line in `SIGNING_SERVICES` of `sealgate.kms.signing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.http.interface import Services
    from sealgate.keys.algorithms import Algorithm
    from sealgate.keys.public_keys import PublicKey
    from sealgate.kms.credentials import KMSCredentials

#: The most versions of one key that are read.
MAX_VERSIONS = 64

S_contra = TypeVar("S_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class KMSKey:
    """One version of a key, as its service describes it. Without a PEM it is refused.

    Attributes:
        version: the version's id; empty where keys have none.
        state: the service's own word for the state it is in ("ENABLED").
        pem: the public key.
        kind: what the service says the key is, in the words of `PublicKey.kind` ("ECDSA P-256").
        algorithm: the only algorithm that the service signs with; None where it has a choice.
        reason: why it is refused, one word for machines ("Disabled"); empty if it is not.
        message: the same for a person, with what to do.
    """

    version: str
    state: str
    pem: str | None = None
    kind: str = ""
    algorithm: Algorithm | None = None
    reason: str = ""
    message: str = ""


class Fetch(Protocol[S_contra]):
    """How one provider is asked."""

    def __call__(
        self, source: S_contra, secrets: KMSCredentials, services: Services, clock: Clock
    ) -> tuple[KMSKey, ...]:
        """Ask for a key.

        Only versions that are enabled and made for signing, of a kind that is supported, come with a PEM; the others
        say why not. A key that is not there at all is one refused version.

        Args:
            source: which key.
            secrets: where the credentials are; a provider that needs Secrets only may take a `ServiceSecrets`.
            services: how the service is asked, and until when.
            clock: the time, which requests are signed with.

        Raises:
            UnavailableError: nothing could be found out: the service, the credentials or the Secret is not there.
        """


@dataclass(frozen=True, slots=True)
class SigningTask:
    """A message that one version of a key is to sign.

    Attributes:
        version: the version's id; empty where keys have none.
        algorithm: the service's own name of the algorithm ("SM2DSA_SM3").
        message: the exact bytes.
        digest: what the algorithm signs: the message's hash; of SM2 SM3(Z || message).
    """

    version: str
    algorithm: str
    message: bytes
    digest: bytes


class Sign(Protocol[S_contra]):
    """How one provider is asked for a signature."""

    def __call__(
        self, source: S_contra, task: SigningTask, secrets: KMSCredentials, services: Services, clock: Clock
    ) -> bytes:
        """Ask for a signature, and return it as `PublicKey.verify` takes it; the caller verifies it.

        Args:
            source: which key.
            task: what is to be signed, and how.
            secrets: where the credentials are.
            services: how the service is asked, and until when.
            clock: the time, which requests are signed with.

        Raises:
            UnavailableError: the service refused to sign, or did not respond; or its response is about another key.
        """


@dataclass(frozen=True, slots=True)
class SigningService:
    """How the keys of one provider sign.

    Attributes:
        sign: asks for a signature.
        algorithms: the algorithms that images are signed with, each with the service's name of it, by the kind of key
            ("ECDSA P-256") or its first word ("RSA").
        rights: what the credentials must be allowed to do, for messages.
    """

    sign: Sign[Any]
    algorithms: Mapping[str, Mapping[Algorithm, str]]
    rights: str

    def algorithms_of(self, key: PublicKey) -> Mapping[Algorithm, str]:
        """Return the algorithms that a key can sign with; empty if it cannot sign images."""
        return self.algorithms.get(key.kind) or self.algorithms.get(key.kind.split()[0], {})


def refused(version: str, state: str, reason: str, message: str) -> tuple[KMSKey, ...]:
    """Return the one refused version that represents a key without usable ones; see `KMSKey`."""
    return (KMSKey(version, state, reason=reason, message=message),)
