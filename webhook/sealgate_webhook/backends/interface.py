"""Source of policies, namespaces, credentials and trusted state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.trusted_state.stores import TrustedState
    from sealgate_webhook.admission.outcome import AdmissionHandler
    from sealgate_webhook.admission.sources import CredentialSource, Namespaces, PolicySource
    from sealgate_webhook.metrics import Metrics
    from sealgate_webhook.reviews.request import AdmissionRequest


class Backend(Protocol):
    """Where everything about the world comes from. Made in the server's parent process, used in its worker."""

    @property
    def policies(self) -> PolicySource:
        """The policies in force."""

    @property
    def namespaces(self) -> Namespaces:
        """Namespaces and their labels."""

    @property
    def credentials(self) -> CredentialSource:
        """Credentials for the registries of a workload."""

    @property
    def state(self) -> TrustedState:
        """The highest versions seen of versioned evidence."""

    @property
    def admit_policy_object(self) -> AdmissionHandler | None:
        """What decides about policy objects that somebody applies; None where nobody applies any."""

    def literal_hosts(self) -> frozenset[str]:
        """Return the registries that the policies in force name literally."""

    def prepare(self) -> None:
        """Do, before anything is served, what may show that it cannot be.

        Raises:
            SealgateError: it cannot.
        """

    def tasks(self) -> Iterable[Callable[[threading.Event], None]]:
        """Return what has to run in the worker, each in a thread of its own."""

    def denied(self, request: AdmissionRequest, message: str) -> None:
        """Be told of a denial. Must return at once and must not raise."""


class BackendFactory(Protocol):
    """Makes a backend from what every server has."""

    def __call__(self, clock: Clock, metrics: Metrics, log: FilteringBoundLogger) -> Backend:
        """Return the backend; nothing is read yet."""
