"""Backend of `sealgate serve`: policies, namespaces and Secrets from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.trusted_state.stores import MemoryTrustedState
from sealgate_webhook.admission.sources import SharedCredentials
from sealgate_webhook.backends.files.policies import PolicyFilesSource

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import UnmatchedImages
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.trusted_state.stores import TrustedState
    from sealgate_webhook.admission.outcome import AdmissionHandler, AdmissionOutcome
    from sealgate_webhook.backends.files.policies import RefreshableKMSKeys
    from sealgate_webhook.backends.interface import BackendFactory
    from sealgate_webhook.metrics import Metrics
    from sealgate_webhook.reviews.request import AdmissionRequest


class FilesBackend:
    """Policies from files, the same credentials for every workload.

    Args:
        paths: files and folders of policies.
        unmatched: what happens to an image that no policy matches.
        shared: credentials for registries.
        clock: source of the time.
        metrics: counts reloads.
        log: gets a line for every reload.
        kms: cached keys of the entries that name a KMS.
        state: trusted state.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - three of them are what every backend is given
        self,
        paths: Sequence[Path],
        unmatched: UnmatchedImages,
        shared: CredentialProvider,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
        kms: RefreshableKMSKeys,
        state: TrustedState,
    ) -> None:
        self.policies = PolicyFilesSource(paths, unmatched, clock, metrics, log, kms)
        self.namespaces = self.policies
        self.credentials = SharedCredentials(shared)
        self.state = state
        self.admit_policy_object: AdmissionHandler | None = None

    def literal_hosts(self) -> frozenset[str]:
        """Return the registries that the policies in force name literally."""
        return self.policies.literal_hosts()

    def prepare(self) -> None:
        """Read the policies.

        Raises:
            PolicyError: something is wrong with them; carries everything that is.
        """
        self.policies.load()

    def tasks(self) -> Iterable[Callable[[threading.Event], None]]:
        """Return the tasks that watch the files and refresh the KMS keys."""
        return (self.policies.watch, self.policies.keep_keys)

    def decided(self, request: AdmissionRequest, outcome: AdmissionOutcome) -> None:
        """Do nothing: the response and the log report the decision."""


def files_backend(
    paths: Sequence[Path],
    unmatched: UnmatchedImages,
    shared: CredentialProvider,
    kms: RefreshableKMSKeys,
    state: TrustedState | None = None,
) -> BackendFactory:
    """Return a factory of `FilesBackend`; see there for the arguments."""
    trusted_state = state or MemoryTrustedState()
    return lambda clock, metrics, log: FilesBackend(paths, unmatched, shared, clock, metrics, log, kms, trusted_state)
