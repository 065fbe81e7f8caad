"""Results of verification for reports of other tools: one for each policy that decides about an image.

A policy's result is never more severe than the verdict of its image, which is what admission does with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.findings import Outcome
from sealgate.messages import quote, quote_image, shorten
from sealgate.policies.decisions import SEVERITY, Verdict
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.cli.questions import Answer
    from sealgate.policies.decisions import ImageVerdict, PolicyResult

#: The most characters of a message.
MAX_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Result:
    """What one policy, or `unmatchedImages`, says about one image. All texts are escaped.

    Attributes:
        answer: the image and its verdict.
        policy: name of the policy; empty if no policy decides.
        action: the policy's action; empty if no policy decides.
        verdict: what admission does with the image because of it.
        met: whether the policy is met; true if no policy decides and the image is admitted without a warning.
        reason: the machine-readable reason.
        message: the same for a person, one line.
    """

    answer: Answer
    policy: str
    action: str
    verdict: Verdict
    met: bool
    reason: Reason
    message: str

    @property
    def namespace(self) -> str:
        """The namespace, escaped; the words for one that is not known."""
        return quote(self.answer.question.namespace) if self.answer.named else "any namespace"


def results_of(answer: Answer) -> Iterator[Result]:
    """Yield the result of each policy of an image, then one without a policy if that decides too."""
    verdict = answer.verdict
    worst = Verdict.ADMIT
    for policy in verdict.policies:
        decided = min(policy.verdict, verdict.verdict, key=SEVERITY.__getitem__)
        worst = max(worst, decided, key=SEVERITY.__getitem__)
        reason, message = (Reason.VERIFIED, "verified") if policy.met else _explain(policy, verdict)
        text = f"{quote_image(verdict.image)}: policy {quote(policy.name)} ({quote(policy.action)}): {message}"
        yield Result(
            answer, quote(policy.name), quote(policy.action), decided, policy.met, reason, shorten(text, MAX_MESSAGE)
        )
    if not verdict.policies or worst is not verdict.verdict:
        met = verdict.verdict is Verdict.ADMIT
        yield Result(answer, "", "", verdict.verdict, met, verdict.reason, shorten(verdict.message, MAX_MESSAGE))


def _explain(policy: PolicyResult, verdict: ImageVerdict) -> tuple[Reason, str]:
    if policy.problem:
        return Reason.INVALID_POLICY, f"it cannot be read, so no image meets it: {policy.problem}"
    missing = [finding for finding in policy.findings if finding.outcome is not Outcome.VERIFIED]
    reasons = {finding.reason for finding in missing}
    reason = reasons.pop() if len(reasons) == 1 else Reason.POLICY_NOT_SATISFIED
    if not missing:
        return reason, verdict.message
    why = "; ".join(f"{quote(finding.authenticator)}: {finding.message}" for finding in missing)
    return reason, f"{policy.satisfied} of {policy.required} met: {why}"
