"""Signers of policies with `cosign`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.formats.cosign.sign import CosignSigner, Storage
from sealgate.references import parse_repository
from sealgate.signing.policy_keys import open_key
from sealgate.signing.signers.interface import PolicyFormat

if TYPE_CHECKING:
    from sealgate.api.v1alpha1.signing_formats import CosignSigning
    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.clocks import Deadline
    from sealgate.references import Repository
    from sealgate.signing.access import SigningAccess


def _fields(policy: SigningPolicySpec) -> CosignSigning:
    assert policy.cosign is not None  # noqa: S101 - callers pass no other policies
    return policy.cosign


def _repository(policy: SigningPolicySpec) -> Repository | None:
    name = _fields(policy).signature_repository
    return None if name is None else parse_repository(name)


def _open(policy: SigningPolicySpec, access: SigningAccess, deadline: Deadline) -> CosignSigner:
    fields = _fields(policy)
    return CosignSigner(
        key=open_key(policy, access, deadline),
        storage=Storage(fields.storage.lower()),
        annotations=fields.annotations,
        signature_repository=_repository(policy),
    )


def _named_hosts(policy: SigningPolicySpec) -> frozenset[str]:
    repository = _repository(policy)
    return frozenset() if repository is None else frozenset({repository.registry})


FORMAT = PolicyFormat("cosign", {"cosign.signatureRepository": _repository}, _open, _named_hosts)
