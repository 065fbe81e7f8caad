"""Settings file of the operator, as the chart writes it, and what it shares with that of the signing worker."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from sealgate.api.v1alpha1.verification_exception import MAX_HOURS
from sealgate.kms.metadata_identities import metadata_identities
from sealgate.kms.platform import GOOGLE_TOKEN, VAULT_TOKEN, TokenFile, platform_identities
from sealgate.process.config import RegistriesConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.kms.credentials import Identities

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$", max_length=253)]


class Settings(BaseModel):
    """Base of all parts of the file: camelCase, unknown fields are refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True)


class WebhookService(Settings):
    """The Service that the API server calls.

    Attributes:
        name: its name.
        in_cluster: whether it exists: whether the chart runs the webhook.
    """

    name: Name
    in_cluster: bool = True


class CertificateSettings(Settings):
    """Whether the operator issues the webhook's certificates, and their lifetimes."""

    managed: bool = True
    ca_lifetime_hours: float = Field(default=8760, gt=0, le=24 * 365 * 30)
    leaf_lifetime_hours: float = Field(default=720, gt=0, le=24 * 365 * 10)

    @model_validator(mode="after")
    def _ca_outlives_leaf(self) -> CertificateSettings:
        if self.leaf_lifetime_hours > self.ca_lifetime_hours:
            raise ValueError(
                "leafLifetimeHours is more than caLifetimeHours; a CA must outlive the certificates that it signs"
            )
        return self

    @property
    def ca_lifetime(self) -> timedelta:
        """Lifetime of a CA."""
        return timedelta(hours=self.ca_lifetime_hours)

    @property
    def leaf_lifetime(self) -> timedelta:
        """Lifetime of a server certificate."""
        return timedelta(hours=self.leaf_lifetime_hours)


class ProcessConfig(Settings):
    """What the settings files of all processes of this package have.

    Attributes:
        metrics_listen: `host:port` of metrics and `/healthz`.
        log_level: from which on lines are logged.
    """

    metrics_listen: str = Field(default="0.0.0.0:8080", pattern=r"^[^\s]*:[0-9]{1,5}$")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def metrics_address(self) -> tuple[str, int]:
        """Host and port of metrics and `/healthz`."""
        host, _, port = self.metrics_listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def level(self) -> int:
        """Log level, as a number of `logging`."""
        return logging.getLevelNamesMapping()[self.log_level.upper()]


class KMSConfig(Settings):
    """The identities with which this process reads keys and signs.

    Attributes:
        google_audience: provider of the workload identity pool that takes the ServiceAccount's token; empty for none.
        vault_address: the address of Vault that the ServiceAccount's token for it may be sent to; empty for none.
        metadata_services: providers for which the metadata service of the node is asked for the identity.
        azure_client_id: client ID of the managed identity, where a node of Azure has several; empty for its only one.
    """

    google_audience: str = Field(default="", pattern=r"^[!-~]*$", max_length=1024)
    vault_address: str = Field(default="", pattern=r"^(https?://[^/?#@\s]+/?)?$", max_length=512)
    metadata_services: list[Literal["aws", "azure", "google", "huawei"]] = Field(default_factory=list, max_length=4)
    azure_client_id: str = Field(default="", pattern=r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")

    @model_validator(mode="after")
    def _google_has_one_identity(self) -> KMSConfig:
        if self.google_audience and "google" in self.metadata_services:
            raise ValueError("kms.google has audience and metadataService; set one of them")
        return self

    def identities(self, environ: Mapping[str, str], clock: Clock) -> Identities:
        """Return the identities of the process.

        Args:
            environ: its environment, which platforms write to.
            clock: measures how long what metadata services give is valid.
        """
        return platform_identities(
            environ,
            google=TokenFile(self.google_audience, GOOGLE_TOKEN),
            vault=TokenFile(self.vault_address, VAULT_TOKEN),
            metadata=metadata_identities(self.metadata_services, environ, clock, azure_client=self.azure_client_id),
        )


class ReplicaConfig(ProcessConfig):
    """What the settings files of all processes have that elect a leader.

    Attributes:
        lease: name of the Lease by which the leader is elected.
        registries: how registries and services are reached.
        kms: with which identities keys in key management services are used.
    """

    lease: Name
    registries: RegistriesConfig = RegistriesConfig()
    kms: KMSConfig = KMSConfig()


class TUFConfig(Settings):
    """The TUF repository from which the operator fetches a trusted root.

    Attributes:
        config_map: the ConfigMap that keeps what was fetched.
        mirror: URL of the repository.
        root_file: file with the root metadata with which trust begins; empty for that of sigstore's public services.
        refresh_seconds: seconds between two rounds.
    """

    config_map: Name
    mirror: str = Field(pattern=r"^https?://[^?#@\s]+$", max_length=512)
    root_file: str = ""
    refresh_seconds: float = Field(ge=300, le=7 * 86400)


class TrustedRootsConfig(Settings):
    """Where trusted roots of sigstore may come from, besides Authenticators and Secrets.

    Attributes:
        config_maps: names of the ConfigMaps of the operator's namespace that may be read.
        tuf: the repository from which one is fetched; None for none.
    """

    config_maps: list[Name] = Field(default_factory=list, max_length=16)
    tuf: TUFConfig | None = None


class OperatorConfig(ReplicaConfig):
    """The whole file.

    Attributes:
        webhooks: name of the ConfigMap that lists the release's webhook configurations (`sealgate.release`).
        self_test_secret: Secret for the self-test's client certificate; empty where the webhook requires none.
        shared_cache_secret: Secret for the key of the shared cache; empty where there is none.
        reports_lease: Lease of the process that writes reports; empty where there is none.
        trusted_roots: where trusted roots of sigstore may come from.
        exception_max_hours: how long a VerificationException may last.
        excluded_namespaces: names of the namespaces whose pods are not sent to the webhook.
        failure_policy: what the API server does while the webhook does not respond.
    """

    webhooks: Name
    webhook_service: WebhookService
    tls_secret: Name
    ca_secret: Name
    self_test_secret: Name | Literal[""] = ""
    shared_cache_secret: Name | Literal[""] = ""
    reports_lease: Name | Literal[""] = ""
    certificates: CertificateSettings = CertificateSettings()
    key_refresh_seconds: float = Field(default=300, ge=1)
    trusted_roots: TrustedRootsConfig = TrustedRootsConfig()
    exception_max_hours: float = Field(default=MAX_HOURS, gt=0, le=24 * 366)
    excluded_namespaces: list[Name] = Field(default_factory=list)
    failure_policy: Literal["Fail", "Ignore"] = "Fail"
