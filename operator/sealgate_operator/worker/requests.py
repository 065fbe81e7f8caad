"""What is to become of a SigningRequest. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from sealgate.api.v1alpha1.signing_baseline import baseline_entry
from sealgate.api.v1alpha1.signing_request import SigningRequestSpec, request_name
from sealgate.errors import InvalidReferenceError
from sealgate.messages import quote
from sealgate.references import parse_digest, parse_repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.references import Digest, Repository
    from sealgate_operator.worker.policy_states import OpenPolicy, PolicyState

Ending = Literal["Signed", "AlreadySigned", "Dropped", "Undecided", "Failed"]


@dataclass(frozen=True, slots=True)
class Request:
    """A SigningRequest whose content is well formed.

    Attributes:
        name: name of the object.
        spec: its spec.
        repository: the repository, parsed.
        digest: what the tag named when it was pushed.
    """

    name: str
    spec: SigningRequestSpec
    repository: Repository
    digest: Digest

    @property
    def entry(self) -> bytes:
        """The entry of a baseline that has this tag with this digest."""
        return baseline_entry(self.repository.name, self.spec.tag, self.digest)

    def age(self, now: datetime) -> float:
        """Return the seconds since the push was accepted; infinite if its text is not a time."""
        try:
            return (now - datetime.fromisoformat(self.spec.accepted_at)).total_seconds()
        except (ValueError, TypeError):
            return inf


class DroppedError(Exception):
    """A request is not obeyed.

    Args:
        message: why, for a person.
        state: what its status says.
    """

    def __init__(self, message: str, state: Ending = "Dropped") -> None:
        super().__init__(message)
        self.message = message
        self.state: Ending = state


class NotYetError(Exception):
    """A request waits for its policy.

    Args:
        message: what it waits for.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def parse_request(obj: Mapping[str, Any]) -> Request:
    """Return the content of a SigningRequest.

    Raises:
        DroppedError: it is not valid, or its name is not that of its content: the endpoint did not make it.
    """
    name = obj["metadata"]["name"]
    try:
        spec = SigningRequestSpec.model_validate(obj.get("spec"))
        repository, digest = parse_repository(spec.repository), parse_digest(spec.digest)
    except (ValidationError, InvalidReferenceError):
        raise DroppedError("its content is not that of a push event; delete it") from None
    if repository.name != spec.repository or name != request_name(spec.policy, spec.repository, spec.tag, spec.digest):
        raise DroppedError("its name does not fit its content: the endpoint for push events did not make it; delete it")
    return Request(name, spec, repository, digest)


def check_request(request: Request, policy: PolicyState) -> OpenPolicy:
    """Return how an image that was pushed is to be signed, as far as that can be said without the registry.

    Args:
        request: the push.
        policy: the policy of the request's UID.

    Raises:
        DroppedError: it is not.
        NotYetError: the policy cannot sign yet.
    """
    name = request.spec.policy.name
    if policy.name != name:
        raise DroppedError("its policy has another name; delete it")
    opened = policy.opened
    if opened is None:
        raise NotYetError(f"the SigningPolicy {quote(name)} is not ready; see its status")
    if opened.spec.trigger != "EventAndManual":
        raise DroppedError(f"the SigningPolicy {quote(name)} has the trigger Manual; start a run")
    if not opened.coverage.covers(request.repository.name, request.spec.tag):
        raise DroppedError(f"the SigningPolicy {quote(name)} does not cover it")
    _check_baseline(request, policy, opened)
    return opened


def _check_baseline(request: Request, policy: PolicyState, opened: OpenPolicy) -> None:
    status, baseline = policy.status.baseline, policy.baseline_for(opened)
    if status is None or baseline is None:
        state = "not recorded yet" if status is None or status.state == "Recorded" else status.state
        raise NotYetError(f"the baseline of the SigningPolicy {quote(policy.name)} is {state}")
    if request.entry not in baseline:
        return
    if status.recorded_at is not None and _not_after(request.spec.accepted_at, status.recorded_at):
        msg = "it was pushed while the baseline was recorded, and cannot be told from older images; start a run"
        raise DroppedError(msg, "Undecided")
    raise DroppedError("the tag named this digest before the policy was made, or last changed; start a run to sign it")


def _not_after(accepted: str, recorded: str) -> bool:
    """Return whether a push was accepted before a baseline was complete; text that is not a time counts as before."""
    try:
        return datetime.fromisoformat(accepted) <= datetime.fromisoformat(recorded)
    except (ValueError, TypeError):
        return True
