"""Signers of policies with `oracle`: one version of a key in a vault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import InvalidKeyError, SigningError
from sealgate.formats.oracle.service import SignatureService, service_url
from sealgate.formats.oracle.sign import OracleSigner, build_signer
from sealgate.formats.oracle.wire import ALGORITHMS, require_metadata
from sealgate.signing.policy_keys import open_kms_key
from sealgate.signing.signers.interface import PolicyFormat

if TYPE_CHECKING:
    from sealgate.api.v1alpha1.signing_formats import OracleSigning
    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.clocks import Deadline
    from sealgate.signing.access import SigningAccess

#: What signs unless a policy or user says otherwise.
DEFAULT_ALGORITHM = "RSA_PSS_SHA_256"


def _fields(policy: SigningPolicySpec) -> OracleSigning:
    assert policy.oracle is not None  # noqa: S101 - callers pass no other policies
    return policy.oracle


def _url(policy: SigningPolicySpec) -> str:
    fields = _fields(policy)
    return (fields.endpoint or service_url(fields.region, fields.compartment_id)).rstrip("/")


def _check_algorithm(policy: SigningPolicySpec) -> None:
    known = sorted(map(str, ALGORITHMS.values()))
    if policy.algorithm is not None and policy.algorithm not in known:
        raise InvalidKeyError(f"image signatures have one of {', '.join(known)}, and not {policy.algorithm}")


def _open(policy: SigningPolicySpec, access: SigningAccess, deadline: Deadline) -> OracleSigner:
    fields = _fields(policy)
    key = open_kms_key(policy, access, deadline, default=DEFAULT_ALGORITHM)
    if key.source.oracle is None:
        raise SigningError(f"{key.name} is not a key in a vault of Oracle Cloud; name one that is")
    return build_signer(
        SignatureService(_url(policy), None if fields.ca is None else fields.ca.pem, fields.compartment_id, False),
        fields.credentials_secret.name,
        key,
        key.source.oracle.key_id,
        region=fields.region,
        description=fields.description,
        metadata=fields.metadata,
    )


FORMAT = PolicyFormat(
    "oracle",
    {
        "oracle.compartmentId": _url,
        "oracle.metadata": lambda policy: require_metadata(_fields(policy).metadata),
        "algorithm": _check_algorithm,
    },
    _open,
)
