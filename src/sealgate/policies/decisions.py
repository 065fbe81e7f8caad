"""Verdicts from findings. Pure functions: no clock, no network, no state.

For one policy, the keys that verified are assigned to the policy's authenticators, each key to at most one, so that as
many authenticators as possible are met (a maximum bipartite matching). A policy that is not met denies (`Enforce`),
warns (`Warn`) or is only recorded (`Audit`). The image's verdict is the most severe of all matching policies: no policy
can weaken another, and their order does not matter.

Only an `Enforce` policy covers an image, and only an `Exempt` policy exempts one. `Warn` and `Audit` inform; they
never give permission. `unmatchedImages` decides about an image that is neither covered nor exempt, in addition to
the policies that match it.

The verdict of an `Enforce` policy that is not met is *unavailable* instead of *deny* if findings that could not be made
might have met it. An unavailable image is not admitted either; the verdict says that a retry makes sense.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING, Final

from sealgate.findings import Finding, Outcome
from sealgate.messages import quote_image, shorten
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealgate.errors import SealgateError
    from sealgate.policies.exceptions import CompiledException
    from sealgate.policies.matching import CompiledPolicy, Match
    from sealgate.references import Digest, Reference

#: The most characters of a verdict's message, and of the part about one authenticator in it.
MAX_MESSAGE = 1024
MAX_PART = 640


class Verdict(StrEnum):
    """The result for one image under all policies that match it."""

    ADMIT = "admit"
    WARN = "warn"
    DENY = "deny"
    UNAVAILABLE = "unavailable"


#: The verdicts by how severe they are: the most severe one counts.
SEVERITY: Final = {Verdict.ADMIT: 0, Verdict.WARN: 1, Verdict.UNAVAILABLE: 2, Verdict.DENY: 3}


class Coverage(StrEnum):
    """Whether verification policies or `unmatchedImages` decide about an image in its namespace.

    `COVERED`: at least one Enforce policy that certainly selects the namespace must be met. `EXEMPT`: none must, and an
    Exempt policy matches the image. `UNMATCHED`: neither. An Enforce policy that may select the namespace, because not
    all labels are known, must be met too but leaves the image unmatched (`ImageVerdict.enforced`).
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


