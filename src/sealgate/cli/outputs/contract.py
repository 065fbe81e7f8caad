"""JSON output of `sealgate verify`, an API for other programs; see `sealgate.cli.outputs.schemas`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.cli.questions import Answer, Use
    from sealgate.findings import Finding
    from sealgate.policies.decisions import PolicyResult


def verdicts_text(answers: Sequence[Answer]) -> str:
    """Return the document: one entry for each answer, in order, ASCII only, indented."""
    return json.dumps([entry_of(answer) for answer in answers], indent=2)


def entry_of(answer: Answer) -> dict[str, Any]:
    """Return the entry of one image in one namespace."""
    verdict, question = answer.verdict, answer.question
    return {
        "image": verdict.image,
        "namespace": question.namespace if answer.named else None,
        "objects": [_object(use) for use in question.uses],
        "furtherObjects": question.more,
        "subject": verdict.subject,
        "verdict": verdict.verdict.value,
        "coverage": verdict.coverage.value,
        "policies": [_policy(policy) for policy in verdict.policies],
    }


def _object(use: Use) -> dict[str, Any]:
    return {
        "kind": use.kind,
        "name": use.name,
        "field": use.field,
        "file": use.file or None,
        "document": use.document or None,
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
