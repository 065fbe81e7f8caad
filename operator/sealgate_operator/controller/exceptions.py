"""Keeps the status of VerificationExceptions.

Exceptions are few and end by time, so the leader lists them now and then instead of watching them. A cluster whose CRD
is not installed yet, such as one during an upgrade, has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.verification_exception import VerificationExceptionStatus
from sealgate.errors import NotFoundError, SealgateError
from sealgate.kubernetes.client import ConflictError
from sealgate.kubernetes.lists import list_objects
from sealgate.messages import quote
from sealgate_operator.status.conditions import read_status
from sealgate_operator.status.exceptions import counting_exceptions, exception_status

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Mapping
    from datetime import timedelta

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.kubernetes.lease import Fence
    from sealgate_operator.metrics import Metrics

PATH: Final = f"/apis/{API_VERSION}/verificationexceptions"
KIND: Final = "VerificationException"
#: Seconds between two lists.
PERIOD: Final = 10.0


class ExceptionStatusWriter:
    """Writes the status of exceptions.

    Args:
        api: the API server.
        longest: how long an exception may last.
        fence: checked before each write.
        clock: says which exceptions have ended.
        metrics: counts writes and failures.
        log: gets a line for every write and failure.
        period: seconds between two lists.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        longest: timedelta,
        *,
        fence: Fence,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
        period: float = PERIOD,
    ) -> None:
        self._api = api
        self._longest = longest
        self._fence = fence
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._period = period

    def run(self, stop: threading.Event) -> None:
        """Keep every status until `stop` is set."""
        while not stop.is_set():
            try:
                objects = list(list_objects(self._api, PATH, KIND))
                counting = counting_exceptions(objects, self._clock.now(), self._longest)
                for obj in objects:
                    self._reconcile(obj, counting)
            except NotFoundError:
                self._log.debug("kind is not installed; will retry", kind=KIND)
            except SealgateError as error:
                self._metrics.failed(KIND)
                self._log.warning("exceptions not listed; will retry", error=error.message)
            stop.wait(self._period)

    def _reconcile(self, obj: dict[str, Any], counting: Mapping[str, Collection[str]]) -> None:
        try:
            self._write(obj, counting)
        except (NotFoundError, ConflictError):
            self._log.debug("object deleted or changed meanwhile; will retry", kind=KIND)
        except Exception as error:  # noqa: BLE001 - one object must not cost others their status, nor end the operator
            self._metrics.failed(KIND)
            cause = {"error": error.message} if isinstance(error, SealgateError) else {"exc_info": error}
            self._log.warning("reconcile failed; will retry", kind=KIND, name=quote(obj["metadata"]["name"]), **cause)

    def _write(self, obj: dict[str, Any], counting: Mapping[str, Collection[str]]) -> None:
        status = exception_status(obj, self._clock.now(), self._longest, counting)
        if read_status(VerificationExceptionStatus, obj) == status:
            return
        metadata = obj["metadata"]
        document = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        self._fence.check()
        self._api.merge(f"{PATH}/{metadata['name']}/status", document)
        self._metrics.wrote(KIND)
        ready = status.conditions[0]
        self._log.info(
            "status updated", kind=KIND, name=quote(metadata["name"]), ready=ready.status, reason=ready.reason
        )
