"""Text output of `sealgate explain`: each decision as a person reads it.

All values are from a log, so each may be missing, of another type, or hostile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from sealgate.cli.outputs.console import plain
from sealgate.decision_ids import FIELD
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_STYLES: Final = {
    "denied": "bold red",
    "fail": "bold red",
    "Warn": "bold yellow",
    "Audit": "bold yellow",
    "warn": "bold yellow",
    "error": "bold yellow",
}
#: The most characters of one value, and of one line of the explanation.
MAX_VALUE: Final = 512
MAX_LINE: Final = 4096


def explanation(decision: Mapping[str, object]) -> Text:
    """Return a decision with its images and policies, in several lines.

    Args:
        decision: a line of the decision log.
    """
    if "outcome" in decision:
        outcome = _value(decision, "outcome")
        head, style, facts = f"{outcome} in the report", _STYLES.get(outcome), _report_facts(decision)
    else:
        result, action = _value(decision, "result"), _value(decision, "action")
        head, style, facts = _result(result, action), _STYLES.get(result) or _STYLES.get(action), _facts(decision)
    lines = [plain(f"{_value(decision, FIELD)}  {head}", style or "")]
    lines += (plain(f"  {name:<9} {text}") for name, text in (*facts, *_why(decision)))
    return Text("\n").join([*lines, Text()])


def _result(result: str, action: str) -> str:
    if result == "denied":
        return "denied"
    return "admitted with a warning; would be denied" if action == "Warn" else "admitted; would be denied"


def _facts(decision: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    dry_run = " (dry run)" if decision.get("dry_run") is True else ""
    yield "when", f"{_value(decision, 'time')}{dry_run}"
    yield "user", _value(decision, "user")
    name = _value(decision, "name")
    yield "object", f"{_value(decision, 'operation')} {_value(decision, 'kind')} {name}"
    yield "namespace", _value(decision, "namespace")
    yield "reason", _value(decision, "reason")
    for name in _texts(decision, "exceptions"):
        yield "exception", name
    for policy in _members(decision, "policies"):
        verdict, why = _value(policy, "verdict"), _value(policy, "reason")
        yield "policy", f"{_value(policy, 'policy')} ({_value(policy, 'action')}): {verdict}, {why}"
    for image in _members(decision, "images"):
        lifted = f", lifted by exception {_value(image, 'exception')}" if "exception" in image else ""
        yield "image", f"{_value(image, 'image')}: {_value(image, 'verdict')}, {_value(image, 'reason')}{lifted}"
        if "digest" in image:
            yield "", f"  {_value(image, 'digest')}"


def _report_facts(decision: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield "when", f"{_value(decision, 'time')} (verified {_value(decision, 'verified_at')})"
    yield "object", f"{_value(decision, 'kind')} {_value(decision, 'name')}"
    yield "namespace", _value(decision, "namespace")
    yield "reason", _value(decision, "reason")
    yield "policy", f"{_value(decision, 'policy')} ({_value(decision, 'action')})"
    yield "image", _value(decision, "image")
    if "digest" in decision:
        yield "", f"  {_value(decision, 'digest')}"
    if "running" in decision:
        yield "running", _value(decision, "running")


def _why(decision: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(str(decision.get("message", "")).split("\n")):
        yield "" if number else "why", quote(line, MAX_LINE)


def _value(parent: Mapping[str, object], name: str) -> str:
    value = parent.get(name)
    return quote(value, MAX_VALUE) if isinstance(value, str) and value else "-"


def _texts(parent: Mapping[str, object], name: str) -> Sequence[str]:
    value = parent.get(name)
    return [quote(text, MAX_VALUE) for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _members(parent: Mapping[str, object], name: str) -> Sequence[Mapping[str, Any]]:
    value = parent.get(name)
    return [member for member in value if isinstance(member, dict)] if isinstance(value, list) else []
