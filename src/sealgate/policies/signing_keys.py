"""Which key in a KMS signs under a signing policy: one that it names, or that of an Authenticator; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.dependencies import key_sources
from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.errors import SigningError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from sealgate.api.v1alpha1.authenticator import AuthenticatorSpec
    from sealgate.api.v1alpha1.services import CredentialsSecret
    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec

    #: Returns the spec of the Authenticator of a name; None if there is none, or it is not valid.
    Authenticators: TypeAlias = Callable[[str], AuthenticatorSpec | None]


def kms_entry(policy: SigningPolicySpec, authenticators: Authenticators) -> KeyEntry:
    """Return the entry of the key in a KMS that a policy names: with `key.kms`, or with `key.authenticator`.

    Args:
        policy: the policy's spec.
        authenticators: returns the spec of the Authenticator of a name; None if there is none.

    Raises:
        SigningError: the Authenticator does not have exactly one key, in a KMS, with the policy's algorithm.
    """
    key = policy.key
    if key.kms is not None:
        document = {"kms": key.kms, "algorithm": policy.algorithm, "distinguishingId": policy.distinguishing_id}
        return KeyEntry.model_validate(document)
    assert key.authenticator is not None  # noqa: S101 - the model has checked that it is one of the three
    assert key.credentials_secret is not None  # noqa: S101 - as above
    entry = _only_key(key.authenticator, authenticators)
    for wanted, accepted in (
        (policy.algorithm, entry.algorithm),
        (policy.distinguishing_id, entry.distinguishing_id),
    ):
        if None not in {wanted, accepted} and wanted != accepted:
            msg = f"the Authenticator {quote(key.authenticator)} accepts {quote(accepted)}, and not {quote(wanted)}"
            raise SigningError(f"{msg}; leave algorithm and distinguishingId out")
    identifier = policy.distinguishing_id or entry.distinguishing_id
    return with_algorithm(entry, policy.algorithm or entry.algorithm, identifier, key.credentials_secret)


def _only_key(name: str, authenticators: Authenticators) -> KeyEntry:
    what = f"the Authenticator {quote(name)}, whose key is to sign,"
    spec = authenticators(name)
    if spec is None:
        raise SigningError(f"{what} does not exist or is not valid; add it, or name the key in key.kms")
    sources = [source for _, source in key_sources(spec, "")]
    if len(sources) != 1:
        raise SigningError(f"{what} has {len(sources)} keys and not one; name the key in key.kms")
    (source,) = sources
    if not isinstance(source, KeyEntry) or source.kms is None:
        raise SigningError(f"{what} does not have a key in a key management service; name the key in key.kms")
    return source


def with_algorithm(
    entry: KeyEntry,
    algorithm: str | None,
    distinguishing_id: str | None = None,
    credentials: CredentialsSecret | None = None,
) -> KeyEntry:
    """Return an entry for the same key in a KMS, with another algorithm and (if given) other credentials.

    Args:
        entry: an entry with `kms`.
        algorithm: the algorithm; None for the default of the key's type.
        distinguishing_id: of an SM2 key; None for the usual one.
        credentials: Secret with the credentials; None for those of the entry.
    """
    assert entry.kms is not None  # noqa: S101 - callers pass no other entries
    kms = entry.kms
    if credentials is not None:
        kms = kms.model_copy(update={kms.provider: kms.of.with_credentials(credentials)})
    return KeyEntry.model_validate({"kms": kms, "algorithm": algorithm, "distinguishingId": distinguishing_id})
