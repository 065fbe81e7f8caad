"""Policies and findings for the decision, as short as they can be written."""

from __future__ import annotations

from sealgate.findings import Finding, Outcome
from sealgate.policies.matching import Match, compile_policy
from sealgate.reasons import Reason
from sealgate.references import parse_digest, parse_reference
from tests.support.builders.objects import policy_model

IMAGE = "registry.example.org/app:v1"
REFERENCE = parse_reference(IMAGE)
SUBJECT = parse_digest("sha256:" + "4a" * 32)


def policy(name: str = "production", *authenticators: str, action: str = "Enforce", count: int | None = None) -> Match:
    required = authenticators or ("release-key",)
    return Match(compile_policy(policy_model(name, authenticators=required, action=action, count=count)))


def verified(authenticator: str = "release-key", *fingerprints: str) -> Finding:
    keys = fingerprints or (f"key-of-{authenticator}",)
    return Finding(authenticator, "cosign", Outcome.VERIFIED, Reason.VERIFIED, "signed", keys)


def refused(authenticator: str = "release-key", reason: Reason = Reason.NO_SIGNATURE) -> Finding:
    return Finding(authenticator, "cosign", Outcome.REFUSED, reason, "it is not signed; sign it with cosign.")


def unavailable(authenticator: str = "release-key", reason: Reason = Reason.REGISTRY_UNAVAILABLE) -> Finding:
    return Finding(authenticator, "cosign", Outcome.UNAVAILABLE, reason, "the registry does not answer; try again")
