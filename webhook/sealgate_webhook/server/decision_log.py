"""The webhook's part of the decision log: the members of a review's log line that only decisions have.

Every line with a `decision_id` is a decision, and keeps to the schema `docs/decision-log.schema.json`. Its
`decision_version` changes if a member is removed, renamed or given another meaning; members may be added. A line has
less than 48 KiB however its images and names are written, and nearly always less than 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealgate.decision_ids import FIELD, LOG_VERSION
from sealgate.messages import quote, shorten

if TYPE_CHECKING:
    from sealgate_webhook.admission.outcome import AdmissionOutcome
    from sealgate_webhook.reviews.request import AdmissionRequest

#: The most policies of one decision; `policy_count` counts all.
MAX_POLICIES: Final = 10
#: The most exceptions of one decision.
MAX_EXCEPTIONS: Final = 10
#: The most characters of the explanation.
MAX_MESSAGE: Final = 2048


def decision_fields(outcome: AdmissionOutcome, request: AdmissionRequest | None = None) -> dict[str, Any]:
    """Return the members of a decision's log line.

    Args:
        outcome: the outcome, with a decision id.
        request: the request; None if it could not be understood.
    """
    policies = [
        dict(zip(("policy", "action", "verdict", "reason"), unmet, strict=True))
        for unmet in dict.fromkeys(
            (policy.name, policy.action, policy.if_enforced.value, policy.reason.value)
            for verdict in outcome.verdicts
            for policy in verdict.policies
            if not policy.met
        )
    ]
    fields: dict[str, Any] = {FIELD: outcome.decision_id, "decision_version": LOG_VERSION, "action": _action(outcome)}
    if request is not None:
        fields |= {"user": quote(request.username), "dry_run": request.dry_run}
    if outcome.exceptions:
        fields["exceptions"] = list(outcome.exceptions[:MAX_EXCEPTIONS])
    message = shorten(outcome.lasting, MAX_MESSAGE)
    return fields | {"policies": policies[:MAX_POLICIES], "policy_count": len(policies), "message": message}


def _action(outcome: AdmissionOutcome) -> str:
    """Return what became of the request, as the action that does so."""
    if not outcome.response.allowed:
        return "Enforce"
    return "Warn" if outcome.response.warnings else "Audit"
