"""Decision about one request in an event loop: begun, awaited, and made by the handler that threads use too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sealgate.clocks import Deadline
    from sealgate.verification.verifier import StepVerifier
    from sealgate_webhook.admission.outcome import AdmissionHandler, AdmissionOutcome
    from sealgate_webhook.reviews.request import AdmissionRequest


class ReviewSteps:
    """One request whose decision may have to wait. For one event loop; a context manager, which ends the waiting.

    Args:
        verifier: verifies the images of this request.
        handler: decides with that verifier.
    """

    def __init__(self, verifier: StepVerifier, handler: AdmissionHandler) -> None:
        self._verifier = verifier
        self._handler = handler
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop waiting."""
        self._verifier.cancel()

    @property
    def waiting(self) -> bool:
        """Whether the decision is begun and waits for results."""
        return self._verifier.waiting

    def decide(self, request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        """Begin the decision, or make it after `wait`.

        Raises:
            NotInMemoryError: it must wait, here if `waiting`, and in a thread otherwise.
        """
        if self._failure is not None:
            raise self._failure
        return self._handler(request, deadline)

    async def wait(self, deadline: Deadline) -> None:
        """Wait for what the decision needs, until the deadline. An exception is raised by the next `decide`."""
        try:
            await self._verifier.wait(deadline)
        except Exception as error:  # noqa: BLE001 - the endpoint answers every exception in one way, in `decide`
            self._failure = error


class InSteps(NamedTuple):
    """How an endpoint decides in an event loop.

    Attributes:
        cached: decides where every verdict is cached, or raises `NotInMemoryError`.
        steps: returns what decides about one other request.
    """

    cached: AdmissionHandler
    steps: Callable[[], ReviewSteps]
