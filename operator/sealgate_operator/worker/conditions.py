"""Conditions of a SigningPolicy, from what is known about it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.status import AuthenticatorStatus
from sealgate.errors import SealgateError, SigningError
from sealgate.formats.build import build_check
from sealgate.formats.signers import signers_of
from sealgate.keys.status_keys import StatusKeys
from sealgate.messages import quote
from sealgate.reasons import TRANSIENT_REASONS, Reason
from sealgate_operator.status.conditions import READY, ConditionUpdate, read_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from typing import Any

    from sealgate.api.v1alpha1.signing_status import BaselineStatus
    from sealgate.formats.signing import Signer
    from sealgate_operator.worker.policy_states import PolicyState

#: Condition that says whether an Authenticator accepts what the policy signs.
ACCEPTED = "KeyAccepted"
_RUN = "start a run with the annotation sealgate.dev/run, which records a new one"
_BASELINES = {
    "Recording": ("BaselineRecording", "the baseline is being recorded; push events wait"),
    "Lost": ("BaselineLost", f"the baseline is lost, so that new images cannot be told from older ones; {_RUN}"),
    "TooLarge": ("BaselineTooLarge", "the policy covers too many tags; make its patterns narrower"),
}


def problem_of(error: SealgateError) -> ConditionUpdate:
    """Return the condition of a policy that cannot be opened."""
    if isinstance(error, SigningError):
        return ConditionUpdate(READY, False, "KeyCannotSign", error.message, stalled=True)
    # The reason that an Authenticator is not ready means here that what the policy names is not.
    reason = "KeyNotReady" if error.reason is Reason.AUTHENTICATOR_NOT_READY else error.reason.value
    return ConditionUpdate(READY, False, reason, error.message, stalled=error.reason not in TRANSIENT_REASONS)


def ready_condition(policy: PolicyState) -> ConditionUpdate:
    """Return the condition Ready of a policy."""
    if policy.problem is not None:
        return policy.problem
    if policy.opened is None:
        return ConditionUpdate(READY, None, "Pending", "the key has not been read yet")
    if policy.opened.spec.trigger == "Manual":
        return ConditionUpdate(READY, True, "ReadyForRuns", "manual runs sign")
    baseline = policy.status.baseline
    if baseline is not None and baseline.state == "Recorded" and policy.baseline is not None:
        return ConditionUpdate(READY, True, "Signing", "new images are signed")
    state = "Recording" if baseline is None or baseline.state == "Recorded" else baseline.state
    reason, message = _BASELINES[state]
    why = policy.status.repositories.problems
    if state == "Recording" and why:
        message += f"; it is not complete: {why[0]}"
    if state == "Recording":
        return ConditionUpdate(READY, None, reason, message)
    return ConditionUpdate(READY, False, reason, message, stalled=True)


def acceptance(signer: Signer, authenticators: Iterable[Mapping[str, Any]], now: datetime) -> ConditionUpdate | None:
    """Return the condition that says whether an Authenticator of the signer's format accepts its key.

    Args:
        signer: of the policy.
        authenticators: all of them, as the API server has them.
        now: the time at which keys must be valid.

    Returns:
        the condition; None where an Authenticator of the format does not say which keys it accepts.
    """
    for obj in authenticators:
        if signer.format not in (obj.get("spec") or {}):
            continue
        accepted = _accepted_by(obj, now)
        if accepted is None:
            return None
        if signer.fingerprint in accepted:
            message = f"the Authenticator {quote(obj['metadata']['name'])} accepts the key"
            return ConditionUpdate(ACCEPTED, True, "Accepted", message)
    message = f"no Authenticator with {signer.format} accepts the key {signer.fingerprint}; add one, or nothing admits"
    return ConditionUpdate(ACCEPTED, False, "NoAuthenticator", f"{message} what this policy signs")


def _accepted_by(obj: Mapping[str, Any], now: datetime) -> frozenset[str] | None:
    try:
        keys = StatusKeys(read_status(AuthenticatorStatus, obj), now)
        return signers_of(build_check(Authenticator.model_validate(obj), keys), now)
    except (SealgateError, ValidationError):
        return frozenset()


def is_lost(baseline: BaselineStatus | None) -> bool:
    """Return whether a policy signs nothing until a run because of its baseline."""
    return baseline is not None and baseline.state in {"Lost", "TooLarge"}
