"""Stores of private keys: one key that the user named, and the trust directories of docker and notary.

docker keeps its keys in `~/.docker/trust/private`, notary in `~/.notary/private`: one encrypted file for each key,
named by its canonical id. Older versions have `root_keys` and `tuf_keys/<repository>` there. A file is opened only when
its key must sign.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cryptography import x509

from sealgate.errors import ConfigError, InvalidKeyError, SigningError
from sealgate.formats.notary.private_keys.files import open_key_file, read_key_file, write_key_file
from sealgate.formats.notary.wire.keys import UNREADABLE, certificate_entry, read_key
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.formats.notary.private_keys.files import LocalKey
    from sealgate.formats.notary.wire.keys import MetadataKey

#: The most bytes of a key file or certificate; an RSA key of 16384 bits has under 20,000.
MAX_FILE_BYTES = 65536
_PRIVATE, _SUFFIX = "private", ".key"
_FILE_NAME = re.compile(r"([0-9a-f]{64})(?:_[a-z]+)?\.key")
_BUNDLE_KEY = "key.pem"
#: Name of the certificate in a UCP client bundle.
BUNDLE_CERTIFICATE = "cert.pem"


class Passphrases(Protocol):
    """Source of passphrases of encrypted key files."""

    @property
    def sources(self) -> str:
        """Where passphrases come from, for a person ("NOTARY_ROOT_PASSPHRASE, --passphrase-file")."""

    def of(self, role: str, name: str) -> Iterator[str]:
        """Yield the passphrases to try on a key file, the most likely first.

        Args:
            role: of the key ("root", "targets", "targets/releases"), as the file or the repository says.
            name: the file for a person.
        """

    def new(self, role: str) -> str:
        """Return the passphrase for a key that is to be stored.

        Raises:
            ConfigError: there is none.
        """


class OneKey:
    """A store with one key.

    Args:
        key: the private key.
    """

    def __init__(self, key: LocalKey) -> None:
        self.key = key

    @property
    def name(self) -> str:
        """The key for a person."""
        return self.key.name

    def has(self, key: MetadataKey) -> bool:
        """Return whether it is the private half of a key."""
        return key.canonical_id == self.key.canonical_id

    def find(self, key: MetadataKey, role: str) -> LocalKey | None:
        """Return the key if it is the private half of another; None otherwise."""
        del role
        return self.key if self.has(key) else None


class TrustDirectory:
    """A directory of key files that docker, notary and sealgate share.

    Args:
        path: `~/.docker/trust`, `~/.notary`, or the folder `private` in one of them.
        passphrases: of the key files.

    Attributes:
        path: the directory that has the folder `private`.
    """

    def __init__(self, path: Path, passphrases: Passphrases) -> None:
        self.path = path.parent if path.name == _PRIVATE else path
        self._private = self.path / _PRIVATE
        self._passphrases = passphrases
        self._opened: dict[str, LocalKey] = {}

    @property
    def name(self) -> str:
        """The directory for a person."""
        return f"the trust directory {quote(self.path)}"

    def has(self, key: MetadataKey) -> bool:
        """Return whether there is a file of a key."""
        return key.canonical_id in self._files

    def find(self, key: MetadataKey, role: str) -> LocalKey | None:
        """Return the private half of a key; None if there is no file of it.

        Raises:
            SigningError: the file cannot be read or decrypted, or holds another key than its name says.
        """
        return self._open(key.canonical_id, role) if self.has(key) else None

    def first(self, role: str) -> LocalKey | None:
        """Return the first key whose file says that it is of a role and of no repository; None if there is none.

        Raises:
            SigningError: its file cannot be decrypted.
        """
        for canonical_id, path in sorted(self._files.items()):
            with contextlib.suppress(InvalidKeyError, ConfigError):
                headers = read_key_file(read_bounded(path)).headers
                if headers.get("role") == role and "gun" not in headers:
                    return self._open(canonical_id, role)
        return None

    def add(self, key: LocalKey, role: str, gun: str = "") -> None:
        """Store a key, encrypted, readable by this user only.

        Args:
            key: the key.
            role: its role.
            gun: full name of its repository; empty for a key of any repository.

        Raises:
            ConfigError: there is no passphrase, or the directory cannot be written.
        """
        content = write_key_file(key.private, self._passphrases.new(role), role, gun)
        path = self._private / f"{key.canonical_id}{_SUFFIX}"
        try:
            self._private.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, content)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ConfigError(f"cannot store the {role} key in {quote(path)}: {why}") from error
        self._files[key.canonical_id] = path
        self._opened[key.canonical_id] = key

    @cached_property
    def _files(self) -> dict[str, Path]:
        """The key files by the canonical id in their names."""
        try:
            found = sorted(self._private.rglob(f"*{_SUFFIX}"))
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ConfigError(f"cannot read {quote(self._private)}: {why}") from error
        return {match[1]: path for path in found if (match := _FILE_NAME.fullmatch(path.name))}

    def _open(self, canonical_id: str, role: str) -> LocalKey:
        if canonical_id not in self._opened:
            self._opened[canonical_id] = self._read(canonical_id, role)
        return self._opened[canonical_id]

    def _read(self, canonical_id: str, role: str) -> LocalKey:
        path = self._files[canonical_id]
        name = f"the {role} key {canonical_id} in {quote(path)}"
        try:
            key = load_key(path, self._passphrases, name, role)
        except (ConfigError, InvalidKeyError) as error:
            raise SigningError(error.message) from error
        if key.canonical_id != canonical_id:
            msg = f"{quote(path)} holds the key {key.canonical_id}, not the one that its name says; restore the file"
            raise SigningError(msg)
        return key


def load_key(path: Path, passphrases: Passphrases, name: str, role: str) -> LocalKey:
    """Read a private key file.

    Args:
        path: of the file: a key file of docker or notary, or any private key in PEM.
        passphrases: for an encrypted file.
        name: the key for a person.
        role: whose passphrase is asked for if the file does not say it.

    Raises:
        ConfigError: the file cannot be read.
        InvalidKeyError: no passphrase opens it, or it does not hold a key that can be used; the message names it.
    """
    try:
        file = read_key_file(read_bounded(path))
    except InvalidKeyError as error:
        raise InvalidKeyError(f"{name} cannot be used: {error.message}") from error
    try:
        return open_key_file(file, passphrases.of(file.headers.get("role", role), name), name)
    except InvalidKeyError as error:
        if not file.is_encrypted:
            raise
        raise InvalidKeyError(f"{error.message}. Passphrases come from {passphrases.sources}") from error


def load_bundle(path: Path, passphrases: Passphrases) -> LocalKey:
    """Read the key of a UCP client bundle (`key.pem`), which must be that of its certificate (`cert.pem`).

    Raises:
        ConfigError: a file cannot be read.
        InvalidKeyError: the key cannot be used, or is not the certificate's.
    """
    name = f"the key of the client bundle {quote(path)}"
    key = load_key(path / _BUNDLE_KEY, passphrases, name, "delegation")
    require_certified(key, read_certificate(path / BUNDLE_CERTIFICATE))
    return key


def require_certified(key: LocalKey, certificate: x509.Certificate) -> None:
    """Require that the key of a UCP client bundle is that of the bundle's certificate.

    Raises:
        InvalidKeyError: it is another one.
    """
    if read_key(*certificate_entry(certificate)).canonical_id != key.canonical_id:
        msg = f"{key.name} is not the one that its cert.pem certifies, so no delegation to that certificate accepts it"
        raise InvalidKeyError(f"{msg}; download the bundle again")


def is_bundle(path: Path) -> bool:
    """Return whether a directory is an unpacked UCP client bundle."""
    return (path / _BUNDLE_KEY).is_file() and (path / BUNDLE_CERTIFICATE).is_file()


def read_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file; text around it and certificates after it do not matter.

    Raises:
        ConfigError: the file cannot be read, or does not hold a certificate.
    """
    try:
        return load_certificate(read_bounded(path))
    except InvalidKeyError as error:
        raise ConfigError(f"{quote(path)} {error.message}") from error


def load_certificate(pem: bytes) -> x509.Certificate:
    """Return the first certificate in PEM; text around it and certificates after it do not matter.

    Raises:
        InvalidKeyError: there is none.
    """
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except UNREADABLE as error:
        raise InvalidKeyError("does not hold a certificate in PEM") from error


def read_bounded(path: Path) -> bytes:
    """Return the content of a key or certificate file.

    Raises:
        ConfigError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {quote(path)}: {error.strerror or type(error).__name__}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{quote(path)} is larger than a key file can be")
    return content


def _write(path: Path, content: bytes) -> None:
    """Write a file that only this user may read, whole or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
