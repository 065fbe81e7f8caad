"""Credentials for registries: docker config files, credential helpers, and the protocol for other sources.

Entries match as in the kubelet: an entry is for the images whose registry is the entry's (a `*` matches any run of
characters inside one part of the name) and whose repository begins with the entry's path. Every entry that matches is a
*candidate*; the most exact one is tried first.

Credentials are compared by a *fingerprint*, a hash of their content under a random key of this process. Equal robot
accounts in many namespaces are therefore one, and no fingerprint in memory or in a log can be tried against a password
list. The fingerprints of all candidates for a repository, in order, are the *identity* of the caller that has them.

Credentials may have a *lease* in place of a secret: it obtains the secret when a registry asks for it, and again before
that expires. They are compared by the identity that the lease belongs to, so that a new secret does not make
another caller.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections import defaultdict
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sealgate.errors import ConfigError, InvalidReferenceError
from sealgate.messages import quote
from sealgate.parsing import strict_json
from sealgate.references import DOCKER_HUB, parse_registry
from sealgate.registry.credential_helpers import CredentialHelpers

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from sealgate.clocks import Deadline
    from sealgate.references import Repository

#: Maximum bytes of a docker config file.
MAX_CONFIG_BYTES = 1 << 20
#: Maximum number of entries in `auths`.
MAX_ENTRIES = 1024
#: Maximum number of credentials that are tried for one repository.
MAX_CREDENTIALS = 8
#: The key under which docker stores Docker Hub's credentials.
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
#: The key of fingerprints; every process has another one.
_FINGERPRINT_KEY = token_bytes(32)
_FINGERPRINT_BYTES = 16
#: Approximate bytes that an entry takes in memory besides its text.
_ENTRY_BYTES = 1 << 10
_ENTRY_MEMBERS = frozenset({"auth", "username"})
_WHITE_SPACE = re.compile(r"\s+", re.ASCII)


class Lease(Protocol):
    """Obtains the secret of an identity, and caches it until shortly before it expires. Thread-safe."""

    def obtain(self, deadline: Deadline) -> Login:
        """Return the secret; may wait for the network.

        Raises:
            UnavailableError: it could not be obtained, or not by the deadline.
        """

    def refused(self, login: Login) -> None:
        """Note that a registry refused a secret."""


@dataclass(frozen=True, slots=True)
class Login:
    """What one request for a token, or to a registry, is authenticated with.

    Attributes:
        username: the user name; may be empty if there is an identity token.
        password: the password; may be empty if there is an identity token.
        identity_token: OAuth2 refresh token for the registry's token service; None for none.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and password, a refresh token, or a lease. Secrets are not in the `repr`.

    Attributes:
        username: the user name; may be empty if there is an identity token or a lease.
        password: the password; may be empty if there is an identity token or a lease.
        identity_token: OAuth2 refresh token for the registry's token service; None for none.
        hosts: the only hosts that they may be sent to, as references spell them; None for their registry and the token
            service that it names.
        identity: the identity that a lease belongs to, of more than three parts; empty for credentials that have none.
        lease: obtains the secret; None for credentials that hold it.
        fingerprint: a keyed hash of `compared`, 16 bytes; equal for equal credentials in this process.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] | None = field(default=None, repr=False, compare=False)
    identity: tuple[str, ...] = ()
    lease: Lease | None = field(default=None, repr=False, compare=False)
    fingerprint: bytes = field(init=False, repr=False, compare=False)

    def only_for(self, hosts: frozenset[str]) -> Credentials:
        """Return the same credentials, which may be sent to some hosts only."""
        return replace(self, hosts=hosts)

    @property
    def compared(self) -> tuple[str, ...]:
        """What credentials are compared by: the identity of a lease, else the content. They have different lengths."""
        return self.identity or (self.username, self.password, self.identity_token or "")

    def obtain(self, deadline: Deadline) -> Credentials:
        """Return the same credentials with their secret; may wait for the network where there is a lease.

        Raises:
            UnavailableError: the secret could not be obtained.
        """
        if self.lease is None:
            return self
        login = self.lease.obtain(deadline)
        return replace(self, username=login.username, password=login.password, identity_token=login.identity_token)

    def refused(self) -> None:
        """Note that a registry, or its token service, refused the secret that `obtain` returned."""
        if self.lease is not None:
            self.lease.refused(Login(self.username, self.password, self.identity_token))

    def __post_init__(self) -> None:
        """Compute the fingerprint.

        Raises:
            ValueError: a part is not text that can be sent (it has lone surrogates).
        """
        hasher = blake2b(key=_FINGERPRINT_KEY, digest_size=_FINGERPRINT_BYTES)
        for part in self.compared:
            data = part.encode()
            # The length first, so that different lists of parts are never hashed as the same bytes.
            hasher.update(len(data).to_bytes(8, "big"))
            hasher.update(data)
        object.__setattr__(self, "fingerprint", hasher.digest())


