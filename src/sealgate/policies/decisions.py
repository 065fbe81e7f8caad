"""From findings to a verdict. Pure: no clock, no network, nothing remembered.

For one policy, the keys that verified are given out to the policy's authenticators, each key to at most one, so that
as many authenticators as possible are met. A policy that is not met refuses (`Enforce`), warns (`Warn`) or is only
put on record (`Audit`). The worst answer of all matching policies is the image's: no policy can weaken another, and
their order does not matter.

Only an `Enforce` policy covers an image, and only an `Exempt` policy exempts one. `Warn` and `Audit` inform; they
never give permission. `unmatchedImages` decides about an image that is neither covered nor exempt, in addition to
the policies that match it.

An `Enforce` policy that is not met is *unavailable* instead of refused where findings that could not be made might
still have met it. That never admits anything either; it says that asking again makes sense.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING

from sealgate.findings import Finding, Outcome
from sealgate.messages import quote_image
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealgate.errors import SealgateError
    from sealgate.policies.matching import CompiledPolicy, Match
    from sealgate.references import Digest, Reference

#: The longest message of a verdict, and of one authenticator in it, in characters.
MAX_MESSAGE = 1024
MAX_PART = 640


class Verdict(StrEnum):
    """The answer for one image under all the policies that match it."""

    ADMIT = "admit"
    WARN = "warn"
    DENY = "deny"
    UNAVAILABLE = "unavailable"


_SEVERITY = {Verdict.ADMIT: 0, Verdict.WARN: 1, Verdict.UNAVAILABLE: 2, Verdict.DENY: 3}


class Coverage(StrEnum):
    """Whether verification policies decide about an image in its namespace, or `unmatchedImages` does.

    `COVERED`: at least one Enforce policy that is known to select the namespace must be met. `EXEMPT`: none must, but
    an Exempt policy names the image. `UNMATCHED`: neither. An Enforce policy that only may select the namespace, since
    not all labels are known, must be met too, and leaves the image unmatched (`ImageVerdict.enforced`).
    """

    COVERED = "covered"
    EXEMPT = "exempt"
    UNMATCHED = "unmatched"


class UnmatchedImages(StrEnum):
    """What happens to an image that is neither covered nor exempt."""

    ADMIT = "Admit"
    WARN = "Warn"
    DENY = "Deny"


class Workloads(StrEnum):
    """What happens to an object that is not a Pod and whose images are not verified: a template, or a custom kind.

    Pods are always enforced. With `Ignore` the other objects are not verified at all.
    """

    ENFORCE = "Enforce"
    WARN = "Warn"
    IGNORE = "Ignore"


#: Actions that deny nothing; one that is not known enforces.
_LENIENT = frozenset({"Warn", "Audit", "Exempt"})
_UNMATCHED = {
    UnmatchedImages.ADMIT: (Verdict.ADMIT, "admitted"),
    UnmatchedImages.WARN: (Verdict.WARN, "admitted with a warning"),
    UnmatchedImages.DENY: (Verdict.DENY, "denied"),
}


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """How one image fared under one policy.

    Attributes:
        name: the policy's name.
        action: Enforce, Warn or Audit.
        satisfied: authenticators met, each by a key of its own.
        required: how many had to be; at least 1.
        findings: one for each of the policy's authenticators, in its order.
        problem: why the policy cannot be read, so that nothing meets it; empty if it can be.
    """

    name: str
    action: str
    satisfied: int
    required: int
    findings: tuple[Finding, ...]
    problem: str = ""

    @property
    def met(self) -> bool:
        """Whether enough authenticators were met."""
        return self.satisfied >= self.required

    @property
    def undecided(self) -> bool:
        """Whether it is not met, but might have been, had every finding been made."""
        unavailable = sum(finding.outcome is Outcome.UNAVAILABLE for finding in self.findings)
        return not self.met and self.satisfied + unavailable >= self.required

    @property
    def verdict(self) -> Verdict:
        """What this policy alone would answer."""
        if self.met or self.action == "Audit":
            return Verdict.ADMIT
        if self.action == "Warn":
            return Verdict.WARN
        return Verdict.UNAVAILABLE if self.undecided else Verdict.DENY


@dataclass(frozen=True, slots=True)
class CachedRefusal:
    """When a refusal was found that a verdict takes from the cache; `Clock.monotonic` seconds.

    Attributes:
        since: when it was found.
        until: from when on the signatures are looked up again.
    """

    since: float
    until: float

    def describe(self, now: float) -> str:
        """Return the clause that says how old the refusal is and when signatures are looked up again."""
        age, left = max(int(now - self.since), 0), max(ceil(self.until - now), 0)
        return f"refused {age} s ago, looked up again in {left} s"


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    """The answer for one image.

    Attributes:
        image: as written.
        reference: the same, normalised; None when it does not parse.
        subject: the digest that was verified; None when there is none.
        verdict: the answer.
        reason: why, for machines; of an image that is admitted although a policy is not met, why that is.
        message: one line for a person: image, policy, authenticator, reason, what to do.
        policies: the result of every policy that matches, sorted by name; Exempt policies have none.
        coverage: whether policies decide about the image.
        cached: of an image that is refused for what is in the cache, the refusal that is looked up again first. The
            message does not say it, since it is the same for as long as the verdict is.
    """

    image: str
    reference: Reference | None
    subject: Digest | None
    verdict: Verdict
    reason: Reason
    message: str
    policies: tuple[PolicyResult, ...]
    coverage: Coverage = Coverage.UNMATCHED
    cached: CachedRefusal | None = None

    @property
    def enforced(self) -> bool:
        """Whether at least one Enforce policy must be met, one that only may select the namespace included."""
        return any(policy.action not in _LENIENT for policy in self.policies)

    @property
    def verified(self) -> bool:
        """Whether at least one policy matches and every matching one is met."""
        return bool(self.policies) and all(policy.met for policy in self.policies)


def decide(
    image: str,
    reference: Reference | None,
    subject: Digest | None,
    results: Sequence[tuple[Match, Sequence[Finding]]],
    unmatched: UnmatchedImages,
) -> ImageVerdict:
    """Combine findings into the verdict for one image.

    Args:
        image: as written.
        reference: the same, normalised.
        subject: the digest that the findings are about; None when it could not be found out.
        results: every policy that matches, with the findings of its authenticators. A finding that is missing
            counts as unavailable, one of an authenticator that the policy does not name counts for nothing.
        unmatched: what happens to an image that is neither covered nor exempt.
    """
    coverage = _coverage([match for match, _ in results])
    exempting = sorted(match.policy.name for match, _ in results if match.policy.action == "Exempt")
    weighed = (_weigh(match.policy, findings) for match, findings in results if match.policy.action != "Exempt")
    policies = tuple(sorted(weighed, key=lambda policy: policy.name))
    default, what = _UNMATCHED[unmatched] if coverage is Coverage.UNMATCHED else (Verdict.ADMIT, "admitted")
    verdict = max([default, *(policy.verdict for policy in policies)], key=_SEVERITY.__getitem__)
    # The message is about the policies that made the verdict; for an admitted image, about those only on record.
    deciding = [policy for policy in policies if not policy.met and policy.verdict is verdict]
    if deciding:
        reason = _reason(deciding)
        # Those that nothing meets first, so that a message that is cut off still names them.
        ordered = sorted(deciding, key=lambda policy: not policy.problem)
        message = f"{_LEAD[verdict]}: " + "; ".join(_describe(policy) for policy in ordered)
    elif coverage is Coverage.UNMATCHED and not (policies and verdict is Verdict.ADMIT):
        reason, message = Reason.NO_POLICY_MATCHES, f"{what}: {_NOT_COVERED}"
        message += "" if verdict is Verdict.ADMIT else "; write one that does, or one with action: Exempt"
    elif policies:
        reason = Reason.VERIFIED
        message = f"verified by {_named(policy.name for policy in policies)}"
    else:
        reason, message = Reason.EXEMPT, f"admitted unverified: exempt by {_named(exempting)}"
    return ImageVerdict(
        image, reference, subject, verdict, reason, _bounded(f"{quote_image(image)}: {message}"), policies, coverage
    )


def disown_tag(verdict: ImageVerdict, tag: str) -> ImageVerdict:
    """Return the verdict for an image whose tag does not name its digest, with a message that says so if it matters.

    Args:
        verdict: the verdict without a known tag.
        tag: the tag as written.
    """
    if verdict.verdict is Verdict.ADMIT:
        return verdict
    note = (
        f"; tag {tag} does not name this digest in the registry, so no rule about tags takes it into account; write "
        "one that does"
    )
    return replace(verdict, message=_bounded(verdict.message, MAX_MESSAGE - len(note)) + note)


def doubt_tag(strict: ImageVerdict, as_tagged: ImageVerdict, tag: str, why: Finding) -> ImageVerdict:
    """Return the verdict for an image whose tag could not be compared with its digest.

    The image must meet what it must meet without a known tag. If it is refused only for that, the answer is
    *unavailable*.

    Args:
        strict: the verdict as if the tag did not name the digest.
        as_tagged: the verdict as if it did.
        tag: the tag.
        why: what kept the registry from being asked.
    """
    if strict.verdict is not Verdict.DENY or as_tagged.verdict is Verdict.DENY:
        return strict
    lead = f"{quote_image(strict.image)}: {_LEAD[Verdict.UNAVAILABLE]}"
    unknown = f"whether tag {tag} names this digest is not known ({_bounded(_clause(why.message), MAX_PART)})"
    refusal = strict.message.removeprefix(f"{quote_image(strict.image)}: ")
    message = _bounded(f"{lead}: {unknown}; without that tag it is {refusal}")
    return replace(strict, verdict=Verdict.UNAVAILABLE, reason=why.reason, message=message)


def refuse_reference(image: str, error: SealgateError) -> ImageVerdict:
    """Return the verdict for an image that no policy can even be asked about: its reference does not parse.

    Nobody can say which policies it would fall under, so it is denied whatever they are.

    Args:
        image: as written.
        error: why it does not parse.
    """
    message = _bounded(f"{quote_image(image)}: {_LEAD[Verdict.DENY]}: {error.message}")
    return ImageVerdict(image, None, None, Verdict.DENY, error.reason, message, ())


def require_digest(verdict: ImageVerdict) -> ImageVerdict:
    """Return the verdict for an image of a Pod that must name the digest that was verified.

    What a bare tag names can change before the kubelet pulls it. So an image that an Enforce policy must be met for and
    that would be admitted is *unavailable* without a digest: `/mutate` could not pin it, was not called, or another
    webhook has put the tag back. A refusal stays one, since it says more.

    Args:
        verdict: the verdict on what the reference names now.
    """
    reference = verdict.reference
    if reference is None or reference.digest is not None or verdict.verdict not in (Verdict.ADMIT, Verdict.WARN):
        return verdict
    if not verdict.enforced:
        return verdict
    message = _bounded(
        f"{quote_image(verdict.image)}: {_LEAD[Verdict.UNAVAILABLE]}: it could not be pinned, and the tag may name "
        "another image when it is pulled; try again, or name the digest (IMAGE@sha256:...). If this does not go away, "
        "a webhook that runs after sealgate puts tags back, or the API server does not call sealgate's /mutate"
    )
    return replace(verdict, verdict=Verdict.UNAVAILABLE, reason=Reason.NOT_PINNED, message=message, cached=None)


def soften(verdict: ImageVerdict) -> ImageVerdict:
    """Return the verdict for an image of an object that is only warned about (`Workloads.WARN`).

    Args:
        verdict: the verdict under the policies.
    """
    if verdict.verdict not in (Verdict.DENY, Verdict.UNAVAILABLE):
        return verdict
    image, lead = f"{quote_image(verdict.image)}: ", _LEAD[verdict.verdict]
    why = verdict.message.removeprefix(image).removeprefix(lead)
    return replace(verdict, verdict=Verdict.WARN, message=_bounded(f"{image}{_LEAD[Verdict.WARN]}{why}"))


def count_met(keys: Mapping[str, Iterable[str]]) -> int:
    """Return how many authenticators can be met when each key serves at most one of them.

    Args:
        keys: authenticators, each with the fingerprints of the keys that verified.
    """
    accepted = {name: sorted(set(fingerprints)) for name, fingerprints in keys.items()}
    holder: dict[str, str] = {}

    def find_key(name: str, tried: set[str]) -> bool:
        for key in accepted[name]:
            if key not in tried:
                tried.add(key)
                if key not in holder or find_key(holder[key], tried):
                    holder[key] = name
                    return True
        return False

    return sum(find_key(name, set()) for name in accepted)


def _coverage(matches: Sequence[Match]) -> Coverage:
    if any(match.certain and match.policy.action not in _LENIENT for match in matches):
        return Coverage.COVERED
    if any(match.certain and match.policy.action == "Exempt" for match in matches):
        return Coverage.EXEMPT
    return Coverage.UNMATCHED


def _weigh(policy: CompiledPolicy, findings: Sequence[Finding]) -> PolicyResult:
    """Return the policy's result; each of its authenticators has exactly one finding, whatever was handed in."""
    chosen = tuple(_finding_of(name, findings) for name in dict.fromkeys(policy.authenticators))
    met = count_met({f.authenticator: f.fingerprints for f in chosen if f.outcome is Outcome.VERIFIED})
    # A count below one, or of nobody, is refused when a policy is read; here it must not mean "nothing to do".
    return PolicyResult(policy.name, policy.action, met, max(policy.count, 1), chosen, policy.problem)


