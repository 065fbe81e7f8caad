"""Where an authenticator's keys come from: one resolver for each way of running sealgate.

A format asks a `KeyResolver` for the keys of each entry and never knows whether they were in the policy, in a
Secret or in a KMS. Standalone, everything is among the policy files; in a cluster the operator resolves what is
not inline and writes it into the object's status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sealgate.errors import InvalidKeyError, UnavailableError
from sealgate.keys.public_keys import load_public_key
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.keyless import TrustedRootSource
    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.api.v1alpha1.kms import KMSSource
    from sealgate.api.v1alpha1.model import SecretKeySelector
    from sealgate.keys.public_keys import PublicKey


class KeyResolver(Protocol):
    """The keys behind one entry of an authenticator."""

    def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
        """Return the public keys of an entry; a key of a KMS may have several versions.

        None are returned only by resolvers that leave out what cannot be used (`UsableKeys`).

        Raises:
            InvalidKeyError: what the entry names is not a key that can be accepted.
            KeyRefusedError: what the entry names must not be used.
            UnavailableError: what the entry names is not there (yet); reason *AuthenticatorNotReady*.
        """

    def secret(self, reference: SecretKeySelector) -> bytes:
        """Return one key of a Secret as it is: an OpenPGP keyring, a certificate.

        Raises:
            UnavailableError: it is not there (yet); reason *AuthenticatorNotReady*.
        """

    def trusted_root(self, source: TrustedRootSource) -> bytes:
        """Return a trusted root of sigstore that is neither in the spec nor shipped, as JSON.

        Raises:
            KeyRefusedError: what the source names must not be used.
            UnavailableError: it is not there (yet); reason *AuthenticatorNotReady*.
        """


class UsableKeys:
    """What can be used of an authenticator's keys, and why the rest cannot.

    One key that was disabled in its KMS must not stop an authenticator that has others: images signed with those would
    be denied.

    Args:
        resolver: where the keys come from.

    Attributes:
        missing: why entries were left out.
    """

    def __init__(self, resolver: KeyResolver) -> None:
        self._resolver = resolver
        self.missing: list[UnavailableError] = []

    def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
        """Return the entry's keys, none where they cannot be used; see `KeyResolver.public_keys`."""
        try:
            return self._resolver.public_keys(entry)
        except UnavailableError as error:
            self.missing.append(error)
            return ()

    def secret(self, reference: SecretKeySelector) -> bytes:
        """Return one key of a Secret; see `KeyResolver.secret`."""
        return self._resolver.secret(reference)

    def trusted_root(self, source: TrustedRootSource) -> bytes:
        """Return a trusted root; see `KeyResolver.trusted_root`."""
        return self._resolver.trusted_root(source)


class KMSKeyReader(Protocol):
    """Keys that were read from key management services a while ago, and may still be used."""

    def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
        """Return the keys behind a `kms` entry; see `KeyResolver.public_keys`. Never waits for a network."""


class FileKeys:
    """Resolver for policy files: inline keys, Secrets and ConfigMaps among the files, keys that a reader has of a KMS.

    Args:
        secrets: the decoded data of each Secret by its name.
        kms: keys out of KMSs; without it, entries that name one are not ready.
        config_maps: the data of each ConfigMap by its name; None for none.
    """

    def __init__(
        self,
        secrets: Mapping[str, Mapping[str, bytes]],
        kms: KMSKeyReader | None = None,
        config_maps: Mapping[str, Mapping[str, bytes]] | None = None,
    ) -> None:
        self._secrets = secrets
        self._kms = kms
        self._config_maps = config_maps or {}

    def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
        """Return the entry's keys; see `KeyResolver.public_keys`."""
        if sum(source is not None for source in (entry.pem, entry.secret_ref, entry.kms)) != 1:
            msg = "a key entry has exactly one source: write either pem, secretRef or kms"
            raise InvalidKeyError(msg)
        if entry.kms is not None:
            return self._of_kms(entry, entry.kms)
        if entry.secret_ref is None:
            return (load_public_key(entry.pem or "", entry.algorithm, entry.distinguishing_id),)
        try:
            return (load_public_key(self.secret(entry.secret_ref), entry.algorithm, entry.distinguishing_id),)
        except InvalidKeyError as error:
            msg = f"key {quote(entry.secret_ref.key)} of Secret {quote(entry.secret_ref.name)}: {error.message}"
            raise InvalidKeyError(msg) from error

    def _of_kms(self, entry: KeyEntry, kms: KMSSource) -> tuple[PublicKey, ...]:
        if self._kms is None:
            msg = f"{kms.source}: nothing here reads keys from a KMS"
            raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)
        return self._kms.public_keys(entry)

    def secret(self, reference: SecretKeySelector) -> bytes:
        """Return one key of a Secret among the policy files; see `KeyResolver.secret`."""
        return _member(self._secrets, "Secret", reference.name, reference.key)

    def trusted_root(self, source: TrustedRootSource) -> bytes:
        """Return one key of a Secret or ConfigMap among the policy files; see `KeyResolver.trusted_root`."""
        if source.config_map_ref is not None:
            return _member(self._config_maps, "ConfigMap", source.config_map_ref.name, source.config_map_ref.key)
        if source.secret_ref is not None:
            return self.secret(source.secret_ref)
        msg = (
            "a trusted root with source: Fetched is there in a cluster only, where the operator fetches it; for policy "
            "files write another source"
        )
        raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)


def _member(objects: Mapping[str, Mapping[str, bytes]], kind: str, name: str, key: str) -> bytes:
    data = objects.get(name)
    if data is None:
        msg = f"{kind} {quote(name)} is not among the policy files; add it"
        raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)
    if key not in data:
        msg = f"{kind} {quote(name)} has no key {quote(key)}; add it, or name another"
        raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)
    return data[key]
