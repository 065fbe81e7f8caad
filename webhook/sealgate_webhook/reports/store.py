"""Reports in the API server: written where they differ, deleted where their workload is gone.

Which report APIs are installed is asked in every round, so that CRDs which are installed later are found. Of the
reports that are there only the metadata is listed. A report is written if it is missing, if it says something else
than before, if another client changed it (its `resourceVersion` is another one), or if its times are older than
`REFRESH_SECONDS`. After a restart of the process, what each report says is read once.

Only objects with the label and a name that a report of sealgate has are ever deleted, and what has such a name is
replaced, regardless of who made it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote as url_quote

from sealgate.errors import NotFoundError, UnavailableError
from sealgate.kubernetes.client import ConflictError
from sealgate.kubernetes.lists import list_pages
from sealgate.messages import quote
from sealgate_webhook.reports.documents import (
    APIS,
    LABEL,
    LABEL_VALUE,
    Report,
    ReportAPI,
    document_of,
    kind_of_report,
    same_content,
    verified_at,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_webhook.reports.metrics import ReportMetrics

#: Seconds after which a report that says the same is written again, with the newest times.
REFRESH_SECONDS: Final = 1800.0
#: Reports of one page of a list, and its bytes: anyone may have made objects that have the label.
PAGE: Final = 500
PAGE_BYTES: Final = 16 << 20
#: The most reports of one API that are kept of a list, of the cluster and of one namespace, and how many of one
#: namespace that have no workload are deleted in a round: a flood of forged ones must not delay the reports of others.
MAX_LISTED: Final = 60_000
MAX_NAMESPACE_LISTED: Final = 12_000
MAX_NAMESPACE_DELETED: Final = 1000
#: Failures in one namespace after which nothing more is written there in this round.
MAX_FAILURES: Final = 3


class _Key(NamedTuple):
    api: ReportAPI
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class _Written:
    """What was written last: the `resourceVersion`, the content, and when."""

    version: str
    content: str
    at: float


@dataclass(frozen=True, slots=True)
class Kept:
    """Reports that stay as they are although they are not written now.

    Attributes:
        names: namespace and name of reports of workloads that are there.
        kinds: kinds in lower case whose workloads are not known now.
    """

    names: Collection[tuple[str, str]]
    kinds: Collection[str]

    def has(self, namespace: str, name: str, kind: str) -> bool:
        """Return whether a report stays.

        Args:
            namespace: its namespace.
            name: its name.
            kind: kind of its workload, in lower case.
        """
        return kind in self.kinds or (namespace, name) in self.names


class ReportStore:
    """Writes reports. Not thread-safe.

    Args:
        api: the API server.
        clock: measures the age of reports.
        metrics: counts writes.
        log: gets a line for every report that could not be written.
    """

    def __init__(self, api: KubernetesAPI, clock: Clock, metrics: ReportMetrics, log: FilteringBoundLogger) -> None:
        self._api = api
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._written: dict[_Key, _Written] = {}

    def installed(self) -> tuple[ReportAPI, ...]:
        """Return the report APIs that the cluster has.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        return tuple(api for api in APIS if self._has(api))

    def write(self, apis: Iterable[ReportAPI], reports: Iterable[Report], kept: Kept) -> None:
        """Make the reports in each API those that are given.

        Args:
            apis: the installed APIs.
            reports: the reports, each name once in a namespace; one at a time is in memory.
            kept: reports that stay although they are not given.

        Raises:
            UnavailableError: the reports that are there could not be listed.
        """
        there = {api: self._list(api) for api in apis}
        failures: Counter[tuple[ReportAPI, str]] = Counter()
        wanted: set[_Key] = set()
        for report in reports:
            for api, listed in there.items():
                key = _Key(api, report.namespace, report.name)
                wanted.add(key)
                if failures[api, key.namespace] < MAX_FAILURES:
                    failures[api, key.namespace] += not self._put(key, report, listed.get(key))
        for api, listed in there.items():
            deleted: Counter[str] = Counter()
            for key, version in listed.items():
                kind = kind_of_report(key.name)
                stale = key not in wanted and kind is not None and not kept.has(key.namespace, key.name, kind)
                if not stale or deleted[key.namespace] >= MAX_NAMESPACE_DELETED:
                    continue
                if failures[api, key.namespace] < MAX_FAILURES:
                    deleted[key.namespace] += 1
                    failures[api, key.namespace] += not self._delete(key, version)
            for key in [key for key in self._written if key.api == api and key not in wanted and key not in listed]:
                del self._written[key]

    def _has(self, api: ReportAPI) -> bool:
        try:
            resources = self._api.discover(f"/apis/{api.group}/{api.version}").get("resources") or ()
        except NotFoundError:
            return False
        return any(resource.get("name") == api.plural for resource in resources)

    def _list(self, api: ReportAPI) -> dict[_Key, str]:
        """Return the `resourceVersion` of each object with the label and the name of a report, within the bounds."""
        found: dict[_Key, str] = {}
        counts: Counter[str] = Counter()
        lists = self._api.metadata_only().bounded(PAGE_BYTES)
        selectors = {"labelSelector": f"{LABEL}={LABEL_VALUE}"}
        for page in list_pages(lists, f"/apis/{api.group}/{api.version}/{api.plural}", PAGE, selectors):
            for item in page.get("items") or ():
                metadata = item["metadata"]
                room = counts[metadata["namespace"]] < MAX_NAMESPACE_LISTED
                if room and kind_of_report(metadata["name"]) is not None:
                    counts[metadata["namespace"]] += 1
                    found[_Key(api, metadata["namespace"], metadata["name"])] = metadata["resourceVersion"]
            if len(found) >= MAX_LISTED:
                break
        return found

    def _put(self, key: _Key, report: Report, version: str | None) -> bool:
        """Write a report if need be; return whether it is as it should be."""
        now = self._clock.monotonic()
        try:
            if version is not None and key not in self._written and (found := self._read(key, report)) is not None:
                self._written[key] = found
            before = self._written.get(key)
            if version is not None and before is not None:
                same = (version, report.content) == (before.version, before.content)
                if same and now - before.at < REFRESH_SECONDS:
                    return True
            document = document_of(report, key.api)
            stored = self._create(key, document) if version is None else self._replace(key, document, version)
        except UnavailableError as error:
            return self._failed(key, error)
        self._written[key] = _Written(stored["metadata"]["resourceVersion"], report.content, now)
        self._metrics.wrote("create" if version is None else "update")
        return True

    def _read(self, key: _Key, report: Report) -> _Written | None:
        """Return what a former process wrote; None unless it says the same."""
        try:
            stored = self._api.get(_path(key))
        except NotFoundError:
            return None
        at = verified_at(stored)
        age = None if at is None else self._clock.now().timestamp() - at
        # Anyone may have written it: a time of the future would keep it from being written again.
        if age is None or age < 0 or not same_content(report, stored, key.api):
            return None
        return _Written(stored["metadata"]["resourceVersion"], report.content, self._clock.monotonic() - age)

    def _create(self, key: _Key, document: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._api.create(_collection(key), document)
        except ConflictError:
            # An object of that name without the label, which is not listed.
            version = self._api.get(_path(key))["metadata"]["resourceVersion"]
            return self._replace(key, document, version)

    def _replace(self, key: _Key, document: Mapping[str, Any], version: str) -> dict[str, Any]:
        metadata = {**document["metadata"], "resourceVersion": version}
        return self._api.replace(_path(key), {**document, "metadata": metadata})

    def _delete(self, key: _Key, version: str) -> bool:
        try:
            self._api.delete(_path(key), version)
        except NotFoundError:
            return True
        except UnavailableError as error:
            return self._failed(key, error)
        self._metrics.wrote("delete")
        return True

    def _failed(self, key: _Key, error: UnavailableError) -> bool:
        self._metrics.write_failed()
        self._log.warning(
            "report not written; will retry",
            kind=key.api.kind,
            namespace=quote(key.namespace),
            name=quote(key.name),
            error=error.message,
        )
        return False


def _collection(key: _Key) -> str:
    return f"/apis/{key.api.group}/{key.api.version}/namespaces/{url_quote(key.namespace, safe='')}/{key.api.plural}"


def _path(key: _Key) -> str:
    return f"{_collection(key)}/{url_quote(key.name, safe='')}"
