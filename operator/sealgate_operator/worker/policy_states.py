"""SigningPolicies as the worker works with them: opened, with their baseline, and the status that they should have."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.signing_status import MAX_LISTED, SigningFailure, SigningPolicyStatus
from sealgate_operator.status.conditions import read_status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.api.v1alpha1.signing_status import BaselineStatus
    from sealgate.formats.signing import Signer
    from sealgate.policies.signing import SigningCoverage
    from sealgate.service_secrets import ServiceSecrets
    from sealgate_operator.status.conditions import ConditionUpdate
    from sealgate_operator.worker.baselines import Baseline
    from sealgate_operator.worker.secrets import CredentialScope

RUN_ANNOTATION = "sealgate.dev/run"
#: The most characters of the annotation's value.
MAX_RUN_ID = 256
_MAX_IMAGE, _MAX_MESSAGE = 1024, 4096


@dataclass(frozen=True, slots=True)
class OpenPolicy:
    """A policy that can sign.

    Attributes:
        spec: what it says.
        coverage: its images, compiled.
        signer: its format, key and store.
        store: credentials of, and requests to, the service that holds signatures.
        named_hosts: hosts that it names besides those of its images.
        baseline_key: hash of what its baseline depends on.
    """

    spec: SigningPolicySpec
    coverage: SigningCoverage
    signer: Signer
    store: CredentialScope
    named_hosts: frozenset[str]
    baseline_key: str

    @property
    def secrets(self) -> ServiceSecrets:
        """Credentials of the service that holds signatures."""
        return self.store


class PolicyState:
    """One policy. Thread-safe.

    Args:
        obj: the object as it was first seen; its status goes on from there.

    Attributes:
        name: name of the object.
        uid: its UID.
        opened: how it signs; None while it cannot.
        generation: of the object that `opened` was made from.
        made_from: the same, with UID and generation of the Authenticator that it names, once all that follows from it
            is known; None before it was opened.
        problem: why it cannot sign; None while it can.
        accepted: the condition about Authenticators that accept its key; None if that is not known.
        baseline: what was there before it; None while that is not recorded.
        reopen_at: when its key is read again, in the clock's monotonic seconds.
        resync_at: when it is compared with its registries again, likewise.
    """

    def __init__(self, obj: Mapping[str, Any]) -> None:
        self.name: str = obj["metadata"]["name"]
        self.uid: str = obj["metadata"]["uid"]
        self.opened: OpenPolicy | None = None
        self.generation = 0
        self.made_from: tuple[int, str, int] | None = None
        self.problem: ConditionUpdate | None = None
        self.accepted: ConditionUpdate | None = None
        self.baseline: Baseline | None = None
        self.reopen_at = self.resync_at = 0.0
        self._status = read_status(SigningPolicyStatus, obj)
        self._lock = threading.Lock()
        self._dirty = False

    @property
    def status(self) -> SigningPolicyStatus:
        """The status that it should have."""
        with self._lock:
            return self._status

    def says(self, opened: OpenPolicy) -> bool:
        """Return whether the policy still is there and says what it said when `opened` was made."""
        now = self.opened
        return now is not None and now.spec == opened.spec

    def baseline_for(self, opened: OpenPolicy) -> Baseline | None:
        """Return the baseline, if it is recorded for what `opened` says.

        A changed policy is open a moment before its new baseline is begun; judged by the old one, everything that it
        covers only now would be new.
        """
        status = self.status.baseline
        fits = status is not None and (status.state, status.key) == ("Recorded", opened.baseline_key)
        return self.baseline if fits else None

    def change_baseline(self, baseline: BaselineStatus) -> None:
        """Change what the status says about the baseline, unless it is about another one meanwhile."""

        def change(status: SigningPolicyStatus) -> Mapping[str, object]:
            same = status.baseline is not None and status.baseline.key == baseline.key
            return {"baseline": baseline} if same else {}

        self.change(change)

    def change(self, change: Callable[[SigningPolicyStatus], Mapping[str, object]]) -> None:
        """Change the status.

        Args:
            change: returns the new values of fields, from the status as it is.
        """
        with self._lock:
            changed = self._status.model_copy(update=dict(change(self._status)))
            self._dirty |= changed != self._status
            self._status = changed

    def take_changes(self) -> SigningPolicyStatus | None:
        """Return the status if it changed since the last call; None if not."""
        with self._lock:
            changed, self._dirty = self._dirty, False
            return self._status if changed else None

    def put_back(self) -> None:
        """Count the status as changed: it was not written."""
        with self._lock:
            self._dirty = True

    def count(self, **counts: int) -> None:
        """Add to the numbers of tags."""
        self.change(
            lambda status: {
                "counts": status.counts.model_copy(
                    update={name: getattr(status.counts, name) + more for name, more in counts.items()}
                )
            }
        )

    def note_failure(self, image: str, message: str, time: str) -> None:
        """Add a failure to the last errors; one with the same image and message counts as the same."""
        failure = SigningFailure(image=image[:_MAX_IMAGE], message=message[:_MAX_MESSAGE], time=time)

        def change(status: SigningPolicyStatus) -> Mapping[str, object]:
            others = (each for each in status.last_errors if (each.image, each.message) != (image, message))
            return {"last_errors": (failure, *others)[:MAX_LISTED]}

        self.change(change)

    def note_undecided(self, image: str) -> None:
        """Add an image to those that only a run can sign."""
        self.change(
            lambda status: {
                "undecided": tuple(dict.fromkeys((image[:_MAX_IMAGE], *status.undecided)))[:MAX_LISTED],
            }
        )


def run_id(obj: Mapping[str, Any]) -> str:
    """Return the value of the annotation that starts a run; empty if it has none."""
    annotations = obj["metadata"].get("annotations") or {}
    return str(annotations.get(RUN_ANNOTATION, ""))[:MAX_RUN_ID]
