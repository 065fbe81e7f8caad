"""TLS contexts: version 1.2 or later, certificates always checked against the system's CAs or a given bundle."""

from __future__ import annotations

import ssl
import threading

from cachetools import LRUCache

from sealgate.errors import ConfigError

#: Contexts in the cache; each authenticator may bring its own CA bundle.
MAX_CONTEXTS = 256


class TLSContexts:
    """Cache of TLS contexts, one for each CA bundle. Thread-safe."""

    def __init__(self) -> None:
        self._contexts: LRUCache[str | None, ssl.SSLContext] = LRUCache(MAX_CONTEXTS)
        self._lock = threading.Lock()

    def get(self, ca: str | None) -> ssl.SSLContext:
        """Return the context that trusts a PEM bundle of CA certificates, or (None) the system's.

        Raises:
            ConfigError: the bundle does not parse, or holds no certificate.
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
    context.set_alpn_protocols(["http/1.1"])
    if ca is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise ConfigError("a CA bundle does not parse: it must be PEM, -----BEGIN CERTIFICATE-----") from error
    return context
