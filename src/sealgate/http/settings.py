"""How registries and services are reached: what an administrator says about single hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from sealgate.errors import ConfigError, InvalidReferenceError
from sealgate.messages import quote
from sealgate.references import DOCKER_HUB, parse_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Where Docker Hub's API is; references say `docker.io`.
DOCKER_HUB_API = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What is special about single hosts. A host is `host` (its scheme's usual port) or `host:port`, and only that.

    Names are folded as in references, so what is said of `docker.io` holds for `registry-1.docker.io` too.

    Attributes:
        insecure: hosts that may be spoken to over plain HTTP and on loopback addresses. They are asked over TLS
            first, and a certificate they show is checked like any other; only a host that does not speak TLS at
            all is asked without.
        ca: host -> PEM bundle that replaces the system's authorities for it.
        mirrors: host -> host that is asked instead; the origin is asked only for what the mirror does not have,
            or when the mirror is unavailable.
        private: further hosts that may have private addresses, beyond those that policies, authenticators and
            the other settings name (a token service or a blob storage inside the company, say).

    Raises:
        ConfigError: a host is none.
    """

    insecure: frozenset[str] = frozenset()
    ca: Mapping[str, str] = field(default_factory=dict)
    mirrors: Mapping[str, str] = field(default_factory=dict)
    private: frozenset[str] = frozenset()
    _named: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Fold every host to its normalised form."""
        keep = object.__setattr__
        keep(self, "insecure", _hosts(self.insecure))
        keep(self, "private", _hosts(self.private))
        keep(self, "ca", MappingProxyType({_host(name): pem for name, pem in self.ca.items()}))
        keep(self, "mirrors", MappingProxyType({_host(name): _host(to) for name, to in self.mirrors.items()}))
        keep(self, "_named", self.insecure | self.private | {*self.ca, *self.mirrors, *self.mirrors.values()})

    def is_insecure(self, authority: str) -> bool:
        """Return whether that `host[:port]` may be spoken to over plain HTTP and on loopback addresses."""
        return fold(authority) in self.insecure

    def names(self, authority: str) -> bool:
        """Return whether any setting names that `host[:port]`, so that it may have private addresses."""
        return fold(authority) in self._named

    def ca_of(self, authority: str) -> str | None:
        """Return the PEM bundle for that `host[:port]`; None for the system's authorities."""
        return self.ca.get(fold(authority))


def fold(authority: str) -> str:
    """Return the name that settings use for the `host[:port]` of a URL."""
    return DOCKER_HUB if authority in (DOCKER_HUB_API, f"index.{DOCKER_HUB}") else authority


def api_host(registry: str) -> str:
    """Return where a registry's API is: the registry itself but for Docker Hub."""
    return DOCKER_HUB_API if registry == DOCKER_HUB else registry


def _hosts(names: Iterable[str]) -> frozenset[str]:
    return frozenset(_host(name) for name in names)


def _host(name: str) -> str:
    try:
        return parse_registry(name)
    except InvalidReferenceError as error:
        raise ConfigError(f"{quote(name)} in the registry settings is no host: write host or host:port") from error