class Exactness(NamedTuple):
    """How exactly an entry names a repository; the greatest is tried first.

    Attributes:
        literal: whether the registry is written without wildcards.
        registry: length of the registry as written, in characters.
        path: length of the path, in characters.
    """

    literal: bool
    registry: int
    path: int


class Candidate(NamedTuple):
    """Credentials that match a repository.

    Attributes:
        exactness: how exactly their entry names the repository.
        credentials: the credentials.
    """

    exactness: Exactness
    credentials: Credentials


class CredentialProvider(Protocol):
    """Reads credentials from one source. Thread-safe."""

    @property
    def source(self) -> Hashable:
        """The source of the credentials: providers with equal sources have equal credentials."""

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        """Return all credentials that match a repository, the most exact first; may wait for the network.

        Raises:
            UnavailableError: they could not be read.
        """

    def cached(self, repository: Repository) -> Sequence[Candidate] | None:
        """Return the same from memory, without waiting; None if they would have to be read."""


class NoCredentials:
    """Has no credentials for any registry."""

    @property
    def source(self) -> Hashable:
        """The same for every instance."""
        return ()

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        """Return none."""
        del repository
        return ()

    def cached(self, repository: Repository) -> Sequence[Candidate]:
        """Return none."""
        return self.candidates(repository)


class CredentialChain:
    """All credentials of several providers, the most exact first; of equally exact ones the first provider's.

    Args:
        providers: the more specific before the others (a pod's pull secrets before the cluster's).
    """

    def __init__(self, providers: Iterable[CredentialProvider]) -> None:
        self._providers = tuple(providers)

    @property
    def source(self) -> Hashable:
        """The sources of all providers, in order."""
        return tuple(provider.source for provider in self._providers)

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        """Return the candidates of all providers."""
        return merge(provider.candidates(repository) for provider in self._providers)

    def cached(self, repository: Repository) -> Sequence[Candidate] | None:
        """Return the same from memory; None if one of the providers would have to read."""
        found = []
        for provider in self._providers:
            candidates = provider.cached(repository)
            if candidates is None:
                return None
            found.append(candidates)
        return merge(found)


def merge(lists: Iterable[Sequence[Candidate]]) -> Sequence[Candidate]:
    """Return the candidates of all lists, the most exact first; equally exact ones stay in the order given."""
    every = [candidate for candidates in lists for candidate in candidates]
    return sorted(every, key=lambda candidate: candidate.exactness, reverse=True)


