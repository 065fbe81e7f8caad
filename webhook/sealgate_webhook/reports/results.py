"""Results of reports: what each policy says about each image that a workload uses. Pure functions.

| result | meaning |
|---|---|
| pass | the policy is met |
| fail | an Enforce policy is not met, or `unmatchedImages` would deny the image |
| warn | a policy with another action is not met, or `unmatchedImages` would warn |
| error | it could not be determined, and never a failure: the registry cannot be asked, or what runs is not known |
| skip | an Exempt policy names the image, or an exception that is in force lifts what the policy would deny |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from sealgate.messages import quote, quote_image, shorten
from sealgate.policies.decisions import SEVERITY, Verdict, describe_policy
from sealgate.policies.lifting import lift
from sealgate.reasons import Reason
from sealgate.workloads.running import Running, compare_running
from sealgate_webhook.reports.workloads import Image

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict, PolicyResult
    from sealgate_webhook.reports.checks import Answer
    from sealgate_webhook.reports.workloads import Usage, Workload

Outcome = Literal["pass", "fail", "warn", "error", "skip"]

#: The name that stands for a policy in results that no policy caused. A policy cannot have it.
NO_POLICY: Final = "sealgate: no policy"
#: The reason of a result about a container that may run another image than the one that was verified.
RUNNING_IMAGE_UNKNOWN: Final = "RunningImageUnknown"
#: The reason of a result that an exception lifts; its message names the exception.
EXCEPTION: Final = "Exception"
#: The most characters of a message, and of an image in it.
MAX_MESSAGE: Final = 1024


@dataclass(frozen=True, slots=True)
class Result:
    """What one policy says about one image of one workload. All texts are escaped and bounded.

    Attributes:
        policy: name of the policy; `NO_POLICY` if none decides.
        action: the policy's action; empty if none decides.
        outcome: the result.
        reason: the machine-readable reason.
        message: the same for a person, one line.
        image: the reference as written; empty if the images of the workload are not known.
        digest: the digest that was verified; empty if the image was not resolved.
        running: whether the containers run what was verified; empty if no node has begun one.
        verified_at: when it was found.
    """

    policy: str
    action: str
    outcome: Outcome
    reason: str
    message: str
    image: str
    digest: str
    running: str
    verified_at: datetime


def results_of(workload: Workload, usage: Usage, answers: Mapping[Image, Answer], clock: Clock) -> list[Result] | None:
    """Return the results of a workload, by image and policy; None while an image of it has no verdict yet.

    Args:
        workload: the workload.
        usage: what it uses.
        answers: the verdicts.
        clock: the time, which says which exceptions are in force: a verdict may be older than the end of one.
    """
    now = clock.now()
    results = [_unknown(problem, now) for problem in sorted(usage.problems)]
    if usage.cut:
        results.append(_unknown("more images than are verified for one namespace; the others are left out", now))
    for text, ids in sorted(usage.images.items()):
        answer = answers.get(Image(workload.namespace, text))
        if answer is None:
            return None
        results += _of_image(replace(answer, verdict=lift(answer.verdict, clock)), ids)
    return results


def pods_unread(problem: str, now: datetime) -> Result:
    """Return the result that says, of every workload, that its Pods could not be listed."""
    return _unknown(f"Pods cannot be listed, so it is not known what runs: {problem}", now)


def _unknown(message: str, now: datetime) -> Result:
    text = shorten(message, MAX_MESSAGE)
    return Result(NO_POLICY, "", "error", Reason.INVALID_WORKLOAD.value, text, "", "", "", now)


def _of_image(answer: Answer, ids: Collection[str]) -> Iterator[Result]:
    verdict = answer.verdict
    running, other = _running(answer, ids)
    worst = Verdict.ADMIT
    for policy in verdict.policies:
        # Admission does never more than the image's verdict says: a tag that could not be compared makes it milder.
        decided = min(policy.verdict, verdict.verdict, key=SEVERITY.__getitem__)
        worst = max(worst, decided, key=SEVERITY.__getitem__)
        outcome, reason, message = _lifted(verdict) if _is_lifted(policy, verdict) else _weigh(policy, decided)
        if other is not None and verdict.subject is not None and not _is_pinned(verdict):
            outcome, reason, message = "error", RUNNING_IMAGE_UNKNOWN, _explain_unknown(verdict, other)
        yield _result(answer, policy.name, policy.action, (outcome, reason, message), running)
    for name in verdict.exempting:
        what: tuple[Outcome, str, str] = ("skip", Reason.EXEMPT.value, f"exempt by policy {quote(name)}")
        yield _result(answer, name, "Exempt", what, running)
    if worst is not verdict.verdict:
        outcomes: dict[Verdict, Outcome] = {Verdict.WARN: "warn", Verdict.UNAVAILABLE: "error", Verdict.DENY: "fail"}
        what = outcomes[verdict.verdict], verdict.reason.value, _message(verdict)
        yield _result(answer, NO_POLICY, "", what if verdict.exception is None else _lifted(verdict), running)


def _is_lifted(policy: PolicyResult, verdict: ImageVerdict) -> bool:
    """Return whether an exception lifts what a policy would deny."""
    return verdict.exception is not None and policy.verdict in {Verdict.DENY, Verdict.UNAVAILABLE}


def _is_pinned(verdict: ImageVerdict) -> bool:
    """Return whether the reference names the digest, so that nodes run nothing else, by whichever digest they name it.

    What an `imageID` that is not recognised says then must not hide what the policies say.
    """
    return verdict.reference is not None and verdict.reference.digest is not None


def _lifted(verdict: ImageVerdict) -> tuple[Outcome, str, str]:
    return "skip", EXCEPTION, _message(verdict)


def _message(verdict: ImageVerdict) -> str:
    return verdict.message.removeprefix(f"{quote_image(verdict.image)}: ")


def _weigh(policy: PolicyResult, decided: Verdict) -> tuple[Outcome, str, str]:
    if policy.met:
        return "pass", Reason.VERIFIED.value, f"verified by policy {quote(policy.name)}"
    lenient = policy.action in {"Warn", "Audit"}
    if policy.undecided or (not lenient and decided is Verdict.UNAVAILABLE):
        return "error", policy.reason.value, f"could not be verified: {describe_policy(policy)}"
    if lenient:
        return "warn", policy.reason.value, f"would be denied if the policy enforced: {describe_policy(policy)}"
    return "fail", policy.reason.value, f"would be denied now: {describe_policy(policy)}"


def _running(answer: Answer, ids: Collection[str]) -> tuple[str, str | None]:
    """Return whether all containers run the subject, and the first `imageID` of one that may not."""
    subject, contents = answer.verdict.subject, answer.contents
    others = sorted(one for one in ids if compare_running(one, subject, contents) is not Running.MATCH)
    if others:
        return Running.UNKNOWN.value, others[0]
    return (Running.MATCH.value if ids else ""), None


def _explain_unknown(verdict: ImageVerdict, image_id: str) -> str:
    return (
        f"a container may run another image than the one that was verified, {verdict.subject}: its node reports "
        f"{quote_image(image_id) if image_id else 'several'}; a tag that was moved does that, and so does a node that "
        "reports a digest within an index. Name the digest (IMAGE@sha256:...) to be certain"
    )


def _result(answer: Answer, policy: str, action: str, what: tuple[Outcome, str, str], running: str) -> Result:
    verdict = answer.verdict
    outcome, reason, message = what
    return Result(
        quote(policy),
        quote(action),
        outcome,
        reason,
        shorten(f"{quote_image(verdict.image)}: {message}", MAX_MESSAGE),
        quote(verdict.image),
        verdict.subject or "",
        running,
        answer.verified_at,
    )
