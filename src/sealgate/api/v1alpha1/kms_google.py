"""The fields of a key in Google Cloud KMS."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from sealgate.api.v1alpha1.kms_provider import Endpoint, ProviderKey
from sealgate.api.v1alpha1.services import CredentialsSecret, ServiceCA

#: A project may have the domain of its organisation before it ("example.com:shop").
GoogleKeyName = Annotated[
    str,
    StringConstraints(
        pattern=r"^projects/([a-z0-9][-a-z0-9]{0,62}(\.[-a-z0-9]{1,63}){1,4}:)?[a-z][-a-z0-9]{0,62}"
        r"/locations/[a-z0-9][-a-z0-9]{0,62}/keyRings/[-0-9A-Za-z_]{1,63}/cryptoKeys/[-0-9A-Za-z_]{1,63}$"
    ),
]
#: The public address of the service.
GOOGLE_KMS = "https://cloudkms.googleapis.com"


class GoogleKMS(ProviderKey):
    """A key in Google Cloud KMS."""

    version_fields = frozenset({"key_version"})

    key: GoogleKeyName = Field(
        max_length=512, description="Name of the key: projects/P/locations/L/keyRings/R/cryptoKeys/K."
    )
    key_version: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="The only version of the key that is accepted. Default: every version that it has.",
    )
    credentials_secret: CredentialsSecret | None = Field(
        default=None,
        description="Secret with key.json, a key of a service account; and address, if endpoint is set. Default: "
        "the workload identity of sealgate's ServiceAccount (the chart's value kms.google).",
    )
    endpoint: Endpoint | None = Field(default=None, description=f"Address of the service. Default {GOOGLE_KMS}.")
    ca: ServiceCA | None = Field(default=None, description="CA of the service, if it is private.")

    @property
    def url(self) -> str:
        """The endpoint, or the public one, without a slash at its end."""
        return (self.endpoint or GOOGLE_KMS).rstrip("/")

    @property
    def address(self) -> str | None:
        """The endpoint, if it is set."""
        return self.endpoint

    @property
    def service(self) -> str:
        """Address."""
        return self.url

    @property
    def name(self) -> str:
        """The key's name."""
        return self.key

    @property
    def versions(self) -> tuple[str, ...]:
        """The only version that is accepted; empty for every version."""
        return () if self.key_version is None else (str(self.key_version),)
