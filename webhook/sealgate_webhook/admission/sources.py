"""Protocols of the sources of policies, namespaces and credentials.

`backends.files` implements them with files, `backends.cluster` with lists and watches of the API server. Every method
responds from memory; none may wait for a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sealgate.policies.matching import Namespace
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.verification.policy_sets import PolicySet
    from sealgate_webhook.reviews.request import AdmissionRequest


class PolicySource(Protocol):
    """The policies in force."""

    def current(self) -> PolicySet | None:
        """Return the newest good set; None until there is one."""

    def problem(self) -> str:
        """Return a message that says why there is none yet; empty when there is one."""


class Namespaces(Protocol):
    """Namespaces and their labels."""

    def get(self, name: str) -> Namespace:
        """Return a namespace with the labels it has now.

        Raises:
            UnavailableError: they are not known. A namespace without its labels could escape the policies that
                select it, so there is no guessing.
        """


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
