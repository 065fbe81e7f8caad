"""Signing keys in key management services.

    keys = KMSSigningKeys(network, secrets, clock, budgets)
    key = keys.open(entry, deadline)
    signature = sign_verified(key, message, deadline)

The private key never leaves its service. The public half comes from the same requests as for verification, so a key
that verification would refuse (disabled, of another usage, too weak, not fitting its algorithm) signs nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.errors import DeadlineError, RateLimitedError, SigningError, UnauthorizedError, UnavailableError
from sealgate.keys.public_keys import load_public_key
from sealgate.kms.budgeted_services import BudgetedServices
from sealgate.kms.credentials import Identities, KMSCredentials
from sealgate.kms.interface import SigningService, SigningTask
from sealgate.kms.providers import alibaba, aws, azure, google, huawei, oracle, vault
from sealgate.kms.resolve import resolve_kms
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.api.v1alpha1.kms import KMSSource
    from sealgate.api.v1alpha1.status import KeyStatus
    from sealgate.budgets import Budgets
    from sealgate.clocks import Clock, Deadline
    from sealgate.http.interface import ServiceSource
    from sealgate.keys.public_keys import PublicKey
    from sealgate.service_secrets import ServiceSecrets

#: How the keys of each provider sign, by its field in `KMSSource`.
SIGNING_SERVICES: Mapping[str, SigningService] = {
    "huawei": huawei.SIGNING,
    "alibaba": alibaba.SIGNING,
    "oracle": oracle.SIGNING,
    "aws": aws.SIGNING,
    "google": google.SIGNING,
    "azure": azure.SIGNING,
    "vault": vault.SIGNING,
}
#: The most versions that a message names.
_MAX_NAMED_VERSIONS = 5


@dataclass(frozen=True, slots=True)
class KMSSigningKeys:
    """Opens signing keys in key management services. Thread-safe.

    Attributes:
        network: client for the services.
        secrets: source of the credentials.
        clock: the time, which requests are signed with.
        budgets: of the services; all keys of a process share one set.
        identities: of the process; none by default.
    """

    network: ServiceSource
    secrets: ServiceSecrets
    clock: Clock
    budgets: Budgets
    identities: Identities = field(default_factory=Identities)

    @property
    def credentials(self) -> KMSCredentials:
        """The Secrets and the identities."""
        return KMSCredentials(self.secrets, self.identities)

    def open(self, entry: KeyEntry, deadline: Deadline) -> KMSSigningKey:
        """Read the public half of a key, and return the key ready to sign.

        Args:
            entry: with `kms`, which must name exactly one version of the key, and the algorithm of signatures.
            deadline: when all of it must be over.

        Raises:
            SigningError: the key must not or cannot sign: it is not enabled, made for something else, has several
                versions, or its service does not sign with the algorithm.
            UnavailableError: the service or the credentials are not there (and its subclasses).
        """
        assert entry.kms is not None  # noqa: S101 - callers pass no other entries
        service = SIGNING_SERVICES[entry.kms.provider]
        with _explaining(_name(entry.kms, ""), service):
            found = resolve_kms(entry, self.credentials, self.services(deadline), self.clock)
        public = _only_version(entry, found)
        return KMSSigningKey(public, _name(entry.kms, public.version), _algorithm(public, service), entry.kms, self)

    def services(self, deadline: Deadline) -> BudgetedServices:
        """Return requests to services, charged to their budgets, all of which must be over by one deadline."""
        return BudgetedServices(self.network.services(deadline), self.budgets, deadline)


@dataclass(frozen=True, slots=True)
class KMSSigningKey:
    """One version of a key in a key management service; a `SigningKey`. Thread-safe.

    Attributes:
        public: the public half, with algorithm and version.
        name: the key as users write it ("alibaba:cn-hongkong/key-1/version-1").
        algorithm: the service's name of the algorithm.
        source: which key, and how its service is reached.
        keys: asks the service.
    """

    public: PublicKey
    name: str
    algorithm: str
    source: KMSSource
    keys: KMSSigningKeys = field(repr=False)

    def sign(self, message: bytes, deadline: Deadline) -> bytes:
        """Have the service sign a message; see `SigningKey.sign`. The signature is not verified here.

        Raises:
            UnavailableError: the service refused, or did not respond (and its subclasses).
        """
        service, keys = SIGNING_SERVICES[self.source.provider], self.keys
        task = SigningTask(self.public.version, self.algorithm, message, self.public.digest(message))
        with _explaining(self.name, service):
            return service.sign(self.source.of, task, keys.credentials, keys.services(deadline), keys.clock)


def _name(source: KMSSource, version: str) -> str:
    key = f"{source.provider}:{source.of.name}"
    return f"{key}/{version}" if version else key


def _only_version(entry: KeyEntry, found: Sequence[KeyStatus]) -> PublicKey:
    """Return the one version that signs: with several, the choice would be sealgate's and not the user's."""
    assert entry.kms is not None  # noqa: S101 - as above
    name = quote(_name(entry.kms, ""))
    if len(found) > 1:
        versions = ", ".join(quote(status.key_version, 255) for status in found[:_MAX_NAMED_VERSIONS])
        more = ", ..." if len(found) > _MAX_NAMED_VERSIONS else ""
        raise SigningError(f"{name} has several versions; name the one that signs after a slash: {versions}{more}")
    (status,) = found
    if status.pem is None:
        raise SigningError(f"{name} cannot sign: {status.message}")
    return load_public_key(status.pem, entry.algorithm, entry.distinguishing_id).of_version(status.key_version or "")


def _algorithm(key: PublicKey, service: SigningService) -> str:
    known = service.algorithms_of(key)
    if key.algorithm not in known:
        msg = f"the service signs nothing with this {key.kind} key and {key.algorithm}; it can have {', '.join(known)}"
        raise SigningError(msg)
    return known[key.algorithm]


@contextmanager
def _explaining(name: str, service: SigningService) -> Iterator[None]:
    """Add to errors of a service which key they are about, and the rights that may be missing."""
    try:
        yield
    except (DeadlineError, RateLimitedError):
        raise  # about the service as a whole
    except UnavailableError as error:
        needs = f"; signing needs {service.rights}" if isinstance(error, UnauthorizedError) else ""
        raise type(error)(f"{quote(name, 600)}: {error.message}{needs}", reason=error.reason) from error
