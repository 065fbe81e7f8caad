"""Documents of reports: valid by the published CRDs, bounded, and the same while what they say is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sealgate.decision_ids import PATTERN
from sealgate_webhook.reports.documents import (
    APIS,
    LEFT_OUT,
    MAX_BYTES,
    Owner,
    ReportAPI,
    document_of,
    kind_of_report,
    report_name,
    report_of,
)
from sealgate_webhook.reports.results import Outcome, Result
from sealgate_webhook.reports.workloads import Workload
from tests.support.clocks import NOW

CRDS = Path(__file__).parents[2] / "data/policy_reports"
WEB = Workload("apps/v1", "Deployment", "shop", "web", "u-1")
OWNER = Owner("sealgate-reports", "u-2")
DIGEST = "sha256:" + "1" * 64
OUTCOMES: tuple[Outcome, ...] = ("pass", "fail", "warn", "error", "skip")


def result(outcome: Outcome = "pass", policy: str = "production", image: str = "a.example.org/app:1") -> Result:
    return Result(policy, "Enforce", outcome, "Verified", f"{image}: message", image, DIGEST, "match", NOW)


def _close(schema: Any) -> Any:
    """Return a schema that permits no member that it does not name: the API server would drop those."""
    if not isinstance(schema, dict):
        return schema
    closed = {key: _close(value) for key, value in schema.items()}
    if "properties" in schema:
        closed["properties"] = {key: _close(value) for key, value in schema["properties"].items()}
        closed["additionalProperties"] = False
    return closed


def validator(api: ReportAPI) -> jsonschema.Draft202012Validator:
    (crd,) = yaml.safe_load_all((CRDS / f"{api.group}_{api.plural}.yaml").read_text(encoding="utf-8"))
    (version,) = [one for one in crd["spec"]["versions"] if one["name"] == api.version]
    names = crd["spec"]["names"]
    assert (crd["spec"]["group"], names["kind"], names["plural"]) == (api.group, api.kind, api.plural)
    schema = _close(version["schema"]["openAPIV3Schema"])
    # Metadata is checked by the API server itself; the CRDs say only that it is an object.
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("api", APIS)
def test_documents_are_valid_by_the_published_crds(api: ReportAPI) -> None:
    results = [result(outcome, f"policy-{outcome}") for outcome in OUTCOMES]
    document = document_of(report_of(WEB, results, OWNER), api)
    validator(api).validate(document)
    assert (document["apiVersion"], document["kind"]) == (f"{api.group}/{api.version}", api.kind)
    assert document["summary"] == dict.fromkeys(OUTCOMES, 1)
    assert document["scope"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": "shop",
        "name": "web",
        "uid": "u-1",
    }
    # The members that Policy Reporter shows.
    for entry in document["results"]:
        assert entry["source"] == "sealgate"
        assert all(entry[member] for member in ("category", "severity", "message"))
        assert entry["timestamp"] == {"seconds": int(NOW.timestamp()), "nanos": 0}
        assert entry["properties"]["verifiedAt"] == "2026-11-21T12:00:00Z"


def test_what_matters_most_comes_first() -> None:
    body = report_of(WEB, [result(outcome) for outcome in OUTCOMES], OWNER).body
    assert [entry["result"] for entry in body["results"]] == ["fail", "error", "warn", "pass", "skip"]


def test_a_result_that_does_not_pass_has_a_lasting_decision_id() -> None:
    def ids(*results: Result) -> list[str | None]:
        return [entry["properties"].get("decisionId") for entry in report_of(WEB, results, OWNER).body["results"]]

    assert ids(result("pass")) == [None]
    assert None not in ids(*(result(outcome) for outcome in OUTCOMES if outcome != "pass"))
    (one,) = ids(result("fail"))
    assert one is not None
    assert PATTERN.fullmatch(one)
    assert ids(replace(result("fail"), verified_at=NOW + timedelta(days=1), message="other words")) == [one]
    assert ids(result("fail", image="other")) != [one]


def test_each_result_has_an_identity_of_its_own() -> None:
    results = [result(outcome, policy, image) for outcome in OUTCOMES for policy in "pq" for image in ("a:1", "b:1")]
    entries = report_of(WEB, results, OWNER).body["results"]
    assert len({entry["properties"]["resultID"] for entry in entries}) == len(results)


def test_content_ignores_only_the_times() -> None:
    def content(one: Result) -> str:
        return report_of(WEB, [one], OWNER).content

    assert content(replace(result(), verified_at=NOW + timedelta(hours=1))) == content(result())
    for changes in ({"outcome": "fail"}, {"message": "m"}, {"digest": ""}, {"running": "unknown"}):
        assert content(replace(result(), **changes)) != content(result()), changes  # type: ignore[arg-type]
    assert report_of(WEB, [result()], Owner("sealgate-reports", "u-3")).content != content(result())


@pytest.mark.parametrize("api", APIS)
def test_a_report_is_cut_and_says_so(api: ReportAPI) -> None:
    results = [replace(result("pass", image=f"app:{number}"), message="é" * 1000) for number in range(500)]
    report = report_of(WEB, [*results, result("fail")], OWNER)
    document = document_of(report, api)
    validator(api).validate(document)
    assert MAX_BYTES / 2 < len(json.dumps(document)) <= MAX_BYTES
    left_out = int(document["metadata"]["annotations"][LEFT_OUT])
    assert left_out == 501 - (len(document["results"]) - 1)
    assert document["results"][0]["result"] == "fail"
    assert f"{left_out} further results are left out" in document["results"][-1]["message"]
    assert document["summary"] == {"pass": 500, "fail": 1, "warn": 0, "error": 0, "skip": 1}


@pytest.mark.parametrize("name", ["web", "a" * 253, "web.example.org", "a" * 119 + ".b"])
def test_names_are_valid_and_recognised(name: str) -> None:
    workload = WEB._replace(name=name)
    found = report_name(workload)
    assert kind_of_report(found) == "deployment"
    assert len(found) <= 253
    assert report_name(workload._replace(uid="other")) == found
    others = [
        workload._replace(namespace="team"),
        workload._replace(api_version="apps.example.org/v1"),
        workload._replace(name=f"{name}x"),
    ]
    assert len({found, *map(report_name, others)}) == 4


@pytest.mark.parametrize("name", ["sealgate-web", "sealgate-pod-web", "kyverno-pod-web-0123456789abcdef", ""])
def test_other_names_are_not_those_of_reports(name: str) -> None:
    assert kind_of_report(name) is None
