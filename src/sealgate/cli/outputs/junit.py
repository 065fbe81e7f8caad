"""JUnit output, which CI systems read: a test suite for each namespace, a test case for each image and policy.

A policy that denies is a failure; one that could not be decided is an error; an image that no policy is about is
skipped; a warning, and an Audit policy that is not met, are output of a test that passes, as admission lets them pass.

JUnit has no specification; the elements and attributes are those that Jenkins and Maven's Surefire agree on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # noqa: S405, ICN001 - nothing is parsed

from sealgate.cli.outputs.results import results_of
from sealgate.messages import quote
from sealgate.policies.decisions import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sealgate.cli.outputs.results import Result
    from sealgate.cli.questions import Answer


def junit_text(answers: Sequence[Answer], problems: Sequence[str] = ()) -> str:
    """Return the document, ASCII only, indented.

    Args:
        answers: the images and their verdicts.
        problems: what could not be read, one line each, escaped; each is an error of a suite of its own.
    """
    suites: dict[str, list[ET.Element]] = {}
    for result in (result for answer in answers for result in results_of(answer)):
        suites.setdefault(result.namespace, []).append(_case(result))
    if problems:
        suites["sealgate: not read"] = [_problem(problem) for problem in problems]
    root = ET.Element("testsuites", {"name": "sealgate"})
    for name, cases in suites.items():
        root.append(_suite(name, cases))
    totals = {key: str(sum(int(suite.get(key, "0")) for suite in root)) for key in ("tests", "failures", "errors")}
    root.attrib.update(totals)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="us-ascii").decode()}'


def _suite(name: str, cases: Iterable[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", {"name": name})
    suite.extend(cases)
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite)))
    return suite


def _case(result: Result) -> ET.Element:
    classname = ".".join(filter(None, (result.namespace, result.policy)))
    case = ET.Element("testcase", {"name": quote(result.answer.question.image), "classname": classname})
    attributes = {"type": result.reason.value, "message": result.message}
    if result.verdict is Verdict.DENY:
        ET.SubElement(case, "failure", attributes).text = _uses(result)
    elif result.verdict is Verdict.UNAVAILABLE:
        ET.SubElement(case, "error", attributes).text = _uses(result)
    elif not result.policy and result.met:
        ET.SubElement(case, "skipped", {"message": result.message})
    elif not result.met:
        ET.SubElement(case, "system-out").text = result.message
    return case


def _uses(result: Result) -> str:
    question = result.answer.question
    lines = [f"used by {use}" for use in question.uses]
    return "\n".join([*lines, f"used in {question.more} more places"] if question.more else lines)


def _problem(problem: str) -> ET.Element:
    case = ET.Element("testcase", {"name": quote(problem), "classname": "sealgate"})
    ET.SubElement(case, "error", {"type": "NotRead", "message": problem})
    return case
