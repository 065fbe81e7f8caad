"""Settings of single hosts: plain HTTP, CA certificates, mirrors, private addresses."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from sealgate.errors import ConfigError, InvalidReferenceError
from sealgate.messages import quote
from sealgate.references import DOCKER_HUB, parse_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Host of Docker Hub's API; references say `docker.io`.
DOCKER_HUB_API = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Settings of single hosts. `host` means the default port of its scheme, `host:port` that port, and nothing else.

    Names are normalised as in references: settings of `docker.io` count for `registry-1.docker.io` too.

    Attributes:
        insecure: hosts that may be asked over plain HTTP and at loopback addresses. They are asked over TLS first, and
            their certificate is checked like any other; only a host that does not speak TLS at all is asked without.
        ca: PEM bundle of CA certificates by host, to trust for the host instead of the system's.
        mirrors: mirror by host. The host itself is asked only for what the mirror does not have, or if the mirror is
            unavailable.
        private: hosts that may have private addresses, besides those that policies, authenticators and the other
            settings name (for example a token service or a blob storage inside the company).

    Raises:
        ConfigError: a name is not a host.
    """

    insecure: frozenset[str] = frozenset()
    ca: Mapping[str, str] = field(default_factory=dict)
    mirrors: Mapping[str, str] = field(default_factory=dict)
    private: frozenset[str] = frozenset()
    _named: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Normalise every host."""
        keep = object.__setattr__
        keep(self, "insecure", _hosts(self.insecure))
        keep(self, "private", _hosts(self.private))
        keep(self, "ca", MappingProxyType({_host(name): pem for name, pem in self.ca.items()}))
        keep(self, "mirrors", MappingProxyType({_host(name): _host(to) for name, to in self.mirrors.items()}))
        keep(self, "_named", self.insecure | self.private | {*self.ca, *self.mirrors, *self.mirrors.values()})

    def is_insecure(self, authority: str) -> bool:
        """Return whether a `host[:port]` may be asked over plain HTTP and at loopback addresses."""
        return fold(authority) in self.insecure

    def names(self, authority: str) -> bool:
        """Return whether a setting names a `host[:port]`, so that it may have private addresses."""
        return fold(authority) in self._named

    def ca_of(self, authority: str) -> str | None:
        """Return the PEM bundle of CA certificates for a `host[:port]`; None for the system's."""
        return self.ca.get(fold(authority))


def fold(authority: str) -> str:
    """Return the spelling that settings and references use for the `host[:port]` of a URL."""
    return DOCKER_HUB if authority in (DOCKER_HUB_API, f"index.{DOCKER_HUB}") else authority


def api_host(registry: str) -> str:
    """Return the host of a registry's API: the registry itself, except for Docker Hub."""
    return DOCKER_HUB_API if registry == DOCKER_HUB else registry


def _hosts(names: Iterable[str]) -> frozenset[str]:
    return frozenset(_host(name) for name in names)


def _host(name: str) -> str:
    try:
        return parse_registry(name)
    except InvalidReferenceError as error:
        raise ConfigError(f"{quote(name)} in the registry settings is not a host: write host or host:port") from error
