"""Documents of reports: one for each workload, in the form of both report APIs, at most `MAX_BYTES` long.

Pure functions.

`wgpolicyk8s.io/v1alpha2` (PolicyReport) and `openreports.io/v1alpha1` (Report) have the same members but for
`source`, which only a Report has; the published CRDs are in `tests/data/policy_reports`. The members are those that
Policy Reporter shows.

The name of a report follows from its workload, so that the report of a workload that is deleted and made again is
replaced.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sealgate.clocks import timestamp
from sealgate.decision_ids import derive_decision_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sealgate_webhook.reports.results import Outcome, Result
    from sealgate_webhook.reports.workloads import Workload

#: The most bytes of a report as JSON.
MAX_BYTES: Final = 256 << 10
#: Bytes of that for everything but the results.
_FRAME_BYTES: Final = 8 << 10
SOURCE: Final = "sealgate"
CATEGORY: Final = "Image signatures"
LABEL, LABEL_VALUE = "app.kubernetes.io/managed-by", "sealgate"
#: Annotation of a report that lacks results because it would be too large: how many.
LEFT_OUT: Final = "sealgate.dev/results-left-out"
#: The metadata that is written; the API server and other clients add more.
_WRITTEN_METADATA: Final = {"name", "namespace", "labels", "annotations", "ownerReferences"}
#: The names of reports, and of no other object: kind, name, hash.
NAME: Final = re.compile(r"sealgate-(?P<kind>[a-z][a-z0-9]{0,62})-[a-z0-9.-]{0,120}-[0-9a-f]{16}")
_MAX_NAME: Final = 120
#: What matters most comes first, and is left out last.
_ORDER: Final[tuple[Outcome, ...]] = ("fail", "error", "warn", "pass", "skip")
_SEVERITIES: Final[Mapping[Outcome, str]] = {
    "fail": "high",
    "error": "medium",
    "warn": "medium",
    "pass": "info",
    "skip": "info",
}


class ReportAPI(NamedTuple):
    """An API that takes reports.

    Attributes:
        group: API group.
        version: its version.
        kind: kind of a report.
        plural: name of the collection.
    """

    group: str
    version: str
    kind: str
    plural: str


APIS: Final = (
    ReportAPI("wgpolicyk8s.io", "v1alpha2", "PolicyReport", "policyreports"),
    ReportAPI("openreports.io", "v1alpha1", "Report", "reports"),
)


class Owner(NamedTuple):
    """The ClusterRole that owns the reports: its name and uid."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one workload.

    Attributes:
        namespace: its namespace.
        name: its name.
        body: the document without `apiVersion` and `kind`; see `document_of`.
        content: hash of what it says but for the times; equal for reports that say the same.
        counts: number of results by outcome, also of those that were left out.
    """

    namespace: str
    name: str
    body: Mapping[str, Any]
    content: str
    counts: Mapping[Outcome, int]


def report_of(workload: Workload, results: Sequence[Result], owner: Owner) -> Report:
    """Return the report of a workload.

    Args:
        workload: the workload.
        results: its results, at least one.
        owner: what Kubernetes deletes the report with.
    """
    ordered = sorted(results, key=lambda result: (_ORDER.index(result.outcome), result.image, result.policy))
    entries = [_entry(workload, result) for result in ordered]
    kept, left_out = _fit(entries)
    counts = Counter(result.outcome for result in results)
    if left_out:
        kept.append(_notice(left_out, max(result.verified_at for result in results)))
        counts["skip"] += 1
    annotations = {"annotations": {LEFT_OUT: str(left_out)}} if left_out else {}
    name = report_name(workload)
    body = {
        "metadata": {
            "name": name,
            "namespace": workload.namespace,
            "labels": {LABEL: LABEL_VALUE},
            **annotations,
            "ownerReferences": [
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRole",
                    "name": owner.name,
                    "uid": owner.uid,
                }
            ],
        },
        "scope": {
            "apiVersion": workload.api_version,
            "kind": workload.kind,
            "namespace": workload.namespace,
            "name": workload.name,
            "uid": workload.uid,
        },
        "summary": {outcome: counts[outcome] for outcome in ("pass", "fail", "warn", "error", "skip")},
        "results": kept,
    }
    return Report(workload.namespace, name, body, _hash_content(body), counts)


def document_of(report: Report, api: ReportAPI) -> dict[str, Any]:
    """Return a report in the form of an API."""
    source = {"source": SOURCE} if api.kind == "Report" else {}
    return {"apiVersion": f"{api.group}/{api.version}", "kind": api.kind, **report.body, **source}


def same_content(report: Report, stored: Mapping[str, Any], api: ReportAPI) -> bool:
    """Return whether a report that an API returned says the same as `report` but for the times.

    Args:
        report: the report as it would be written.
        stored: the document of the API, which any client may have written.
        api: the API.
    """
    wanted = document_of(report, api)
    metadata = stored.get("metadata") or {}
    kept = {name: value for name, value in metadata.items() if name in _WRITTEN_METADATA}
    try:
        found = _hash_content({**stored, "metadata": kept})
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return found == _hash_content(wanted)


def verified_at(stored: Mapping[str, Any]) -> float | None:
    """Return the newest time in the results of a stored report, in seconds since the Unix epoch; None without one."""
    try:
        return max((float(entry["timestamp"]["seconds"]) for entry in stored["results"]), default=None)
    except (KeyError, TypeError, ValueError):
        return None


def decision_id(workload: Workload, result: Result) -> str:
    """Return the id of a result of a workload, which stays the same while the result does."""
    return derive_decision_id(workload.uid, result.policy, result.image, result.digest, result.outcome, result.reason)


def report_name(workload: Workload) -> str:
    """Return the name of a workload's report, which `NAME` matches."""
    group = workload.api_version.rpartition("/")[0]
    identity = json.dumps([group, workload.kind, workload.namespace, workload.name])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return f"sealgate-{workload.kind.lower()}-{workload.name[:_MAX_NAME].rstrip('.-')}-{digest}"


