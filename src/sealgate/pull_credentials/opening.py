"""Makes a credential provider of the settings. Imported only where the settings list registries."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Final

from sealgate.http.metadata import MetadataClient
from sealgate.pull_credentials.leases import LoginLease
from sealgate.pull_credentials.provider import PlatformCredentialProvider
from sealgate.pull_credentials.settings import hosts_of, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealgate.clocks import Clock
    from sealgate.http.interface import ServiceSource
    from sealgate.pull_credentials.interface import OpenLogin, RegistryLogin
    from sealgate.pull_credentials.leases import Observer
    from sealgate.pull_credentials.settings import PlatformCredentials

#: The clouds by the name that settings have, each with its module, which has an `open_login`.
PROVIDERS: Final[Mapping[str, str]] = {
    "alibaba": "sealgate.pull_credentials.providers.alibaba",
    "aws": "sealgate.pull_credentials.providers.aws",
    "azure": "sealgate.pull_credentials.providers.azure",
    "google": "sealgate.pull_credentials.providers.google",
    "huawei": "sealgate.pull_credentials.providers.huawei",
    "oracle": "sealgate.pull_credentials.providers.oracle",
}


def open_provider(
    entries: Iterable[PlatformCredentials],
    services: ServiceSource,
    clock: Clock,
    observer: Observer,
    environ: Mapping[str, str] | None = None,
    metadata: MetadataClient | None = None,
) -> PlatformCredentialProvider:
    """Return the pull credentials of this process; nothing is read or sent yet.

    Args:
        entries: the settings.
        services: opens the requests.
        clock: the time.
        observer: counts requests.
        environ: the environment; that of the process by default.
        metadata: asks metadata services; only entries with `metadata_service` have it do so.

    Raises:
        ConfigError: an entry cannot be used.
    """
    environ = os.environ if environ is None else environ
    metadata = metadata or MetadataClient()
    leases, token_services = {}, {}
    for host, entry in hosts_of(entries).items():
        login = _open_login(entry, host, environ)
        lease = LoginLease(host, entry.provider, login, services, metadata, clock, observer)
        leases[host] = ((entry.provider, *login.identity), lease)
        token_services[host] = login.token_services
    return PlatformCredentialProvider(leases, token_services)


def _open_login(entry: PlatformCredentials, host: str, environ: Mapping[str, str]) -> RegistryLogin:
    module = PROVIDERS.get(entry.provider)
    if module is None:
        raise invalid(entry.provider, f"there is no such provider; use {', '.join(PROVIDERS)}")
    open_login: OpenLogin = import_module(module).open_login
    return open_login(entry, host, environ)
