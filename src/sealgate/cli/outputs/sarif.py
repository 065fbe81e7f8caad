"""SARIF 2.1.0 output, which code scanning services read.

Each policy that is not met by an image is a result; images that are admitted without a warning have none. Files of
manifests are the locations; an object of a cluster has the path `NAMESPACE/KIND/NAME`, which no file has, because some
services drop results without a location.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as url_quote

from sealgate.cli.outputs.results import results_of
from sealgate.cli.questions import STDIN
from sealgate.messages import quote
from sealgate.policies.decisions import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sealgate.cli.outputs.results import Result
    from sealgate.cli.questions import Answer, Use

#: The most locations of one result.
MAX_LOCATIONS = 10
#: Backslashes and brackets would make a link of a message (section 3.11.6), braces a placeholder (section 3.11.5).
_ESCAPES = str.maketrans({"\\": "\\\\", "[": "\\[", "]": "\\]", "{": "{{", "}": "}}"})
_LEVELS = {Verdict.DENY: "error", Verdict.UNAVAILABLE: "error", Verdict.WARN: "warning", Verdict.ADMIT: "note"}


def sarif_text(answers: Sequence[Answer], problems: Sequence[str] = ()) -> str:
    """Return the document, ASCII only, indented.

    Args:
        answers: the images and their verdicts.
        problems: what could not be read, one line each, escaped; the run then counts as not successful.
    """
    results = [result for answer in answers for result in results_of(answer) if not result.met]
    rules = sorted({result.reason.value for result in results})
    invocation: dict[str, Any] = {"executionSuccessful": not problems}
    if problems:
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": _escape(problem)}} for problem in problems
        ]
    driver = {
        "name": "sealgate",
        "version": metadata.version("sealgate"),
        "rules": [{"id": rule, "shortDescription": {"text": f"The image is not verified: {rule}"}} for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": [_result(result, rules.index(result.reason.value)) for result in results],
    }
    return json.dumps({"version": "2.1.0", "runs": [run]}, indent=2)


def _result(result: Result, rule: int) -> dict[str, Any]:
    question = result.answer.question
    identity = json.dumps([question.namespace, question.image, result.policy])
    return {
        "ruleId": result.reason.value,
        "ruleIndex": rule,
        "level": _LEVELS[result.verdict],
        "message": {"text": _escape(result.message)},
        "locations": list(_locations(result)),
        "partialFingerprints": {"image/v1": hashlib.sha256(identity.encode()).hexdigest()},
        "properties": {
            "image": quote(question.image, 1024),
            "namespace": result.namespace,
            "policy": result.policy,
            "action": result.action,
            "verdict": result.verdict.value,
        },
    }


def _locations(result: Result) -> Iterable[dict[str, Any]]:
    uses = result.answer.question.uses[:MAX_LOCATIONS]
    if not uses:
        yield {"physicalLocation": {"artifactLocation": {"uri": _path(result.answer.question.image)}}}
    for use in uses:
        name = "/".join(map(quote, (use.namespace, use.kind, use.name)))
        yield {
            "physicalLocation": {"artifactLocation": {"uri": _uri(use)}},
            "logicalLocations": [{"fullyQualifiedName": f"{name}/{quote(use.field)}", "kind": "resource"}],
        }


def _uri(use: Use) -> str:
    if not use.file:
        return _path("/".join(_part(part) for part in (use.namespace, use.kind, use.name)))
    if use.file == STDIN:
        return "standard-input"
    path = Path(use.file)
    return path.as_uri() if path.is_absolute() else _path(path.as_posix())


def _part(text: str) -> str:
    """Return one part of the path of an object, which cannot lead out of it."""
    return text.replace("/", "_") if text.strip(".") else "_"


def _path(text: str) -> str:
    """Return a relative reference (RFC 3986, section 4.2) without a scheme or a host."""
    return url_quote(text.encode("utf-8", "backslashreplace"), safe="/@+").lstrip("/") or "_"


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
