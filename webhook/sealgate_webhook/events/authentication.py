"""Who may report pushes: each source proves itself with the content of its Secret, before its body is read.

The Secrets are files, and are kept in memory as keyed hashes; a task reads them again, so that a request costs the same
whether its source exists or not. Comparisons take constant time. A refusal never says what was wrong.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealgate.errors import ConfigError, SealgateError
from sealgate.messages import quote

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping

    from structlog.typing import FilteringBoundLogger
    from werkzeug.datastructures import Headers

    from sealgate_webhook.events.config import Authentication, SourceSettings

#: The fewest bytes of a token or password.
MIN_SECRET_BYTES: Final = 16
MAX_SECRET_BYTES: Final = 4096
#: Seconds between two readings of the Secrets. Kubelets need up to a minute to bring a changed Secret.
RELOAD_SECONDS: Final = 2.0

_IN_PATH = re.compile(rb"[A-Za-z0-9._~-]+")


class RefusedSourceError(SealgateError):
    """A request does not prove that it comes from a source; why is not told to the client."""


class SourceSecrets:
    """The sources, each with what proves that a request comes from it.

    Args:
        sources: all of them, each with a name of its own.
        log: gets a line for every Secret that cannot be used.

    Raises:
        ConfigError: a Secret cannot be read, or is too short.
    """

    def __init__(self, sources: Collection[SourceSettings], log: FilteringBoundLogger) -> None:
        self._sources = {source.name: source for source in sources}
        self._log = log
        self._key = secrets.token_bytes(32)
        self._expected = {name: self._hash(read_secret(source)) for name, source in self._sources.items()}
        self._problems: dict[str, str] = {}
        #: What an unknown source is compared with, so that it costs the same.
        self._nothing = secrets.token_bytes(32)
        self._stand_in = next(iter(self._sources.values()))

    def authenticate(self, name: str, headers: Headers, path_secret: str | None) -> SourceSettings:
        """Return the source that a request comes from. Thread-safe.

        Args:
            name: in the request's path.
            headers: of the request, by case-insensitive name.
            path_secret: the part of the path behind the name; None if there is none.

        Raises:
            RefusedSourceError: there is no such source, or the request does not prove that it comes from it.
        """
        source = self._sources.get(name, self._stand_in)
        presented = self._hash(_presented(source, headers, path_secret))
        if not hmac.compare_digest(presented, self._expected.get(name, self._nothing)):
            raise RefusedSourceError("the request does not prove that it comes from a source of this endpoint")
        return source

    @property
    def names(self) -> Collection[str]:
        """The names of all sources, at least one."""
        return self._sources.keys()

    def label(self, name: str) -> str:
        """Return the name of a source for logs and metrics; `unknown` for any other text."""
        return name if name in self._sources else "unknown"

    def keep_current(self, stop: threading.Event) -> None:
        """Read the Secrets again, from time to time, until `stop` is set."""
        while not stop.wait(RELOAD_SECONDS):
            self.reload()

    def reload(self) -> None:
        """Read the Secrets again. One that cannot be used leaves its last valid content in force."""
        for name, source in self._sources.items():
            try:
                self._expected[name] = self._hash(read_secret(source))
                self._problems.pop(name, None)
            except ConfigError as error:
                if self._problems.get(name) != error.message:
                    self._problems[name] = error.message
                    self._log.error(
                        "secret of a source invalid; keeping the last valid one", source=name, problem=error.message
                    )

    def _hash(self, secret: bytes) -> bytes:
        return hashlib.blake2b(secret, key=self._key, digest_size=32).digest()


def read_secret(source: SourceSettings) -> bytes:
    """Return what a source must present: the token, or `username:password`.

    Raises:
        ConfigError: a key of its Secret is absent, too short, too long or cannot be part of a path.
    """
    folder = Path(source.secret_directory)
    if source.auth == "basic":
        username = _read_key(folder / "username", 1)
        if b":" in username:
            raise ConfigError(f"{quote(folder / 'username')} has a colon, which separates user name and password")
        return username + b":" + _read_key(folder / "password", MIN_SECRET_BYTES)
    token = _read_key(folder / "token", MIN_SECRET_BYTES)
    if source.auth == "path" and not _IN_PATH.fullmatch(token):
        raise ConfigError(f"{quote(folder / 'token')} is part of a path: use letters, digits and . _ ~ - only")
    return token


def _read_key(file: Path, least: int) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_SECRET_BYTES + 1).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(f"{quote(file)} cannot be read: {quote(error.strerror or error)}") from error
    if not least <= len(content) <= MAX_SECRET_BYTES:
        raise ConfigError(f"{quote(file)} must have {least} to {MAX_SECRET_BYTES} bytes")
    return content


def _presented(source: SourceSettings, headers: Headers, path_secret: str | None) -> bytes:
    """Return what a request presents, empty for nothing."""
    return _READERS[source.auth](source, headers, path_secret)


def _bearer(_: SourceSettings, headers: Headers, _path: str | None) -> bytes:
    return _credentials(headers, "bearer")


def _basic(_: SourceSettings, headers: Headers, _path: str | None) -> bytes:
    try:
        return base64.b64decode(_credentials(headers, "basic"), validate=True)
    except binascii.Error:
        return b""


def _header(source: SourceSettings, headers: Headers, _path: str | None) -> bytes:
    return _from_header(headers.get(source.header, ""))


def _in_path(_: SourceSettings, _headers: Headers, path_secret: str | None) -> bytes:
    return (path_secret or "").encode("utf-8", "surrogatepass")


def _credentials(headers: Headers, scheme: str) -> bytes:
    given, _, credentials = headers.get("Authorization", "").partition(" ")
    return _from_header(credentials.strip()) if given.lower() == scheme else b""


def _from_header(text: str) -> bytes:
    """Return the bytes that were sent: WSGI has headers as Latin-1 (PEP 3333)."""
    return text.encode("latin-1", "replace")


_READERS: Final[Mapping[Authentication, Callable[[SourceSettings, Headers, str | None], bytes]]] = {
    "bearer": _bearer,
    "basic": _basic,
    "header": _header,
    "path": _in_path,
}
