"""Resolves a `kms` entry of a policy to accepted or refused keys.

The operator writes the result into the authenticator's status; the command line and standalone mode keep it in
memory. Both use a key until `validUntil` at the latest, so that a service that cannot be reached is not trusted for
ever. A service that answers is believed at once: what is disabled or deleted there is refused from then on.

A further provider is one module with a `fetch`, one line in `PROVIDERS`, and its fields in
`sealgate.api.v1alpha1.kms`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.status import KeyStatus
from sealgate.clocks import timestamp
from sealgate.errors import InvalidKeyError, UnavailableError
from sealgate.keys.public_keys import load_public_key
from sealgate.kms.interface import KMSKey
from sealgate.kms.providers import alibaba, aws, azure, google, huawei, oracle, vault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.clocks import Clock
    from sealgate.http.interface import Services
    from sealgate.keys.public_keys import PublicKey
    from sealgate.kms.credentials import KMSCredentials
    from sealgate.kms.interface import Fetch

#: Interval between two reads of a key in seconds; a disabled key is refused after that at the latest.
REFRESH_SECONDS = 300.0
#: The number of failed reads after which an accepted key is not used any more.
REFRESHES_VALID = 3

#: How each provider is asked, by its field in `KMSSource`.
PROVIDERS: Mapping[str, Fetch[Any]] = {
    "huawei": huawei.fetch,
    "alibaba": alibaba.fetch,
    "oracle": oracle.fetch,
    "aws": aws.fetch,
    "google": google.fetch,
    "azure": azure.fetch,
    "vault": vault.fetch,
}
_MAX_MESSAGE = 4096


def resolve_kms(
    entry: KeyEntry, credentials: KMSCredentials, services: Services, clock: Clock, *, refresh: float = REFRESH_SECONDS
) -> tuple[KeyStatus, ...]:
    """Read the key of an entry from its KMS, and accept or refuse each version.

    Args:
        entry: with `kms`.
        credentials: where credentials are.
        services: how the service is asked, and until when.
        clock: the time.
        refresh: seconds after which it will be asked again; an accepted key is valid for three times that.

    Returns:
        At least one: each version of the key, accepted with its PEM or refused with the reason.

    Raises:
        UnavailableError: nothing could be found out; what was known before stays valid until it ends.
    """
    assert entry.kms is not None  # noqa: S101 - callers pass no other entries
    asked_at = clock.now()
    found = PROVIDERS[entry.kms.provider](entry.kms.of, credentials, services, clock)
    none = KMSKey("", "", reason="KeyNotFound", message="the key has no versions; create one, or check keyId")
    return tuple(_judge(entry, key, asked_at, refresh) for key in found or (none,))


def remaining_keys(
    entry: KeyEntry, known: Iterable[KeyStatus], error: UnavailableError, now: datetime
) -> tuple[KeyStatus, ...]:
    """Return what is left of an entry's keys when nothing new could be found out about them.

    Keys that were good stay so until they end, with their end unmoved. When none is left, one refused key says why.

    Args:
        entry: with `kms`.
        known: what was known.
        error: why there is nothing new.
        now: the time.
    """
    assert entry.kms is not None  # noqa: S101 - callers pass no other entries
    versions = entry.kms.versions
    kept = tuple(key for key in known if key.is_usable(now) and (not versions or key.key_version in versions))
    return kept or (_refused(entry, KMSKey("", ""), error.reason.value, error.message, now),)


def _judge(entry: KeyEntry, key: KMSKey, asked_at: datetime, refresh: float) -> KeyStatus:
    if key.pem is None:
        return _refused(entry, key, key.reason, key.message, asked_at)
    try:
        loaded = load_public_key(key.pem, entry.algorithm, entry.distinguishing_id)
    except InvalidKeyError as error:
        return _refused(entry, key, "InvalidKey", error.message, asked_at)
    if loaded.kind != key.kind:
        msg = f"the KMS calls the key {key.kind}, and it is {loaded.kind}; check endpoint and keyId"
        return _refused(entry, key, "InvalidKey", msg, asked_at)
    if key.algorithm not in {None, loaded.algorithm} and entry.has_one_algorithm:
        # Accepted, it would verify nothing, and no message would say why.
        msg = (
            f"the key signs with {key.algorithm} only, and the entry accepts {loaded.algorithm}; set algorithm: "
            f"{key.algorithm}"
        )
        return _refused(entry, key, "AlgorithmMismatch", msg, asked_at)
    return _accepted(entry, key, loaded, asked_at, refresh)


def _accepted(entry: KeyEntry, key: KMSKey, loaded: PublicKey, asked_at: datetime, refresh: float) -> KeyStatus:
    assert entry.kms is not None  # noqa: S101 - as above
    return KeyStatus(
        source=entry.kms.source,
        state="Accepted",
        pem=key.pem,
        algorithm=loaded.algorithm.value if entry.has_one_algorithm else None,
        fingerprint=loaded.fingerprint,
        key_version=key.version or None,
        observed_at=timestamp(asked_at),
        valid_until=timestamp(asked_at + timedelta(seconds=REFRESHES_VALID * refresh)),
    )


def _refused(entry: KeyEntry, key: KMSKey, reason: str, message: str, asked_at: datetime) -> KeyStatus:
    assert entry.kms is not None  # noqa: S101 - as above
    return KeyStatus(
        source=entry.kms.source,
        state="Refused",
        reason=reason,
        message=message[:_MAX_MESSAGE],
        key_version=key.version or None,
        observed_at=timestamp(asked_at),
    )
