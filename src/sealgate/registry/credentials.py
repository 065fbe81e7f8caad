"""Who one is to a registry: docker config files, credential helpers, and the seam for other sources.

Matching follows kubelets: an entry is for the images whose registry is the entry's (a `*` stands for any run of
characters inside one part of the name) and whose repository begins with the entry's path; the most exact entry wins.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sealgate import strict_json
from sealgate.errors import ConfigError, InvalidReferenceError, VerificationError
from sealgate.messages import quote
from sealgate.references import DOCKER_HUB, parse_registry
from sealgate.registry.helpers import CredentialHelpers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealgate.references import Repository

#: The most bytes of a docker config file.
MAX_CONFIG_BYTES = 1 << 20
#: The key under which docker keeps Docker Hub's credentials.
DOCKER_HUB_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and secret, or a refresh token. Neither shows in a `repr`.

    Attributes:
        username: may be empty beside an identity token.
        password: may be empty beside an identity token.
        identity_token: an OAuth2 refresh token for the registry's token service.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str | None = field(default=None, repr=False)

    @property
    def fingerprint(self) -> str:
        """A hash that differs whenever anything in here differs (hex)."""
        parts = (self.username, self.password, self.identity_token or "")
        return hashlib.sha256("\0".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


class CredentialProvider(Protocol):
    """Where credentials come from. Thread-safe."""

    @property
    def scope(self) -> str:
        """A text that differs whenever the credentials may differ; empty for nobody's.

        What one set of credentials could not see says nothing about another, so refusals are kept by it.
        """

    def credentials(self, repository: Repository) -> Credentials | None:
        """Return the credentials for a repository's registry; None if there are none."""


class NoCredentials:
    """Nobody in particular."""

    @property
    def scope(self) -> str:
        """Empty."""
        return ""

    def credentials(self, repository: Repository) -> None:
        """Return None."""
        del repository


