"""The rounds: list what runs, verify it, write the reports.

A round begins every interval. Between two of them, images whose verdict is *unavailable* are verified again a few
times, so that a registry that was away for a moment leaves no errors for a whole interval. A round that cannot be
completed is repeated, and counts as none: the time of the last complete one is a metric, and this process is not
ready once that is more than two intervals ago.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import quote as url_quote

from sealgate.errors import SealgateError, UnavailableError
from sealgate.policies.report_state import ReportState, encode_state
from sealgate.workloads.kinds import POD
from sealgate_webhook.reports.decision_log import ResultLog
from sealgate_webhook.reports.documents import APIS, SOURCE, Owner, report_name, report_of
from sealgate_webhook.reports.inventory import read_inventory
from sealgate_webhook.reports.results import pods_unread, results_of
from sealgate_webhook.reports.store import Kept
from sealgate_webhook.reports.workloads import Inventory

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.workloads.kinds import WorkloadKinds
    from sealgate_webhook.reports.checks import ImageChecks
    from sealgate_webhook.reports.documents import ReportAPI
    from sealgate_webhook.reports.metrics import ReportMetrics
    from sealgate_webhook.reports.results import Outcome, Result
    from sealgate_webhook.reports.store import ReportStore
    from sealgate_webhook.reports.workloads import Workload

#: Seconds after which images whose verdict is *unavailable* are verified again, and a failed round is repeated.
RETRY_SECONDS: Final = 15.0
#: Part of an interval that the verifications of a round may take; the rest is for lists and writes.
VERIFYING: Final = 0.75
#: Intervals after which a round that was not repeated has stalled.
STALLED_AFTER: Final = 2
_ROLES: Final = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


class Rounds:
    """Makes the rounds.

    Args:
        api: the API server.
        kinds: the kinds whose images are verified.
        excluded: namespaces in which nothing is reported.
        templates: whether what templates declare counts too, and not only what Pods run.
        owner: name of the ClusterRole that owns the reports.
        lease: path of the Lease that is renewed after each round.
        interval: seconds from the beginning of one round to that of the next.
        policies: returns the policies in force; None until they are known.
        checks: verifies images.
        store: writes reports.
        clock: source of the time.
        metrics: the metrics of the reports.
        log: the process's log.
    """

    def __init__(  # noqa: PLR0913 - it puts together what the modules beside it do
        self,
        *,
        api: KubernetesAPI,
        kinds: WorkloadKinds,
        excluded: Collection[str],
        templates: bool,
        owner: str,
        lease: str,
        interval: float,
        policies: Callable[[], PolicySet | None],
        checks: ImageChecks,
        store: ReportStore,
        clock: Clock,
        metrics: ReportMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._kinds = kinds
        self._excluded = excluded
        self._templates = templates
        self._owner = owner
        self._lease = lease
        self._interval = interval
        self._policies = policies
        self._checks = checks
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._inventory = Inventory()
        self._apis: tuple[ReportAPI, ...] | None = None
        self._result_log = ResultLog(log)
        self._last = clock.monotonic()

    def problem(self) -> str:
        """Return why the reports are out of date; empty if they are not."""
        age = self._clock.monotonic() - self._last
        if age <= STALLED_AFTER * self._interval:
            return ""
        return f"no round of reports was completed for {age:.0f} s"

    def run(self, stop: threading.Event) -> None:
        """Make rounds until `stop` is set."""
        while not stop.is_set():
            begun = self._clock.monotonic()
            complete = self._attempt(self.make_round, stop)
            following = begun + self._interval if complete else self._clock.monotonic() + RETRY_SECONDS
            while complete and self._soon() and self._clock.monotonic() + RETRY_SECONDS < following:
                if stop.wait(RETRY_SECONDS):
                    return
                complete = self._attempt(self.repeat_unavailable, stop)
            stop.wait(max(0.0, following - self._clock.monotonic()))

    def make_round(self, stop: threading.Event) -> None:
        """Make one round.

        Raises:
            UnavailableError: the policies are not known yet, or the API server could not be asked.
        """
        begun = self._clock.monotonic()
        policies = self._known_policies()
        self._inventory = Inventory()  # so that two are never in memory
        self._inventory = read_inventory(self._api, self._kinds, self._excluded, templates=self._templates)
        self._note_unread()
        self._checks.refresh(self._inventory, policies, VERIFYING * self._interval, stop)
        if stop.is_set():
            return
        apis = self._report()
        self._announce(apis)
        self._last = self._clock.monotonic()
        self._metrics.round_ended(self._clock.now().timestamp(), self._last - begun)

    def repeat_unavailable(self, stop: threading.Event) -> None:
        """Verify again what was *unavailable*, and write the reports that differ if an image is available now.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        # Images of registries that never answer must not cost a list of all reports each time.
        if self._checks.retry(self._inventory, self._known_policies(), RETRY_SECONDS, stop) and not stop.is_set():
            self._report()

    def _attempt(self, work: Callable[[threading.Event], None], stop: threading.Event) -> bool:
        try:
            work(stop)
        except SealgateError as error:
            self._metrics.round_failed()
            self._log.warning("round of reports failed; will retry", error=error.message)
        except Exception as error:  # noqa: BLE001 - after any error, the next round must come
            self._metrics.round_failed()
            self._log.error("round of reports failed; will retry", exc_info=error)
        else:
            return True
        return False

    def _soon(self) -> bool:
        return any(answer.retried_soon for answer in self._checks.answers.values())

    def _known_policies(self) -> PolicySet:
        policies = self._policies()
        if policies is None:
            raise UnavailableError("the policies or namespaces have not been read from the API server yet")
        return policies

    def _announce(self, apis: Iterable[ReportAPI]) -> None:
        names = tuple(f"{api.group}/{api.version}" for api in apis)
        state = ReportState(self._clock.now(), names, int(STALLED_AFTER * self._interval))
        self._api.merge(self._lease, encode_state(state, SOURCE))

    def _report(self) -> tuple[ReportAPI, ...]:
        now = self._clock.now()
        apis = self._find_apis()
        kept = self._count_results(now)
        if apis:
            owner = self._find_owner()
            reports = (report_of(workload, results, owner) for workload, results in self._results(now) if results)
            kinds = {kind.kind.lower() for kind in self._inventory.unread}
            self._store.write(apis, reports, Kept(kept, kinds))
        return apis

    def _note_unread(self) -> None:
        for kind, problem in self._inventory.unread.items():
            self._log.warning("kind cannot be listed; its workloads are not reported", kind=str(kind), error=problem)
        if self._inventory.left_out:
            self._log.warning("workloads without a report, because there are too many", count=self._inventory.left_out)

    def _results(self, now: datetime) -> Iterator[tuple[Workload, list[Result] | None]]:
        """Yield the results of each workload, None for one that has to wait; they are never all in memory."""
        unread = self._inventory.unread.get(POD)
        common = [] if unread is None else [pods_unread(unread, now)]
        for workload, usage in self._inventory.workloads.items():
            results = results_of(workload, usage, self._checks.answers, self._clock)
            yield workload, [*common, *results] if results else results

    def _count_results(self, now: datetime) -> set[tuple[str, str]]:
        """Count and log the results; return namespace and name of the reports that have to wait."""
        counts: Counter[tuple[str, Outcome]] = Counter()
        waiting: set[tuple[str, str]] = set()
        inventory = self._inventory
        self._result_log.begin(len({workload.namespace for workload in inventory.workloads}))
        for workload, results in self._results(now):
            if results is None:
                waiting.add((workload.namespace, report_name(workload)))
                continue
            for result in results:
                counts[result.policy, result.outcome] += 1
                self._result_log.note(workload, result)
        self._result_log.end()
        unanswered = len(inventory.pull_secrets) - len(self._checks.answers)
        self._metrics.found(len(inventory.workloads), inventory.left_out, len(inventory.unread), unanswered)
        self._metrics.reported(counts)
        return waiting

    def _find_apis(self) -> tuple[ReportAPI, ...]:
        apis = self._store.installed()
        self._metrics.installed(apis)
        if apis != self._apis:
            self._apis = apis
            if apis:
                self._log.info("reports are written", apis=[f"{api.group}/{api.version}" for api in apis])
            else:
                self._log.warning(
                    "no report API is installed; no reports are written", wanted=[api.group for api in APIS]
                )
        return apis

    def _find_owner(self) -> Owner:
        role = self._api.get(f"{_ROLES}/{url_quote(self._owner, safe='')}")
        return Owner(self._owner, str(role["metadata"]["uid"]))
