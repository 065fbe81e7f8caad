"""What the fields of all providers of key management services have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import StringConstraints

from sealgate.api.v1alpha1.model import Model

if TYPE_CHECKING:
    from typing import Self

    from sealgate.api.v1alpha1.services import CredentialsSecret

#: Regions and projects become parts of host names and paths, so only characters of words are valid.
Region = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,62}[a-z0-9])?$", max_length=64)]
Endpoint = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#@\s]+/?$", max_length=512)]


class ProviderKey(Model, ABC):
    """A key in the key management service of one provider."""

    #: The fields that choose versions of the key; with others the key is the same.
    version_fields: ClassVar[frozenset[str]] = frozenset()

    @property
    @abstractmethod
    def name(self) -> str:
        """The key in one word: its ID and what it is unique in."""

    @property
    @abstractmethod
    def address(self) -> str | None:
        """The address of the service, if the spec sets it."""

    @property
    def url(self) -> str | None:
        """The address that is asked: that of the spec, or the default; None if only the provider's client knows it."""
        return self.address

    @property
    @abstractmethod
    def service(self) -> str:
        """The service that is asked for the key: its address, or its region."""

    def with_credentials(self, secret: CredentialsSecret) -> Self:
        """Return the same key, asked for with the credentials in a Secret."""
        return self.model_copy(update={"credentials_secret": secret})

    @property
    def versions(self) -> tuple[str, ...]:
        """The only versions of the key that are accepted; empty for every version."""
        return ()


class RegionalKey(ProviderKey):
    """A key in a service whose address follows from its region unless the spec sets another."""

    region: Region
    endpoint: Endpoint | None = None

    @property
    def address(self) -> str | None:
        """The endpoint, if it is set."""
        return self.endpoint

    @property
    def service(self) -> str:
        """Address or region."""
        return self.endpoint or self.region
