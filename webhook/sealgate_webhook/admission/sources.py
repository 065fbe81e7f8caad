"""Protocols of the sources of policies, namespaces and credentials, and of what verifies images.

`backends.files` implements them with files, `backends.cluster` with lists and watches of the API server. Every method
but `Namespaces.get` and those of `ImageVerifier` responds from memory; none of the others may wait for a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sealgate.verification.from_memory import NotInMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.api.v1alpha1.status import AuthenticatorStatus
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.policies.matching import Namespace
    from sealgate.references import Reference
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.verification.requests import VerificationRequest
    from sealgate.verification.tag_resolution import Resolved
    from sealgate_webhook.reviews.request import AdmissionRequest


class PolicySource(Protocol):
    """The policies in force."""

    def current(self) -> PolicySet | None:
        """Return the newest good set; None until there is one."""

    def problem(self) -> str:
        """Return a message that says why there is none yet; empty when there is one."""


@dataclass(frozen=True, slots=True)
class KnownAuthenticator:
    """A valid Authenticator of the cluster.

    Attributes:
        object: the object.
        status: what the operator wrote.
    """

    object: Authenticator
    status: AuthenticatorStatus


class ObjectSource(PolicySource, Protocol):
    """The policies in force, and the objects that they were made of."""

    def authenticator(self, name: str) -> KnownAuthenticator | None:
        """Return an Authenticator; None if there is none of that name, or it cannot be read."""


class Namespaces(Protocol):
    """Namespaces and their labels."""

    def get(self, name: str) -> Namespace:
        """Return a namespace with the labels it has now. May wait for the network if it is not in memory.

        Raises:
            UnavailableError: they are not known. A namespace without its labels could escape the policies that
                select it, so there is no guessing.
        """

    def cached(self, name: str) -> Namespace | None:
        """Return a namespace from memory; None if it would have to be requested."""


class ImageVerifier(Protocol):
    """Verifies images: a `Verifier`, or what answers from its caches alone."""

    def verify(self, images: Sequence[str], request: VerificationRequest) -> tuple[ImageVerdict, ...]:
        """Return a verdict for each image, in order; see `sealgate.verification.verifier.Verifier.verify`."""

    def resolve(self, references: Iterable[Reference], request: VerificationRequest) -> Mapping[Reference, Resolved]:
        """Return the digests that references name; see `sealgate.verification.verifier.Verifier.resolve`."""


class CachedNamespaces:
    """Namespaces from memory alone.

    Args:
        namespaces: all of them.
    """

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def get(self, name: str) -> Namespace:
        """Return a namespace from memory.

        Raises:
            NotInMemoryError: it would have to be requested.
        """
        known = self._namespaces.cached(name)
        if known is None:
            raise NotInMemoryError("the namespace would have to be requested")
        return known

    def cached(self, name: str) -> Namespace | None:
        """Return the same; None if it would have to be requested."""
        return self._namespaces.cached(name)


class CredentialSource(Protocol):
    """Credentials for the registries of a workload."""

    def provider(self, request: AdmissionRequest) -> CredentialProvider:
        """Return where a request's images get their credentials from."""


class SharedCredentials:
    """The same credentials for every workload.

    Args:
        credentials: credentials for all registries.
    """

    def __init__(self, credentials: CredentialProvider) -> None:
        self._credentials = credentials

    def provider(self, request: AdmissionRequest) -> CredentialProvider:  # noqa: ARG002 - the same for all of them
        """Return the one provider there is."""
        return self._credentials
