"""Verifications made in the background: by the policies in force then, with the credentials of the same caller.

A review that is refused because its verification could not begin in time leaves behind what is to be verified: the
digest, the name of the authenticator, the namespace, and where its credentials come from. When there is room, that is
verified as for a review that comes then: policies and credentials are those of that moment, the result goes into the
same caches, and reviews that want it meanwhile join it. A tag is never resolved here, since its digest would expire
before it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sealgate.clocks import Deadline
from sealgate.errors import SealgateError
from sealgate.verification.background_queue import BackgroundEntry
from sealgate.verification.requests import VerificationRequest
from sealgate.verification.verifications import Verification

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sealgate.formats.interface import Image
    from sealgate.policies.matching import Namespace
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.verification.context import VerifierContext
    from sealgate.verification.observers import BackgroundResult
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.verification.requests import CurrentPolicies

#: What an entry takes in memory beside its texts, bytes.
_ENTRY_BYTES: Final = 1_536
#: What a label of the namespace takes, bytes: an entry may be the last that holds labels of before a change.
_LABEL_BYTES: Final = 210


def keep_for_background(context: VerifierContext, request: VerificationRequest, name: str, image: Image) -> None:
    """Have an image verified in the background, if the request is of a kind that is repeated.

    Args:
        context: shared parts of the verifier.
        request: the request that could not wait.
        name: name of the authenticator.
        image: the image, with its digest, as the authenticator's check gets it.
    """
    check = request.policies.checks.get(name)
    if request.current_policies is None or check is None or isinstance(check, SealgateError):
        return
    host = check.budget_host(image)
    work = _Work(context, request.current_policies, request.namespace, request.credentials, name, image, host)
    source = request.credentials.source
    tag = image.reference.effective_tag if check.depends_on_tag else None
    key = (name, image.reference.name, image.digest, tag, source)
    labels = sum(_LABEL_BYTES + len(label) + len(value) for label, value in request.namespace.labels.items())
    size = _ENTRY_BYTES + _text_bytes(key) + len(host) + labels
    context.background.keep(BackgroundEntry(key, host, request.namespace.name, size, work.run))


@dataclass(frozen=True, slots=True)
class _Work:
    """What an entry of the background queue needs to verify an image."""

    context: VerifierContext
    current_policies: CurrentPolicies
    namespace: Namespace
    credentials: CredentialProvider
    name: str
    image: Image
    host: str

    def run(self) -> BackgroundResult:
        """Verify the image; see `BackgroundEntry.run`.

        Raises:
            NoSlotError: the budget that replicas share has no slot that would be lost.
        """
        verification = self._verification()
        if verification is None:
            self.context.workers.give_back(self.host)
            return "obsolete"
        return verification.run_in_background()

    def _verification(self) -> Verification | None:
        """Return the verification under the policies in force; None if they need none, or none at this host."""
        context, policies = self.context, self.current_policies()
        if policies is None or not self._is_needed(policies):
            return None
        check = policies.checks.get(self.name)
        if check is None or isinstance(check, SealgateError):
            return None
        deadline = Deadline.after(context.clock, context.settings.verification_seconds)
        request = VerificationRequest(policies, self.namespace, self.credentials, deadline)
        verification = Verification(context, request, self.name, check, self.image)
        return verification if verification.host == self.host else None

    def _is_needed(self, policies: PolicySet) -> bool:
        """Return whether a policy requires the authenticator for the image, with its digest or with its tag alone."""
        reference = self.image.reference
        forms = {reference, replace(reference, digest=None)}
        matched = (match for form in forms for match in policies.index.match(form, self.namespace))
        return any(self.name in match.policy.authenticators for match in matched)


def _text_bytes(value: Hashable) -> int:
    """Return the length of all texts in nested tuples."""
    if isinstance(value, tuple):
        return sum(map(_text_bytes, value))
    return len(value) if isinstance(value, str) else 0
