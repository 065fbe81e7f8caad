"""Verdicts as they would be without some keys: what stops passing if a key is revoked or replaced.

A key is taken out of the findings, not of the authenticators: a finding lists every key that verified, so nothing has
to be requested again. Taking keys away only makes a verdict worse.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sealgate.findings import Finding, Outcome
from sealgate.messages import quote_image
from sealgate.policies.decisions import MAX_MESSAGE, SEVERITY, ImageVerdict, PolicyResult, Verdict, count_met
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Collection

_STATES = {
    Verdict.ADMIT: "would be admitted, for the record only",
    Verdict.WARN: "would be admitted with a warning",
    Verdict.UNAVAILABLE: "might be denied",
    Verdict.DENY: "would be denied",
}


def without_keys(verdict: ImageVerdict, keys: Collection[str], whole: Collection[str] = ()) -> ImageVerdict:
    """Return the verdict for an image if signatures by some keys did not count.

    Args:
        verdict: the verdict with them.
        keys: their fingerprints.
        whole: authenticators that no other key meets where one of these keys took part, because all of the signers of
            their evidence may be needed (thresholds and roles of Notary).

    Returns:
        the same verdict if every policy that is met stays met; otherwise the one without the keys.
    """
    policies = tuple(_without(policy, keys, whole) for policy in verdict.policies)
    lost = [after for before, after in zip(verdict.policies, policies, strict=True) if before.met and not after.met]
    if not lost:
        return verdict
    worst = max([verdict.verdict, *(policy.verdict for policy in lost)], key=SEVERITY.__getitem__)
    names = ", ".join(policy.name for policy in lost)
    message = f"{quote_image(verdict.image)}: {_STATES[worst]}: without this key it does not meet {names}"
    return replace(verdict, verdict=worst, reason=Reason.REVOKED, message=message[:MAX_MESSAGE], policies=policies)


def _without(policy: PolicyResult, keys: Collection[str], whole: Collection[str]) -> PolicyResult:
    findings = tuple(_take(finding, keys, finding.authenticator in whole) for finding in policy.findings)
    verified = {finding.authenticator: finding.fingerprints for finding in findings if finding.fingerprints}
    return replace(policy, satisfied=min(count_met(verified), policy.satisfied), findings=findings)


def _take(finding: Finding, keys: Collection[str], whole: bool) -> Finding:  # noqa: FBT001 - one of two rules
    left = tuple(fingerprint for fingerprint in finding.fingerprints if fingerprint not in keys)
    if left == finding.fingerprints:
        return finding
    if left and not whole:
        return replace(finding, fingerprints=left)
    outcome = Outcome.UNAVAILABLE if finding.partial else Outcome.REFUSED
    by = ", ".join(fingerprint for fingerprint in finding.fingerprints if fingerprint in keys)
    message = f"no accepted signature is left without the key {by}"
    return replace(finding, outcome=outcome, reason=Reason.REVOKED, message=message, fingerprints=())