class CredentialChain:
    """Several providers, asked in order; the first that has credentials wins.

    Args:
        providers: the most specific first (a pod's pull secrets before its service account's).
    """

    def __init__(self, providers: Iterable[CredentialProvider]) -> None:
        self._providers = tuple(providers)

    @property
    def scope(self) -> str:
        """All of theirs."""
        scopes = [provider.scope for provider in self._providers]
        return "+".join(scopes) if any(scopes) else ""

    def credentials(self, repository: Repository) -> Credentials | None:
        """Return what the first provider has that has any."""
        for provider in self._providers:
            found = provider.credentials(repository)
            if found is not None:
                return found
        return None


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of `auths`: for which images, and what."""

    registry: str
    path: str
    credentials: Credentials

    def covers(self, repository: Repository) -> bool:
        return repository.path.startswith(self.path) and _covers_registry(self.registry, repository.registry)

    @property
    def exactness(self) -> tuple[bool, int, int]:
        return ("*" not in self.registry, len(self.registry), len(self.path))


class DockerConfigCredentials:
    """The credentials of one docker config (`auths`, and where programs may be run `credHelpers`, `credsStore`).

    Args:
        entries: the entries of `auths` that hold credentials.
        helpers: the programs that may be asked; None for none.
        scope: see `CredentialProvider.scope`.
    """

    def __init__(self, entries: Sequence[_Entry], helpers: CredentialHelpers | None, scope: str) -> None:
        self._entries = sorted(entries, key=lambda entry: entry.exactness, reverse=True)
        self._helpers = helpers
        self._scope = scope

    @classmethod
    def from_file(cls, path: Path | str) -> DockerConfigCredentials:
        """Read a docker config file of this machine's own user; its credential helpers may be run.

        Raises:
            ConfigError: it cannot be read, or is no docker config. The message has none of its content.
        """
        try:
            with Path(path).open("rb") as file:
                data = file.read(MAX_CONFIG_BYTES + 1)
        except OSError as error:
            msg = f"the docker config {quote(path)} cannot be read: {quote(error.strerror)}"
            raise ConfigError(msg) from error
        return cls.from_bytes(data, str(path), run_helpers=True)

    @classmethod
    def from_bytes(cls, data: bytes, name: str, *, run_helpers: bool = False) -> DockerConfigCredentials:
        """Read a docker config, or the older form that is only its `auths`.

        Args:
            data: the JSON.
            name: what to call it in messages ("Secret shop/pull").
            run_helpers: whether programs that it names may be run. Never for configs that tenants write.

        Raises:
            ConfigError: it is no docker config. The message has none of its content.
        """
        try:
            config = strict_json.parse_object(data, "it", limit=MAX_CONFIG_BYTES)
            auths = _objects(config, "auths") if "auths" in config or not _is_legacy(config) else config
            entries = [_read_entry(key, strict_json.as_object(value, "it")) for key, value in auths.items()]
            helpers = _read_helpers(config) if run_helpers else None
        except (VerificationError, ValueError):
            # No cause either: tracebacks end up in logs, and the cause may quote a secret.
            msg = f"{quote(name)} is no docker config: expected JSON with auths, each entry with auth or username"
            raise ConfigError(msg) from None
        return cls([entry for entry in entries if entry is not None], helpers, hashlib.sha256(data).hexdigest())

    @property
    def scope(self) -> str:
        """A hash of the whole config."""
        return self._scope

    def credentials(self, repository: Repository) -> Credentials | None:
        """Return the most exact entry's credentials, else what the registry's credential helper says.

        Raises:
            UnavailableError: a credential helper failed.
        """
        if self._helpers is not None and self._helpers.has_own(repository.registry):
            return self._ask_helper(self._helpers, repository)
        for entry in self._entries:
            if entry.covers(repository):
                return entry.credentials
        return self._ask_helper(self._helpers, repository) if self._helpers is not None else None

    def _ask_helper(self, helpers: CredentialHelpers, repository: Repository) -> Credentials | None:
        registry = repository.registry
        found = helpers.get(registry, DOCKER_HUB_KEY if registry == DOCKER_HUB else registry)
        if found is None:
            return None
        username, secret = found
        return Credentials(identity_token=secret) if username == "<token>" else Credentials(username, secret)


def _is_legacy(config: Mapping[str, object]) -> bool:
    """Return whether it looks like a `.dockercfg`: registries at the top, and nothing that a config.json has."""
    return bool(config) and all(isinstance(value, dict) and "auth" in value for value in config.values())


def _objects(config: Mapping[str, object], name: str) -> Mapping[str, object]:
    return strict_json.object_member(config, name, "it") if config.get(name) is not None else {}


def _read_helpers(config: Mapping[str, object]) -> CredentialHelpers | None:
    own = {
        _fold_key(key)[0]: strict_json.text_member({"it": name}, "it", "it")
        for key, name in _objects(config, "credHelpers").items()
    }
    store = strict_json.optional_text(config, "credsStore", "it") or None
    return CredentialHelpers(own, store) if own or store else None


def _read_entry(key: str, entry: Mapping[str, object]) -> _Entry | None:
    username = strict_json.optional_text(entry, "username", "it") or ""
    password = strict_json.optional_text(entry, "password", "it") or ""
    token = strict_json.optional_text(entry, "identitytoken", "it") or None
    auth = strict_json.optional_text(entry, "auth", "it")
    if auth:
        username, password = _decode_auth(auth)
    if not username and token is None:
        return None  # logged in by a helper, or out
    registry, path = _fold_key(key)
    return _Entry(registry, path, Credentials(username, password, token))


def _decode_auth(auth: str) -> tuple[str, str]:
    try:
        text = b64decode(auth, validate=True).decode()
    except binascii.Error as error:
        raise ValueError("auth is not base64") from error
    username, separator, password = text.partition(":")
    if not separator:
        raise ValueError("auth has no colon")
    return username, password.rstrip("\0")


def _fold_key(key: str) -> tuple[str, str]:
    """Return registry and path of an entry's key: `host`, `host/path`, or a URL whose `/v1/`, `/v2/` is no path."""
    rest = key.removeprefix("https://").removeprefix("http://")
    registry, _, path = rest.partition("/")
    for version in ("v1", "v2"):
        if path == version or path.startswith(f"{version}/"):
            path = path[len(version) + 1 :]
    return _fold_registry(registry), path.rstrip("/")


def _fold_registry(registry: str) -> str:
    try:
        return parse_registry(registry)
    except InvalidReferenceError:
        return registry.lower().removesuffix(":443")  # a wildcard; whatever else it is matches nothing


def _covers_registry(pattern: str, registry: str) -> bool:
    if "*" not in pattern:
        return pattern == registry
    pattern_host, _, pattern_port = pattern.partition(":")
    host, _, port = registry.partition(":")
    parts, pattern_parts = host.split("."), pattern_host.split(".")
    if port != pattern_port or len(parts) != len(pattern_parts):
        return False
    return all(_covers_part(one, part) for one, part in zip(pattern_parts, parts, strict=True))


def _covers_part(pattern: str, part: str) -> bool:
    """Return whether a part of a host name matches, in linear time: `*` is any run of characters."""
    first, *middle = pattern.split("*")
    if not middle:
        return pattern == part
    last = middle.pop()
    if len(part) < len(first) + len(last) or not part.startswith(first) or not part.endswith(last):
        return False
    position, end = len(first), len(part) - len(last)
    for piece in middle:
        found = part.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True
