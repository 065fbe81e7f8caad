"""Signers of policies with `notation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import InvalidKeyError
from sealgate.formats.notation.sign import EnvelopeType, algorithm_for, build_signer, check_current, read_chain
from sealgate.signing.policy_keys import open_key
from sealgate.signing.signers.interface import PolicyFormat

if TYPE_CHECKING:
    from cryptography import x509

    from sealgate.api.v1alpha1.signing_formats import NotationSigning
    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.clocks import Deadline
    from sealgate.formats.notation.sign import NotationSigner
    from sealgate.signing.access import SigningAccess


def _fields(policy: SigningPolicySpec) -> NotationSigning:
    assert policy.notation is not None  # noqa: S101 - callers pass no other policies
    return policy.notation


def _chain(policy: SigningPolicySpec) -> tuple[x509.Certificate, ...]:
    return read_chain(_fields(policy).certificate_chain.encode())


def _check_algorithm(policy: SigningPolicySpec) -> None:
    try:
        chain = _chain(policy)
    except InvalidKeyError:
        return  # the check of the chain reports it
    algorithm_for(chain, policy.algorithm)


def _open(policy: SigningPolicySpec, access: SigningAccess, deadline: Deadline) -> NotationSigner:
    fields = _fields(policy)
    chain = _chain(policy)
    check_current(chain, access.clock.now())
    with_algorithm = policy.model_copy(update={"algorithm": algorithm_for(chain, policy.algorithm)})
    key = open_key(with_algorithm, access, deadline)
    return build_signer(key, chain, EnvelopeType[fields.envelope], fields.annotations)


FORMAT = PolicyFormat("notation", {"notation.certificateChain": _chain, "algorithm": _check_algorithm}, _open)
