"""JSON output of `sealgate verify`, an API for other programs; see `sealgate.cli.outputs.schemas`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.findings import Finding
    from sealgate.policies.decisions import ImageVerdict, PolicyResult


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
