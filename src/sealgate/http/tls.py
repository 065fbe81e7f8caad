"""TLS: at least version 1.2, certificates always checked, the system's authorities or a bundle of one's own."""

from __future__ import annotations

import ssl
import threading

from cachetools import LRUCache

from sealgate.errors import ConfigError
from sealgate.http.connections import GuardedTLSSocket

#: Contexts kept at once; each authenticator may bring a bundle of its own.
MAX_CONTEXTS = 256


class TLSContexts:
    """One context for each bundle of authorities, made when first needed and then shared."""

    def __init__(self) -> None:
        self._contexts: LRUCache[str | None, ssl.SSLContext] = LRUCache(MAX_CONTEXTS)
        self._lock = threading.Lock()

    def get(self, ca: str | None) -> ssl.SSLContext:
        """Return the context that trusts a PEM bundle, or (None) the system's authorities.

        Raises:
            ConfigError: the bundle holds no certificate, or something else.
        """
        with self._lock:
            context = self._contexts.get(ca)
            if context is None:
                context = self._contexts[ca] = make_context(ca)
            return context


def make_context(ca: str | None) -> ssl.SSLContext:
    """Return a new context; see `TLSContexts.get`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificates and host names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = GuardedTLSSocket
    if ca is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise ConfigError("a CA bundle does not parse: it must be PEM, -----BEGIN CERTIFICATE-----") from error
    return context
