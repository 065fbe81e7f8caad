"""Outcome of a request: what the response says, and what is logged and counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from sealgate.decision_ids import new_decision_id
from sealgate_webhook.reviews.response import ALLOWED, AdmissionResponse, name_decision

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate.policies.decisions import ImageVerdict
    from sealgate_webhook.reviews.request import AdmissionRequest


@dataclass(frozen=True, slots=True)
class AdmissionOutcome:
    """Outcome of a request, for the API server, the log and the metrics.

    Attributes:
        response: response to the API server.
        reason: one word for the log and the metrics: a verdict, or why there was nothing to judge.
        verdicts: one for each different image.
        lasting: why the request is denied, or would be if all policies enforced: the same for the same objections, so
            without the age of cached verdicts and without the decision's id. Empty if the response's message says it.
        decision_id: id of the decision (`identify`); empty for a request that is admitted without any objection.
        stale_tags: images that were pinned to the digest that their tag named before its registry became unreachable.
    """

    response: AdmissionResponse
    reason: str
    verdicts: tuple[ImageVerdict, ...] = ()
    lasting: str = ""
    decision_id: str = ""
    stale_tags: tuple[str, ...] = ()

    @property
    def exceptions(self) -> tuple[str, ...]:
        """Names of the exceptions by which the request is admitted, each once; empty if it is denied all the same."""
        if not self.response.allowed:
            return ()
        return tuple(dict.fromkeys(verdict.exception.name for verdict in self.verdicts if verdict.exception))


def identify(outcome: AdmissionOutcome) -> AdmissionOutcome:
    """Return an outcome with a new decision id, which its response carries too, if it has anything to explain.

    That is a denial, a warning, or an image that does not meet a policy of any action. Its `lasting` is set then.
    """
    response = outcome.response
    if response.allowed and not response.warnings and not any(verdict.unmet for verdict in outcome.verdicts):
        return outcome
    decision_id = new_decision_id()
    return replace(
        outcome,
        response=name_decision(response, decision_id),
        lasting=outcome.lasting or response.message or "\n".join(response.warnings),
        decision_id=decision_id,
    )


NO_IMAGES_IN_OPERATION: Final = AdmissionOutcome(ALLOWED, "operation without images")


NO_IMAGES_IN_KIND: Final = AdmissionOutcome(ALLOWED, "kind without images")


NOT_VERIFIED: Final = AdmissionOutcome(ALLOWED, "only pods are verified")


NO_NEW_IMAGES: Final = AdmissionOutcome(ALLOWED, "no new images")


NOTHING_TO_PIN: Final = AdmissionOutcome(ALLOWED, "nothing to pin")


class AdmissionHandler(Protocol):
    """Decides about requests of one endpoint."""

    def __call__(self, request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        """Return the outcome of a request, before the deadline."""
