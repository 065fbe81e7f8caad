"""JSON output of `sealgate verify`, an API for other programs.

`verify.schema.json` beside this module is the published schema; a test checks that `docs/verify.schema.json` is a
copy of it. Members may be added to the schema; none may be removed, renamed or given another meaning.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.findings import Finding
    from sealgate.policies.decisions import ImageVerdict, PolicyResult


def schema_text() -> str:
    """Return the JSON schema of the document."""
    return resources.files("sealgate.cli.outputs").joinpath("verify.schema.json").read_text(encoding="utf-8")


def verdicts_text(verdicts: Sequence[ImageVerdict]) -> str:
    """Return the document: one entry for each verdict, in order, ASCII only, indented."""
    return json.dumps([_verdict(verdict) for verdict in verdicts], indent=2)


def _verdict(verdict: ImageVerdict) -> dict[str, Any]:
    return {
        "image": verdict.image,
        "subject": verdict.subject,
        "verdict": verdict.verdict.value,
        "coverage": verdict.coverage.value,
        "policies": [_policy(policy) for policy in verdict.policies],
    }


def _policy(policy: PolicyResult) -> dict[str, Any]:
    return {
        "name": policy.name,
        "action": policy.action,
        "satisfied": policy.satisfied,
        "required": policy.required,
        "findings": [_finding(finding) for finding in policy.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "authenticator": finding.authenticator,
        "format": finding.format,
        "outcome": finding.outcome.value,
        "reason": finding.reason.value,
        "message": finding.message,
        "keyFingerprints": list(finding.fingerprints),
        "signatures": len(finding.signatures),
    }
