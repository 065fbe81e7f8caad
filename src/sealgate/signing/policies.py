"""Signers of signing policies: the format, the key and the store that a policy names, ready to sign.

signer = open_signer(policy.spec, access, deadline)
run = SigningRun(signer=signer, secrets=access.secrets, named_hosts=named_hosts(policy.spec), ...)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import SealgateError
from sealgate.signing.signers import cosign, grafeas, notary, notation, oracle, simple_signing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.clocks import Deadline
    from sealgate.formats.signing import Signer
    from sealgate.signing.access import SigningAccess
    from sealgate.signing.signers.interface import PolicyFormat

#: Every format by its field in the objects: one import and one line.
FORMATS: Mapping[str, PolicyFormat] = {
    each.format: each
    for each in (
        cosign.FORMAT,
        simple_signing.FORMAT,
        notary.FORMAT,
        notation.FORMAT,
        grafeas.FORMAT,
        oracle.FORMAT,
    )
}


def open_signer(policy: SigningPolicySpec, access: SigningAccess, deadline: Deadline) -> Signer:
    """Return the signer that a policy describes. The key is read now, and asked to sign only for an image.

    Args:
        policy: the policy's spec.
        access: sources of keys and credentials.
        deadline: for all requests to the key's service.

    Raises:
        SigningError: the key must not or cannot sign: it is not enabled, made for something else, has several
            versions, does not have the algorithm, or the Authenticator that is named has no such key.
        InvalidInputError: a private key cannot be accepted, or a field of the format is not valid (and its subclasses).
        UnavailableError: the key's service or a Secret is not there (and its subclasses).
    """
    chosen = FORMATS[policy.format]
    for check in chosen.checks.values():
        check(policy)
    return chosen.open(policy, access, deadline)


def field_problems(policy: SigningPolicySpec) -> Iterator[tuple[str, SealgateError]]:
    """Yield each field of a policy's format and key that the schema accepts and the format does not, with the reason.

    Keys are not read. Fields are paths below the spec ("cosign.signatureRepository").
    """
    for field, check in FORMATS[policy.format].checks.items():
        try:
            check(policy)
        except SealgateError as error:
            yield field, error


def named_hosts(policy: SigningPolicySpec) -> frozenset[str]:
    """Return the hosts that a policy names literally besides those of its images; they may have private addresses."""
    return FORMATS[policy.format].named_hosts(policy)
