"""The interface between signing policies and a format: checks of its fields, and the signer that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.clocks import Deadline
    from sealgate.formats.signing import Signer
    from sealgate.signing.access import SigningAccess


@dataclass(frozen=True, slots=True)
class PolicyFormat:
    """One format.

    Attributes:
        format: the format's field name in the objects ("cosign"); callers pass no policies of other formats.
        checks: for fields of the spec ("cosign.signatureRepository"), what raises `SealgateError` if the schema accepts
            the field and the format does not; without network and Secrets.
        open: returns the signer; see `sealgate.signing.policies.open_signer`.
        named_hosts: returns the hosts that the policy names literally, besides those of the images.
    """

    format: str
    checks: Mapping[str, Callable[[SigningPolicySpec], object]]
    open: Callable[[SigningPolicySpec, SigningAccess, Deadline], Signer]
    named_hosts: Callable[[SigningPolicySpec], frozenset[str]] = lambda _: frozenset()
