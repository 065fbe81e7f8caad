"""Compiled policies and authenticators: compiled once for each change, then only read.

A `PolicySet` is a snapshot. A request uses one to its end, so that no request ever sees half of a change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.errors import SealgateError
from sealgate.formats.build import build_check
from sealgate.policies.decisions import UnmatchedImages
from sealgate.policies.exceptions import NO_EXCEPTIONS, ExceptionIndex
from sealgate.policies.matching import PolicyIndex
from sealgate.service_secrets import NoServiceSecrets, ServiceSecrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
    from sealgate.formats.interface import Check
    from sealgate.keys.resolvers import KeyResolver
    from sealgate.policies.matching import CompiledPolicy


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Everything that decides about images, as of one moment. Immutable.

    Attributes:
        index: the policies, compiled for matching.
        checks: the check of each authenticator, by the authenticator's name; or why it cannot be used.
        unmatched: what happens to an image that no policy matches.
        literal_hosts: hosts that a policy or an authenticator names literally; they may have private addresses.
        secrets: credentials for the signature stores that authenticators name.
        exceptions: what lifts denials for a time.
    """

    index: PolicyIndex
    checks: Mapping[str, Check | SealgateError]
    unmatched: UnmatchedImages
    literal_hosts: frozenset[str]
    secrets: ServiceSecrets = field(default_factory=NoServiceSecrets)
    exceptions: ExceptionIndex = NO_EXCEPTIONS


def build_policy_set(
    authenticators: Iterable[Authenticator],
    policies: Iterable[VerificationPolicy],
    keys_of: Callable[[Authenticator], KeyResolver],
    unmatched: UnmatchedImages = UnmatchedImages.ADMIT,
    secrets: ServiceSecrets | None = None,
    compiled: Iterable[CompiledPolicy] = (),
) -> PolicySet:
    """Compile a snapshot.

    An authenticator that cannot be used is kept with its error: the policies that require it are not met, and all
    others work.

    Args:
        authenticators: valid objects.
        policies: valid objects.
        keys_of: returns the resolver of an authenticator's keys (from the Secrets in files, or the object's status).
        unmatched: what happens to an image that no policy matches.
        secrets: credentials for signature stores; none by default.
        compiled: further policies, compiled already; among them the substitutes of those that could not be read.

    Raises:
        InvalidPatternError: a pattern of a policy does not compile. Without it the policy would match less, and admit.
    """
    checks: dict[str, Check | SealgateError] = {}
    for authenticator in authenticators:
        try:
            checks[authenticator.metadata.name] = build_check(authenticator, keys_of(authenticator))
        except SealgateError as error:
            checks[authenticator.metadata.name] = error
    index = PolicyIndex(policies, compiled)
    named = (check.named_hosts for check in checks.values() if not isinstance(check, SealgateError))
    literal_hosts = index.literal_hosts.union(*named)
    return PolicySet(index, checks, unmatched, literal_hosts, secrets or NoServiceSecrets())