def _finding_of(authenticator: str, findings: Sequence[Finding]) -> Finding:
    """Return the authenticator's finding: the worst of several, an unavailable one where there is none."""
    own = [finding for finding in findings if finding.authenticator == authenticator]
    if not own:
        message = "it was not asked; this is a fault in sealgate, please report it"
        return Finding(authenticator, "", Outcome.UNAVAILABLE, Reason.INTERNAL_ERROR, message)
    return min(own, key=lambda f: (_OUTCOMES.index(f.outcome), len(f.fingerprints), f.fingerprints, f.message))


_NOT_COVERED = "no verification policy covers it in this namespace"
_OUTCOMES = (Outcome.REFUSED, Outcome.UNAVAILABLE, Outcome.VERIFIED)
_LEAD = {
    Verdict.ADMIT: "admitted, for the record only",
    Verdict.WARN: "admitted with a warning",
    Verdict.UNAVAILABLE: "not admitted, since it could not be verified",
    Verdict.DENY: "denied",
}


def _reason(deciding: Sequence[PolicyResult]) -> Reason:
    """Return the one reason that all deciding findings share, or the general one."""
    reasons = {finding.reason for policy in deciding for finding in _failures(policy)}
    if any(policy.problem for policy in deciding):
        reasons.add(Reason.INVALID_POLICY)
    return reasons.pop() if len(reasons) == 1 else Reason.POLICY_NOT_SATISFIED


