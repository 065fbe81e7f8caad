"""The signing policies of the cluster: which of them sign a push when it happens.

A policy that cannot be read covers nothing: the endpoint must not ask for signatures that it does not say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.signing_policy import SigningPolicy
from sealgate.api.v1alpha1.signing_request import RequestedPolicy
from sealgate.errors import UnavailableError
from sealgate.kubernetes.watch import Informer
from sealgate.policies.limits import check_size
from sealgate.policies.signing import SigningCoverage
from sealgate.policies.unreadable import explain_unreadable

if TYPE_CHECKING:
    import threading

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_webhook.events.metrics import EventMetrics
    from sealgate_webhook.events.pushes import Push

PATH: Final = f"/apis/{API_VERSION}/signingpolicies"


@dataclass(frozen=True, slots=True)
class WatchedPolicy:
    """A signing policy as it was read.

    Attributes:
        policy: what requests say about it.
        coverage: the images that it signs when they are pushed; None if it signs none, or cannot be read.
        problem: why it cannot be read; empty if it can.
    """

    policy: RequestedPolicy
    coverage: SigningCoverage | None
    problem: str = ""


class SigningPolicies:
    """The signing policies, kept by a list and a watch.

    Args:
        api: the API server.
        clock: the time.
        metrics: shows how many there are.
        log: gets a line for every change, and for every policy that cannot be read.
    """

    def __init__(self, api: KubernetesAPI, clock: Clock, metrics: EventMetrics, log: FilteringBoundLogger) -> None:
        self._metrics = metrics
        self._log = log
        self._informer = Informer(api, PATH, read_policy, self._changed, clock, log)

    @property
    def complete(self) -> bool:
        """Whether all policies have been read once."""
        return self._informer.complete

    def run(self, stop: threading.Event) -> None:
        """Follow the policies until `stop` is set."""
        self._informer.run(stop)

    def covering(self, push: Push) -> list[RequestedPolicy]:
        """Return the policies that sign a push now; in any order, possibly none.

        Raises:
            UnavailableError: the policies have not been read yet.
        """
        policies = self._informer.snapshot()
        if policies is None:
            raise UnavailableError("the signing policies have not been read from the API server yet")
        return [
            watched.policy
            for watched in policies.values()
            if watched.coverage is not None and watched.coverage.covers(push.repository, push.tag)
        ]

    def _changed(self) -> None:
        policies = (self._informer.snapshot() or {}).values()
        unreadable = [watched for watched in policies if watched.problem]
        self._metrics.policies_loaded(len(policies) - len(unreadable), len(unreadable))
        self._log.info("signing policies loaded", policies=len(policies), unreadable=len(unreadable))
        for watched in unreadable:
            self._log.error(
                "signing policy invalid; it signs nothing", policy=watched.policy.name, problem=watched.problem
            )


def read_policy(item: dict[str, Any], before: WatchedPolicy | None = None) -> WatchedPolicy:
    """Return a signing policy, compiled.

    Args:
        item: the object as the API server sent it.
        before: the policy before a change; returned again if its spec is the same. None if there was none.
    """
    metadata = item["metadata"]
    policy = RequestedPolicy(name=metadata["name"], uid=metadata["uid"], generation=metadata["generation"])
    # The API server raises the generation with each change of the spec, and changes nothing else that counts here.
    if before is not None and before.policy == policy:
        return before
    try:
        check_size(item)
        spec = SigningPolicy.model_validate(item).spec
        coverage = SigningCoverage.compile(spec)
    except Exception as error:  # noqa: BLE001 - after any error, the policy must not be used
        return WatchedPolicy(policy, None, explain_unreadable(error))
    return WatchedPolicy(policy, coverage if spec.trigger == "EventAndManual" else None)
