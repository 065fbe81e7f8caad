"""Source of policies, namespaces, credentials and trusted state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.trusted_state.stores import TrustedState
    from sealgate_webhook.admission.outcome import AdmissionHandler, AdmissionOutcome
    from sealgate_webhook.admission.sources import CredentialSource, Namespaces, PolicySource
    from sealgate_webhook.metrics import Metrics
    from sealgate_webhook.reviews.request import AdmissionRequest


class Backend(Protocol):
    """Source of policies, namespaces, credentials and state. Created in the parent process, used in the worker."""

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
        """Handler for policy objects that are applied to the cluster; None for a backend without a cluster."""

    def literal_hosts(self) -> frozenset[str]:
        """Return the registries that the policies in force name literally."""

    def prepare(self) -> None:
        """Run start-up checks.

        Raises:
            SealgateError: the server cannot start.
        """

    def tasks(self) -> Iterable[Callable[[threading.Event], None]]:
        """Return the background tasks of the worker, each for a thread of its own."""

    def decided(self, request: AdmissionRequest, outcome: AdmissionOutcome) -> None:
        """Handle a decision: a request that is denied, or would be. Must return at once and must not raise.

        Args:
            request: the request.
            outcome: its outcome, with a decision id.
        """


class BackendFactory(Protocol):
    """Creates a backend."""

    def __call__(self, clock: Clock, metrics: Metrics, log: FilteringBoundLogger) -> Backend:
        """Return the backend; nothing is read yet."""
