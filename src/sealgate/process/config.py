"""How registries and services are reached, as the chart writes it for each part of sealgate."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from sealgate.http.settings import RegistrySettings


class RegistrySettingsFile(BaseModel):
    """What is special about single hosts; each part reads its own further fields beside these.

    Attributes:
        insecure: hosts that may be asked over plain HTTP and on loopback addresses.
        private: further hosts that may have private addresses.
        mirrors: host -> host that is asked instead.
        ca: host -> PEM bundle.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    insecure: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    mirrors: dict[str, str] = Field(default_factory=dict)
    ca: dict[str, str] = Field(default_factory=dict)

    def settings(self) -> RegistrySettings:
        """Return the same as the HTTP client takes it.

        Raises:
            ConfigError: a host is none.
        """
        return RegistrySettings(
            insecure=frozenset(self.insecure), private=frozenset(self.private), mirrors=self.mirrors, ca=self.ca
        )