#: Actions that never deny; an unknown action counts as Enforce.
_LENIENT = frozenset({"Warn", "Audit", "Exempt"})
_UNMATCHED = {
    UnmatchedImages.ADMIT: (Verdict.ADMIT, "admitted"),
    UnmatchedImages.WARN: (Verdict.WARN, "admitted with a warning"),
    UnmatchedImages.DENY: (Verdict.DENY, "denied"),
}


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """The result of one policy for one image.

    Attributes:
        name: the policy's name.
        action: Enforce, Warn or Audit.
        satisfied: number of authenticators that are met, each by a distinct key.
        required: number of authenticators that must be met; at least 1.
        findings: one for each of the policy's authenticators, in the policy's order.
        problem: why the policy cannot be read, so that no image meets it; empty if it can be read.
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
        """Whether the policy is not met but might be if every unavailable finding could be made."""
        unavailable = sum(finding.outcome is Outcome.UNAVAILABLE for finding in self.findings)
        return not self.met and self.satisfied + unavailable >= self.required

    @property
    def if_enforced(self) -> Verdict:
        """The verdict under this policy alone if its action were Enforce."""
        if self.met:
            return Verdict.ADMIT
        return Verdict.UNAVAILABLE if self.undecided else Verdict.DENY

    @property
    def verdict(self) -> Verdict:
        """The verdict under this policy alone."""
        if self.action in ("Audit", "Warn") and not self.met:
            return Verdict.ADMIT if self.action == "Audit" else Verdict.WARN
        return self.if_enforced

    @property
    def reason(self) -> Reason:
        """`Reason.VERIFIED`, or why the policy is not met."""
        return Reason.VERIFIED if self.met else _reason((self,))


@dataclass(frozen=True, slots=True)
class CachedRefusal:
    """Age and expiry of a cached refusal, in seconds of `Clock.monotonic`.

    Attributes:
        since: when the refusal was found.
        until: when the cache entry expires, so that the signatures are fetched again.
    """

    since: float
    until: float

    def describe(self, now: float) -> str:
        """Return the clause of a message that says how old the refusal is and when the signatures are fetched again."""
        age, left = max(int(now - self.since), 0), max(ceil(self.until - now), 0)
        return f"refused {age} s ago, looked up again in {left} s"


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    """The verdict for one image, with everything it rests on.

    Attributes:
        image: the reference as written.
        reference: the parsed reference; None if `image` does not parse.
        subject: the digest that was verified; None if the reference was not resolved.
        verdict: the verdict.
        reason: the machine-readable reason; for an image that is admitted although a policy is not met, the reason of
            that policy.
        message: one line for a person: image, policy, authenticator, reason, what to do.
        policies: the result of every matching policy but Exempt ones, sorted by name.
        coverage: whether policies decide about the image.
        exempting: names of the Exempt policies that match, sorted.
        cached: for an image that is denied because of cached refusals, the one that expires first; otherwise None. It
            is not part of `message`, which stays the same while the verdict does.
        stale_since: for a verdict that rests on answers of before the image's registry became unreachable, when it gave
            the oldest of them, in seconds of `Clock.monotonic`; otherwise None.
        exceptions: the exceptions that cover the image, in force or not, sorted by name.
        exception: the one of them that lifted a denial (`sealgate.policies.lifting`), so that the verdict is a
            warning; otherwise None.
    """

    image: str
    reference: Reference | None
    subject: Digest | None
    verdict: Verdict
    reason: Reason
    message: str
    policies: tuple[PolicyResult, ...]
    coverage: Coverage = Coverage.UNMATCHED
    exempting: tuple[str, ...] = ()
    cached: CachedRefusal | None = None
    stale_since: float | None = None
    exceptions: tuple[CompiledException, ...] = ()
    exception: CompiledException | None = None

    @property
    def enforced(self) -> bool:
        """Whether at least one Enforce policy must be met, including one that only may select the namespace."""
        return any(policy.action not in _LENIENT for policy in self.policies)

    @property
    def unmet(self) -> bool:
        """Whether at least one matching policy is not met, with any action."""
        return any(not policy.met for policy in self.policies)

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
        image: the reference as written.
        reference: the parsed reference.
        subject: the digest that the findings are about; None if the reference was not resolved.
        results: every matching policy with the findings of its authenticators. A missing finding counts as
            unavailable; a finding of an authenticator that the policy does not name is ignored.
        unmatched: what happens to an image that is neither covered nor exempt.
    """
    coverage = _coverage([match for match, _ in results])
    exempting = tuple(sorted(match.policy.name for match, _ in results if match.policy.action == "Exempt"))
    weighed = (_weigh(match.policy, findings) for match, findings in results if match.policy.action != "Exempt")
    policies = tuple(sorted(weighed, key=lambda policy: policy.name))
    default, what = _UNMATCHED[unmatched] if coverage is Coverage.UNMATCHED else (Verdict.ADMIT, "admitted")
    verdict = max([default, *(policy.verdict for policy in policies)], key=SEVERITY.__getitem__)
    # The message explains the policies that caused the verdict; for an admitted image, the Audit policies not met.
    deciding = [policy for policy in policies if not policy.met and policy.verdict is verdict]
    if deciding:
        reason = _reason(deciding)
        # Unreadable policies first, so that a truncated message still names them.
        ordered = sorted(deciding, key=lambda policy: not policy.problem)
        message = f"{_LEAD[verdict]}: " + "; ".join(describe_policy(policy) for policy in ordered)
    elif coverage is Coverage.UNMATCHED and not (policies and verdict is Verdict.ADMIT):
        reason, message = Reason.NO_POLICY_MATCHES, f"{what}: {_NOT_COVERED}"
        message += "" if verdict is Verdict.ADMIT else "; write one that does, or one with action: Exempt"
    elif policies:
        reason = Reason.VERIFIED
        message = f"verified by {_named(policy.name for policy in policies)}"
    else:
        reason, message = Reason.EXEMPT, f"admitted unverified: exempt by {_named(exempting)}"
    text = shorten(f"{quote_image(image)}: {message}", MAX_MESSAGE)
    return ImageVerdict(image, reference, subject, verdict, reason, text, policies, coverage, exempting)


def note_mismatched_tag(verdict: ImageVerdict, tag: str) -> ImageVerdict:
    """Return the verdict for an image whose tag does not name its digest, with a note about it unless it is admitted.

    Args:
        verdict: the verdict of an image without a known tag.
        tag: the tag as written.
    """
    if verdict.verdict is Verdict.ADMIT:
        return verdict
    note = (
        f"; tag {tag} does not name this digest in the registry, so no rule about tags takes it into account; write "
        "one that does"
    )
    return replace(verdict, message=shorten(verdict.message, MAX_MESSAGE - len(note)) + note)


