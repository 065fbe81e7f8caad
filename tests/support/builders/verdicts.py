"""Verdicts, as the decision about an image makes them."""

from __future__ import annotations

from sealgate.policies.decisions import ImageVerdict, PolicyResult, Verdict
from sealgate.reasons import Reason
from sealgate.references import parse_digest, parse_reference

DIGEST = parse_digest("sha256:" + "a" * 64)


def verdict(image: str, *, met: str = "", unmet: str = "", exempting: str = "", pulled: bool = False) -> ImageVerdict:
    """Return a verdict; `met`, `unmet` and `exempting` are names of policies."""
    policies = tuple(
        PolicyResult(name, "Audit", satisfied, 1, ())
        for names, satisfied in ((met, 1), (unmet, 0))
        for name in names.split()
    )
    subject = DIGEST if pulled else None
    reference = parse_reference(image)
    return ImageVerdict(
        image, reference, subject, Verdict.ADMIT, Reason.VERIFIED, "", policies, exempting=tuple(exempting.split())
    )