def _failures(policy: PolicyResult) -> list[Finding]:
    """Return the findings that explain why the policy is not met."""
    wanted = Outcome.UNAVAILABLE if policy.undecided else None
    return [
        finding
        for finding in policy.findings
        if finding.outcome is not Outcome.VERIFIED and wanted in (None, finding.outcome)
    ]


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    return f"{'policy' if len(listed) == 1 else 'policies'} {', '.join(listed)}"


def _describe(policy: PolicyResult) -> str:
    if policy.problem:
        remedy = f"correct it, or delete it with kubectl delete vpol {policy.name}"
        why = _bounded(_clause(policy.problem), MAX_PART)
        return f"policy {policy.name} cannot be read, so no image meets it; {remedy} ({why})"
    parts = [
        f"{finding.authenticator}: {_bounded(_clause(finding.message), MAX_PART)}" for finding in _failures(policy)
    ]
    if sum(finding.outcome is Outcome.VERIFIED for finding in policy.findings) > policy.satisfied:
        parts.append("authenticators that verified share their keys, and each needs a key of its own")
    needed = "" if policy.required == len(policy.findings) == 1 else f" ({policy.satisfied} of {policy.required} met)"
    return f"policy {policy.name}{needed}: " + "; ".join(parts)


def _clause(sentence: str) -> str:
    """Return a sentence as it may stand inside another."""
    return sentence.rstrip(". ")


def _bounded(text: str, limit: int = MAX_MESSAGE) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