def first_different(candidates: Iterable[Candidate]) -> Sequence[Candidate]:
    """Return the first candidate with each of the first `MAX_CREDENTIALS` different credentials; no other is tried."""
    found: dict[bytes, Candidate] = {}
    for candidate in candidates:
        found.setdefault(candidate.credentials.fingerprint, candidate)
        if len(found) == MAX_CREDENTIALS:
            break
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of `auths`: registry, prefix of the path, and credentials."""

    registry: str
    path: str
    credentials: Credentials

    def covers(self, repository: Repository) -> bool:
        return repository.path.startswith(self.path) and _covers_registry(self.registry, repository.registry)

    @property
    def candidate(self) -> Candidate:
        exactness = Exactness("*" not in self.registry, len(self.registry), len(self.path))
        return Candidate(exactness, self.credentials)


class DockerConfigCredentials:
    """The credentials of one docker config (`auths`, and where programs may be run `credHelpers`, `credsStore`).

    Args:
        entries: the entries of `auths` that hold credentials.
        helpers: the credential helpers that may be run; None for none.
        unreadable: keys of the entries that were left out because they cannot be read.
        size: size of the config in bytes.
    """

    def __init__(
        self, entries: Sequence[_Entry], helpers: CredentialHelpers | None, unreadable: Sequence[str], size: int
    ) -> None:
        # Each the most exact first, so that the comparisons end with the last candidate that is tried.
        self._literal: defaultdict[str, list[_Entry]] = defaultdict(list)
        self._wildcards: list[_Entry] = []
        for entry in sorted(entries, key=lambda entry: entry.candidate.exactness, reverse=True):
            (self._wildcards if "*" in entry.registry else self._literal[entry.registry]).append(entry)
        self._helpers = helpers
        self.unreadable = tuple(unreadable)
        #: Approximate bytes that this object takes in memory.
        self.size = size + len(entries) * _ENTRY_BYTES

    @classmethod
    def from_file(cls, path: Path | str) -> DockerConfigCredentials:
        """Read a docker config file of the user who runs this process; its credential helpers may be run.

        Raises:
            ConfigError: it cannot be read, or is not a docker config. The message quotes none of its content.
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
        """Read a docker config, or the older form that consists of its `auths` only.

        Args:
            data: the JSON, as bytes.
            name: its name in messages ("Secret shop/pull").
            run_helpers: whether credential helpers that it names may be run. Never true for configs of tenants.

        Raises:
            ConfigError: it is not a docker config. The message quotes none of its content. An entry that cannot be
                read is left out and listed in `unreadable`.
        """
        try:
            config = strict_json.parse_object(data, "it", limit=MAX_CONFIG_BYTES)
            auths = _objects(config, "auths") if "auths" in config or not _is_legacy(config) else config
            helpers = _read_helpers(config) if run_helpers else None
        except ValueError:
            # Without the cause: tracebacks go to logs, and the cause may quote a secret.
            msg = f"{quote(name)} is not a docker config: expected JSON with auths"
            raise ConfigError(msg) from None
        if len(auths) > MAX_ENTRIES:
            raise ConfigError(f"{quote(name)} is a docker config with more than {MAX_ENTRIES} entries")
        entries, unreadable = [], []
        for key, value in auths.items():
            try:
                entry = None if value is None else _read_entry(key, strict_json.as_object(value, "it"))
            except ValueError:
                unreadable.append(key)
                continue
            if entry is not None:
                entries.append(entry)
        return cls(entries, helpers, unreadable, len(data))

    @property
    def source(self) -> Hashable:
        """The object itself: no other config has an equal source."""
        return self

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        """Return the first different entries that match, or what the registry's credential helper returns.

        Raises:
            UnavailableError: a credential helper failed.
        """
        return self._matching(repository) or self._ask_helper(repository)

    def cached(self, repository: Repository) -> Sequence[Candidate] | None:
        """Return the same; None if a credential helper has to be run."""
        return self._matching(repository) or (() if self._helpers is None else None)

    def comparisons(self, repository: Repository) -> int:
        """Return how many entries `candidates` may have to compare with a repository."""
        return len(self._literal.get(repository.registry, ())) + len(self._wildcards)

    def _matching(self, repository: Repository) -> Sequence[Candidate]:
        if self._helpers is not None and self._helpers.has_own(repository.registry):
            return ()
        entries = chain(self._literal.get(repository.registry, ()), self._wildcards)
        return first_different(entry.candidate for entry in entries if entry.covers(repository))

    def _ask_helper(self, repository: Repository) -> Sequence[Candidate]:
        if self._helpers is None:
            return ()
        registry = repository.registry
        found = self._helpers.get(registry, DOCKER_HUB_KEY if registry == DOCKER_HUB else registry)
        if found is None:
            return ()
        username, secret = found
        credentials = Credentials(identity_token=secret) if username == "<token>" else Credentials(username, secret)
        return (Candidate(Exactness(True, len(registry), 0), credentials),)  # noqa: FBT003 - a NamedTuple's field


def _is_legacy(config: Mapping[str, object]) -> bool:
    """Return whether a config without `auths` is a `.dockercfg`, whose members are registries."""
    return any(isinstance(value, dict) and not _ENTRY_MEMBERS.isdisjoint(value) for value in config.values())


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
    """Return user name and password. Like the kubelet, accept base64 without padding and with white space."""
    packed = _WHITE_SPACE.sub("", auth)
    padding = "" if packed.endswith("=") else "=" * (-len(packed) % 4)
    try:
        text = b64decode(packed + padding, validate=True).decode()
    except binascii.Error as error:
        raise ValueError("auth is not base64") from error
    username, separator, password = text.partition(":")
    if not separator:
        raise ValueError("auth has no colon")
    return username, password.rstrip("\0")


def _fold_key(key: str) -> tuple[str, str]:
    """Return registry and path of an entry's key: `host`, `host/path`, or a URL, without `/v1/` and `/v2/`."""
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
        return registry.lower().removesuffix(":443")  # a wildcard; other invalid names match nothing


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
    """Return whether a part of a host name matches, in linear time: `*` matches any run of characters."""
    first, *middle = pattern.split("*")
    if not middle:
        return pattern == part
    last = middle.pop()
    # A pattern may be as long as a docker config, a part of a name may not.
    if len(part) < len(pattern) - pattern.count("*") or not part.startswith(first) or not part.endswith(last):
        return False
    position, end = len(first), len(part) - len(last)
    for piece in filter(None, middle):
        found = part.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True
