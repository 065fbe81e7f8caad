"""Credentials for key management services: from Secrets, or those that the platform gives to this process.

A platform's identity is a token in a file that the platform renews (a projected ServiceAccount token), and what is
beside it in the environment; or what the metadata service of the node gives, where the settings say so. Which of them
it is, and for a token that the service itself gets, to which address it may be sent, is set by who installs sealgate
and never by an object.

All kinds may have to be exchanged for a session at the service. Sessions are cached until shortly before they end, by
the content of the credentials, so that changed credentials never get a session of the former ones.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cachetools import LRUCache

from sealgate.cloud.identities import Credentials
from sealgate.errors import ForbiddenAddressError, UnavailableError
from sealgate.http.urls import parse_url
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.service_secrets import describe_secret, optional_text_member, text_member

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.api.v1alpha1.services import CredentialsSecret, ServiceCA
    from sealgate.clocks import Clock
    from sealgate.cloud.identities import PlatformIdentity
    from sealgate.kms.metadata_identities import MetadataIdentity
    from sealgate.service_secrets import ServiceSecrets

#: The most sessions that are cached.
MAX_SESSIONS = 256
#: Part of its lifetime for which a session is used, and the most seconds of that.
_USED_PART = 0.75
_MAX_SECONDS = 3600.0
#: Seconds for which a session is used even if a service refuses a request with it. What is refused so soon is a key
#: that the identity may not use, and another login would not help: it would only cost the service, and other keys.
_MIN_SECONDS = 300.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SessionKey:
    """All that a session depends on.

    Attributes:
        service: the address that opens it, and what is asked for there.
        ca: PEM bundle of CA certificates with which the address was authenticated; None for the system's.
        digest: identifies the credentials; see `Credentials.digest`.
    """

    service: str
    ca: str | None
    digest: str


class Identities:
    """The platform's identities of a process, and its sessions at services. Thread-safe; one for the process.

    Args:
        platform: identities by provider ("aws"); none by default.
        metadata: those of the metadata service, in place of the platform's others; none by default.
    """

    def __init__(
        self,
        platform: Mapping[str, PlatformIdentity] | None = None,
        metadata: Mapping[str, MetadataIdentity] | None = None,
    ) -> None:
        self._platform = dict(platform or {})
        self._metadata = dict(metadata or {})
        self._lock = threading.Lock()
        # With beginning and end of each, in the clock's monotonic seconds.
        self._sessions: LRUCache[SessionKey, tuple[object, float, float]] = LRUCache(MAX_SESSIONS)

    def read(self, provider: str, resource: str = "") -> Credentials:
        """Return the platform's credentials for a provider.

        Args:
            provider: the provider's field in `KMSSource` ("aws").
            resource: what the credentials of a metadata service are for; see `MetadataIdentity.read`.

        Raises:
            UnavailableError: there are none.
        """
        if provider in self._metadata:
            return self._metadata[provider].read(resource)
        identity = self._platform.get(provider)
        if identity is None:
            msg = (
                f"this process has no identity of its platform for {provider}; give its ServiceAccount one, or name "
                "a Secret with credentials in credentialsSecret"
            )
            raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)
        return identity.read()

    def session(self, key: SessionKey, clock: Clock, open_session: Callable[[], tuple[T, float]]) -> T:
        """Return the cached session of a key, or open one.

        Args:
            key: all that the session depends on.
            clock: measures its lifetime.
            open_session: opens one; returns it with its lifetime in seconds.
        """
        now = clock.monotonic()
        with self._lock:
            found, _, end = self._sessions.get(key, (None, now, now))
        if now < end:
            return found  # type: ignore[return-value]  # one key has sessions of one type
        session, seconds = open_session()
        with self._lock:
            self._sessions[key] = (session, now, now + min(_USED_PART * seconds, _MAX_SECONDS))
        return session

    def refused(self, key: SessionKey, clock: Clock) -> None:
        """Drop a session with which a service refused a request, since it may have been revoked; not a new one."""
        now = clock.monotonic()
        with self._lock:
            if key in self._sessions and now - self._sessions[key][1] >= _MIN_SECONDS:
                del self._sessions[key]


class KMSCredentials:
    """Where a provider finds the credentials of a key: a `ServiceSecrets`, and the identities of the process.

    Args:
        secrets: the Secrets.
        identities: of the process; none by default.
    """

    def __init__(self, secrets: ServiceSecrets, identities: Identities | None = None) -> None:
        self._secrets = secrets
        self.identities = identities or Identities()

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return the whole content of a Secret; see `ServiceSecrets.read`."""
        return self._secrets.read(name)

    def of(self, provider: str, secret: CredentialsSecret | None, resource: str = "") -> Credentials:
        """Return the credentials in a Secret; those of the platform where none is named.

        Args:
            provider: the provider's field in `KMSSource` ("aws").
            secret: the Secret that the key names, if any.
            resource: see `Identities.read`.

        Raises:
            UnavailableError: they are not there.
        """
        if secret is None:
            return self.identities.read(provider, resource)
        return Credentials(secret.name, self._secrets.read(secret.name))


def require_address(given: Credentials, url: str, ca: ServiceCA | None, default: str | None = None) -> None:
    """See that a bearer may be sent to an address, since it works for each holder.

    The author of a key entry chooses its CA too, and a CA of his own would prove a public address that is not the
    cloud's. So a CA counts only for an address that is named beside the credentials.

    Args:
        given: the credentials; their member `address` names where they belong.
        url: where a request would go.
        ca: the CA by which the entry has the address authenticated, if it has one.
        default: the public address where credentials without that member belong; None where they must have it.

    Raises:
        ForbiddenAddressError: they belong to another address, scheme and port included; or to a public one, which an
            entry must not have authenticated by its own CA.
        UnavailableError: their address is missing or not a URL.
    """
    own = optional_text_member(given.source, given.data, "address")
    address = own or default or text_member(given.source, given.data, "address")
    try:
        belongs = parse_url(address).origin == parse_url(url).origin
    except ForbiddenAddressError as error:
        msg = f"{describe_secret(given.source)}: its address is not a URL"
        raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY) from error
    if not belongs:
        msg = (
            f"{describe_secret(given.source)} belongs to another address and is not sent to {quote(url)}; correct "
            "endpoint, or the address of the credentials"
        )
        raise ForbiddenAddressError(msg)
    if own is None and ca is not None:
        msg = (
            f"{describe_secret(given.source)} is sent to {quote(url)} only as the system's CAs authenticate it; leave "
            "out ca, or add address to the credentials"
        )
        raise ForbiddenAddressError(msg)