def note_stale_answers(verdict: ImageVerdict, since: float) -> ImageVerdict:
    """Return a verdict that rests on answers of before the image's registry became unreachable, with a note about it.

    Args:
        verdict: the verdict.
        since: when the registry gave the oldest of them, in seconds of `Clock.monotonic`.
    """
    message = shorten(verdict.message, MAX_MESSAGE - len(_STALE)) + _STALE
    return replace(verdict, message=message, stale_since=since)


def combine_unchecked_tag(strict: ImageVerdict, as_tagged: ImageVerdict, tag: str, why: Finding) -> ImageVerdict:
    """Return the verdict for an image whose tag could not be compared with its digest.

    The verdict without a known tag counts. If the image would not be denied with the tag, that verdict is *unavailable*
    instead of *deny*.

    Args:
        strict: the verdict if the tag does not name the digest.
        as_tagged: the verdict if the tag names the digest.
        tag: the tag as written.
        why: the unavailable finding that says why the registry did not answer.
    """
    if strict.verdict is not Verdict.DENY or as_tagged.verdict is Verdict.DENY:
        return strict
    lead = f"{quote_image(strict.image)}: {_LEAD[Verdict.UNAVAILABLE]}"
    unknown = f"whether tag {tag} names this digest is not known ({shorten(_clause(why.message), MAX_PART)})"
    refusal = strict.message.removeprefix(f"{quote_image(strict.image)}: ")
    message = shorten(f"{lead}: {unknown}; without that tag it is {refusal}", MAX_MESSAGE)
    return replace(strict, verdict=Verdict.UNAVAILABLE, reason=why.reason, message=message)


def refuse_reference(image: str, error: SealgateError) -> ImageVerdict:
    """Return the verdict for an image whose reference does not parse.

    Which policies match it cannot be determined, so it is denied under any policies.

    Args:
        image: the reference as written.
        error: why the reference does not parse.
    """
    message = shorten(f"{quote_image(image)}: {_LEAD[Verdict.DENY]}: {error.message}", MAX_MESSAGE)
    return ImageVerdict(image, None, None, Verdict.DENY, error.reason, message, ())


def require_digest(verdict: ImageVerdict) -> ImageVerdict:
    """Return the verdict for an image of a Pod that must name the digest that was verified.

    A tag can be moved before the kubelet pulls it. So an image that is subject to an Enforce policy and would be
    admitted is *unavailable* without a digest: `/mutate` could not pin it, was not called, or another webhook has
    restored the tag. A denied image stays denied, because that message says more.

    Args:
        verdict: the verdict on the digest that the reference names now.
    """
    reference = verdict.reference
    if reference is None or reference.digest is not None or verdict.verdict not in (Verdict.ADMIT, Verdict.WARN):
        return verdict
    if not verdict.enforced:
        return verdict
    message = shorten(
        f"{quote_image(verdict.image)}: {_LEAD[Verdict.UNAVAILABLE]}: it could not be pinned, and the tag may name "
        "another image when it is pulled; try again, or name the digest (IMAGE@sha256:...). If this does not go away, "
        "a webhook that runs after sealgate puts tags back, or the API server does not call sealgate's /mutate",
        MAX_MESSAGE,
    )
    return replace(verdict, verdict=Verdict.UNAVAILABLE, reason=Reason.NOT_PINNED, message=message, cached=None)


def soften(verdict: ImageVerdict) -> ImageVerdict:
    """Return the verdict for an image of an object that only gets warnings (`Workloads.WARN`): deny becomes warn.

    Args:
        verdict: the verdict under the policies.
    """
    if verdict.verdict not in (Verdict.DENY, Verdict.UNAVAILABLE):
        return verdict
    image, lead = f"{quote_image(verdict.image)}: ", _LEAD[verdict.verdict]
    why = verdict.message.removeprefix(image).removeprefix(lead)
    return replace(verdict, verdict=Verdict.WARN, message=shorten(f"{image}{_LEAD[Verdict.WARN]}{why}", MAX_MESSAGE))


def objection(verdict: ImageVerdict) -> str:
    """Return what would deny an admitted image, one line for a person: its unmet policies of every action.

    The text is the same while the verdict is. It is empty if nothing would.

    Args:
        verdict: a verdict that admits the image, perhaps with a warning.
    """
    unmet = sorted((policy for policy in verdict.policies if not policy.met), key=lambda policy: not policy.problem)
    if unmet and verdict.exception is None:
        described = "; ".join(f"{policy.action} {describe_policy(policy)}" for policy in unmet)
        return shorten(f"{quote_image(verdict.image)}: would be denied: {described}", MAX_MESSAGE)
    return verdict.message if verdict.verdict is Verdict.WARN else ""


