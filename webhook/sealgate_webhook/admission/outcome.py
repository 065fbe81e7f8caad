"""Outcome of a request: what the response says, and what is logged and counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sealgate_webhook.reviews.response import ALLOWED, AdmissionResponse

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
        lasting: message of the denial without the age of cached verdicts; empty if it equals the response's message.
    """

    response: AdmissionResponse
    reason: str
    verdicts: tuple[ImageVerdict, ...] = ()
    lasting: str = ""


NO_IMAGES_IN_OPERATION: Final = AdmissionOutcome(ALLOWED, "operation without images")


NO_IMAGES_IN_KIND: Final = AdmissionOutcome(ALLOWED, "kind without images")


NOT_VERIFIED: Final = AdmissionOutcome(ALLOWED, "only pods are verified")


NO_NEW_IMAGES: Final = AdmissionOutcome(ALLOWED, "no new images")


NOTHING_TO_PIN: Final = AdmissionOutcome(ALLOWED, "nothing to pin")


class AdmissionHandler(Protocol):
    """Decides about requests of one endpoint."""

    def __call__(self, request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        """Return the outcome of a request, before the deadline."""
