"""The key of a signing policy, opened: from a Secret, or in a key management service.

A Secret with a private key has the key under any name, and under `passphrase` (its first line counts) what an encrypted
key is opened with. Neither is in any message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.errors import InvalidKeyError, SigningError
from sealgate.keys.openpgp.secret_keys import SecretKeyFile
from sealgate.keys.private_keys import load_private_key
from sealgate.messages import quote
from sealgate.policies.signing_keys import kms_entry, with_algorithm
from sealgate.service_secrets import bytes_member, describe_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.clocks import Deadline
    from sealgate.keys.openpgp.signing import OpenPGPSigner
    from sealgate.keys.private_keys import PrivateKey
    from sealgate.keys.signing_keys import SigningKey
    from sealgate.kms.signing import KMSSigningKey
    from sealgate.service_secrets import ServiceSecrets
    from sealgate.signing.access import SigningAccess

#: The member of a Secret that has the passphrase of its private key.
PASSPHRASE = "passphrase"  # noqa: S105 - a name
_ARMOR = b"-----BEGIN PGP "


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A private key as a Secret has it.

    Attributes:
        name: the key for a person.
        content: the key, in whatever encoding.
        secret: the whole Secret.
    """

    name: str
    content: bytes = field(repr=False)
    secret: Mapping[str, bytes] = field(repr=False)

    @property
    def is_openpgp(self) -> bool:
        """Whether it is an armored OpenPGP key."""
        return is_armored(self.content)

    def required_passphrase(self) -> bytes:
        """Return the passphrase.

        Raises:
            InvalidKeyError: the Secret has none.
        """
        given = self.secret.get(PASSPHRASE)
        if given is None:
            raise InvalidKeyError(f"it is encrypted; add its passphrase to the Secret, under {PASSPHRASE}")
        return given.partition(b"\n")[0].rstrip(b"\r")


def is_armored(content: bytes) -> bool:
    """Return whether the content of a key file is an armored OpenPGP key."""
    return content.lstrip().startswith(_ARMOR)


def read_stored_key(policy: SigningPolicySpec, secrets: ServiceSecrets) -> StoredKey:
    """Read the private key that a policy with `key.secretRef` names.

    Raises:
        UnavailableError: the Secret does not exist, cannot be read, or lacks the member.
    """
    selector = policy.key.secret_ref
    assert selector is not None  # noqa: S101 - callers pass no other policies
    data = secrets.read(selector.name)
    content = bytes_member(selector.name, data, selector.key)
    return StoredKey(f"the key {quote(selector.key)} in {describe_secret(selector.name)}", content, data)


def open_key(
    policy: SigningPolicySpec, access: SigningAccess, deadline: Deadline, *, default: str | None = None
) -> SigningKey:
    """Open the key of a policy, ready to sign.

    Args:
        policy: whose key.
        access: sources of keys and credentials.
        deadline: for all requests to a key management service.
        default: the algorithm of a format whose default does not follow from the type of the key; None for others.

    Raises:
        SigningError: a key in a KMS must not or cannot sign (see `KMSSigningKeys.open`), or the Authenticator that is
            named does not have exactly one key, in a KMS, with the policy's algorithm.
        InvalidKeyError: a private key cannot be accepted, or cannot be decrypted.
        UnavailableError: the key's service, a Secret or the Authenticator is not there (and its subclasses).
    """
    if policy.key.secret_ref is not None:
        return _open_stored(read_stored_key(policy, access.secrets), policy)
    return open_kms_key(policy, access, deadline, default=default)


def open_kms_key(
    policy: SigningPolicySpec, access: SigningAccess, deadline: Deadline, *, default: str | None = None
) -> KMSSigningKey:
    """Open the key of a policy with `key.kms` or `key.authenticator`; see `open_key`."""
    entry = kms_entry(policy, access.authenticators)
    if entry.algorithm is None and default is not None:
        entry = with_algorithm(entry, default)
    return access.kms.open(entry, deadline)


def open_openpgp_key(policy: SigningPolicySpec, access: SigningAccess) -> OpenPGPSigner:
    """Open the OpenPGP key of a policy with `key.secretRef`.

    Raises:
        InvalidKeyError: the key cannot be accepted, cannot sign now, or the policy has an algorithm.
        UnavailableError: the Secret cannot be read, or lacks the member.
    """
    require_no_algorithm(policy)
    return openpgp_signer(read_stored_key(policy, access.secrets), access)


def openpgp_signer(stored: StoredKey, access: SigningAccess) -> OpenPGPSigner:
    """Return a stored OpenPGP key, ready to sign; see `open_openpgp_key`."""

    def passphrase() -> str:
        try:
            return stored.required_passphrase().decode()
        except UnicodeDecodeError:
            raise SigningError(f"{stored.name} cannot sign: its {PASSPHRASE} is not UTF-8 text") from None
        except InvalidKeyError as error:
            raise SigningError(f"{stored.name} cannot sign: {error.message}") from error

    return SecretKeyFile(stored.content, stored.name, access.clock.now(), passphrase)


def require_no_algorithm(policy: SigningPolicySpec) -> None:
    """Refuse a policy that chooses an algorithm where the key and the format decide it.

    Raises:
        InvalidKeyError: it does.
    """
    if policy.algorithm is not None:
        msg = f"{policy.format} signatures have the algorithm that belongs to the key; leave algorithm out"
        raise InvalidKeyError(msg)


def _open_stored(stored: StoredKey, policy: SigningPolicySpec) -> PrivateKey:
    try:
        return load_private_key(
            stored.content, stored.name, stored.required_passphrase, policy.algorithm, policy.distinguishing_id
        )
    except InvalidKeyError as error:
        raise InvalidKeyError(f"{stored.name}: {error.message}") from error