def count_met(keys: Mapping[str, Iterable[str]]) -> int:
    """Return how many authenticators can be met if each key serves at most one of them.

    Args:
        keys: name of each authenticator -> fingerprints of the keys that verified; may be empty.
    """
    accepted = {name: sorted(set(fingerprints)) for name, fingerprints in keys.items()}
    holder: dict[str, str] = {}
    return sum(_find_key(name, accepted, holder, set()) for name in accepted)


# A function inside `count_met` that calls itself would be a reference cycle, and garbage, for each verdict.
def _find_key(name: str, accepted: Mapping[str, Sequence[str]], holder: dict[str, str], tried: set[str]) -> bool:
    """Give an authenticator a key that is free, or that its holder can replace by another; return whether it got one.

    Args:
        name: the authenticator.
        accepted: the keys of each authenticator.
        holder: the authenticator that each key serves now; changed.
        tried: keys that cannot be had; changed.
    """
    for key in accepted[name]:
        if key not in tried:
            tried.add(key)
            if key not in holder or _find_key(holder[key], accepted, holder, tried):
                holder[key] = name
                return True
    return False


def _coverage(matches: Sequence[Match]) -> Coverage:
    if any(match.certain and match.policy.action not in _LENIENT for match in matches):
        return Coverage.COVERED
    if any(match.certain and match.policy.action == "Exempt" for match in matches):
        return Coverage.EXEMPT
    return Coverage.UNMATCHED


def _weigh(policy: CompiledPolicy, findings: Sequence[Finding]) -> PolicyResult:
    """Return the policy's result, with exactly one finding for each of its authenticators."""
    chosen = tuple(_finding_of(name, findings) for name in dict.fromkeys(policy.authenticators))
    met = count_met({f.authenticator: f.fingerprints for f in chosen if f.outcome is Outcome.VERIFIED})
    # Loading rejects a count below 1; if one gets here all the same, it must not mean that nothing is required.
    return PolicyResult(policy.name, policy.action, met, max(policy.count, 1), chosen, policy.problem)


def _finding_of(authenticator: str, findings: Sequence[Finding]) -> Finding:
    """Return the authenticator's finding: the worst if there are several, an unavailable one if there is none."""
    own = [finding for finding in findings if finding.authenticator == authenticator]
    if not own:
        message = "the authenticator was not run; this is a bug in sealgate, please report it"
        return Finding(authenticator, "", Outcome.UNAVAILABLE, Reason.INTERNAL_ERROR, message)
    return min(own, key=lambda f: (_OUTCOMES.index(f.outcome), len(f.fingerprints), f.fingerprints, f.message))


_STALE = "; the registry cannot be reached, so what it last said counts (cache.staleTagSeconds)"
_NOT_COVERED = "no verification policy covers it in this namespace"
_OUTCOMES = (Outcome.REFUSED, Outcome.UNAVAILABLE, Outcome.VERIFIED)
_LEAD = {
    Verdict.ADMIT: "admitted, for the record only",
    Verdict.WARN: "admitted with a warning",
    Verdict.UNAVAILABLE: "not admitted, since it could not be verified",
    Verdict.DENY: "denied",
}


def _reason(deciding: Sequence[PolicyResult]) -> Reason:
    """Return the reason that all deciding findings share, or `POLICY_NOT_SATISFIED` if they differ."""
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


def describe_policy(policy: PolicyResult) -> str:
    """Return why a policy is not met, and what to do, for a person: one line that begins with the policy's name."""
    if policy.problem:
        remedy = f"correct it, or delete it with kubectl delete vpol {policy.name}"
        why = shorten(_clause(policy.problem), MAX_PART)
        return f"policy {policy.name} cannot be read, so no image meets it; {remedy} ({why})"
    parts = [f"{finding.authenticator}: {shorten(_clause(finding.message), MAX_PART)}" for finding in _failures(policy)]
    if sum(finding.outcome is Outcome.VERIFIED for finding in policy.findings) > policy.satisfied:
        parts.append("authenticators that verified share their keys, and each needs a key of its own")
    needed = "" if policy.required == len(policy.findings) == 1 else f" ({policy.satisfied} of {policy.required} met)"
    return f"policy {policy.name}{needed}: " + "; ".join(parts)


def _clause(sentence: str) -> str:
    """Return a sentence without its full stop, so that it can be part of another."""
    return sentence.rstrip(". ")