def kind_of_report(name: str) -> str | None:
    """Return the kind of the workload whose report has a name, in lower case; None for the name of another object."""
    match = NAME.fullmatch(name)
    return None if match is None else match["kind"]


def _entry(workload: Workload, result: Result) -> dict[str, Any]:
    properties = {
        "image": result.image,
        "digest": result.digest,
        "reason": result.reason,
        "action": result.action,
        "running": result.running,
        "verifiedAt": timestamp(result.verified_at),
        # Policy Reporter takes it for the identity of a result, and would otherwise derive one from the message too.
        "resultID": decision_id(workload, result),
    }
    if result.outcome != "pass":
        properties["decisionId"] = properties["resultID"]
    return {
        "source": SOURCE,
        "policy": result.policy,
        "category": CATEGORY,
        "severity": _SEVERITIES[result.outcome],
        "result": result.outcome,
        "scored": result.action not in {"Warn", "Audit"},
        "timestamp": _time(result.verified_at),
        "message": result.message,
        "properties": {key: value for key, value in properties.items() if value},
    }


def _notice(left_out: int, at: datetime) -> dict[str, Any]:
    return {
        "source": SOURCE,
        "policy": "sealgate: report cut",
        "category": CATEGORY,
        "severity": "info",
        "result": "skip",
        "timestamp": _time(at),
        "message": f"{left_out} further results are left out, because a report has at most {MAX_BYTES >> 10} KiB; "
        "the summary counts them",
    }


def _fit(entries: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Return the first entries that fit, and the number of the others."""
    kept: list[dict[str, Any]] = []
    left_out, room = 0, MAX_BYTES - _FRAME_BYTES
    for entry in entries:
        room -= len(json.dumps(entry)) + 2
        if room >= 0:
            kept.append(entry)
        else:
            left_out += 1
    return kept, left_out


def _time(at: datetime) -> dict[str, int]:
    return {"seconds": int(at.timestamp()), "nanos": 0}


def _hash_content(body: Mapping[str, Any]) -> str:
    results = [
        {
            **{key: value for key, value in entry.items() if key != "timestamp"},
            "properties": {key: value for key, value in entry.get("properties", {}).items() if key != "verifiedAt"},
        }
        for entry in body["results"]
    ]
    return hashlib.sha256(json.dumps({**body, "results": results}, sort_keys=True).encode()).hexdigest()
