"""Strict parsing of URLs. Every request goes to a parsed URL.

Registries name the URLs of their token services and blobs, so URLs are foreign text. What two programs could parse
differently (user names before the host, backslashes, white space, control characters, letters outside ASCII) is
refused, not repaired.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from sealgate.errors import ForbiddenAddressError
from sealgate.messages import quote

#: Maximum length of a URL in characters; signed storage URLs have about 2,000.
MAX_URL = 8192
#: Origins that are cached once parsed: each request to a registry needs one or two.
MAX_CACHED_ORIGINS = 256

_PORTS = {"http": 80, "https": 443}
_UNWANTED = re.compile(r"[^!-~]|[\\<>\"]")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
# What is before the host, also where the rest is not a URL.
_USER = re.compile(r"\A([a-z][a-z0-9+.-]*:)?([/\\]+)?[^/\\]*@", re.IGNORECASE)
_MAX_NAME = 253
_MAX_PORT = 65535


class Origin(NamedTuple):
    """Scheme, host and port of a URL. Credentials belong to one origin.

    Attributes:
        scheme: "https" or "http".
        host: lower case, without brackets ("registry.example.org", "::1").
        port: the port number, from 1 to 65535.
    """

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host[:port]` as references and settings spell it: without the default port of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class URL(NamedTuple):
    """An absolute URL without fragment.

    Attributes:
        origin: scheme, host and port.
        target: path and query, as in the request line; begins with `/`.
    """

    origin: Origin
    target: str

    def __str__(self) -> str:
        """Return the URL as text."""
        return f"{self.origin.scheme}://{self.origin.authority}{self.target}"


def parse_url(text: str) -> URL:
    """Parse an absolute http or https URL; a fragment is removed.

    Raises:
        ForbiddenAddressError: it is not such a URL, is too long, or could be parsed in two ways.
    """
    if len(text) > MAX_URL or _UNWANTED.search(text):
        raise _forbidden(text, "it is too long or has characters that URLs do not have")
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise _forbidden(text, "it does not parse") from error
    if parts.scheme not in _PORTS:
        raise _forbidden(text, "only http and https are asked")
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    return URL(_parse_origin(parts.scheme, parts.netloc.lower(), text), target)


@lru_cache(MAX_CACHED_ORIGINS)
def parse_origin(scheme: str, authority: str) -> Origin:
    """Return the origin of a `host[:port]`.

    Raises:
        ForbiddenAddressError: it is not a host with an optional port.
    """
    return _parse_origin(scheme, authority.lower(), authority)


def join_url(base: URL, location: str) -> URL:
    """Return the URL that a `Location` or `Link` in a response from `base` points to.

    Raises:
        ForbiddenAddressError: see `parse_url`.
    """
    if len(location) > MAX_URL or _UNWANTED.search(location):
        raise _forbidden(location, "it is too long or has characters that URLs do not have")
    try:
        joined = urljoin(str(base), location)
    except ValueError as error:
        raise _forbidden(location, "it does not parse") from error
    return parse_url(joined)


def _parse_origin(scheme: str, authority: str, text: str) -> Origin:
    if "@" in authority:
        raise _forbidden(text, "it has a user name or password before its host, where sealgate sends none")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise _forbidden(text, "its host is not host or host:port")
    host, port = match[1], int(match[2]) if match[2] is not None else _PORTS[scheme]
    if not 0 < port <= _MAX_PORT:
        raise _forbidden(text, f"{port} is not a port")
    if host.startswith("["):
        return Origin(scheme, _parse_ipv6(host[1:-1], text), port)
    if len(host) > _MAX_NAME or not _NAME.fullmatch(host):
        raise _forbidden(text, "its host is not a DNS name")
    return Origin(scheme, host, port)


def _parse_ipv6(host: str, text: str) -> str:
    try:
        return ipaddress.IPv6Address(host).compressed
    except ValueError as error:
        raise _forbidden(text, "its host is not an IPv6 address") from error


def _forbidden(text: str, why: str) -> ForbiddenAddressError:
    # The query may hold a signature or a token, and a user name may have a password, so they are not in the message.
    shown = _USER.sub(lambda found: "".join(part or "" for part in found.groups()), text.partition("?")[0])
    return ForbiddenAddressError(f"{quote(shown)} cannot be asked: {why}")
