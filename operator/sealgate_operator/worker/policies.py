"""Opens SigningPolicies: reads their keys, again every five minutes, and loads their baselines."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pydantic import ValidationError

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.signing_policy import SigningPolicy
from sealgate.api.v1alpha1.signing_status import BaselineStatus
from sealgate.clocks import Deadline, jittered
from sealgate.errors import SealgateError, UnavailableError
from sealgate.policies.limits import check_size
from sealgate.policies.signing import SigningCoverage
from sealgate.signing.access import SigningAccess
from sealgate.signing.policies import named_hosts, open_signer
from sealgate_operator.controller.resources import AUTHENTICATOR, SIGNING_POLICY
from sealgate_operator.controller.work_queue import Key
from sealgate_operator.status.conditions import READY, ConditionUpdate, explain_invalid, generation_of
from sealgate_operator.worker.baselines import baseline_key
from sealgate_operator.worker.conditions import acceptance, problem_of
from sealgate_operator.worker.policy_states import OpenPolicy, PolicyState
from sealgate_operator.worker.secrets import CredentialScope

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from sealgate.api.v1alpha1.authenticator import AuthenticatorSpec
    from sealgate.budgets import Budgets
    from sealgate.clocks import Clock
    from sealgate.kms.credentials import Identities
    from sealgate.registry.client import RegistryClient
    from sealgate_operator.controller.store import Object, ObjectStore
    from sealgate_operator.controller.work_queue import WorkQueue
    from sealgate_operator.worker.baselines import BaselineObjects
    from sealgate_operator.worker.metrics import WorkerMetrics
    from sealgate_operator.worker.rates import Rates
    from sealgate_operator.worker.secrets import SigningSecrets

#: Threads that open policies; they mostly wait for key services.
WORKERS = 4
#: Seconds for all requests to a key's service.
_OPEN_SECONDS = 20.0
#: Seconds after which a key is read again, and after which a key is that could not be read.
KEY_SECONDS, RETRY_SECONDS = 300.0, 30.0


class Policies:
    """All policies, opened one by one from a queue.

    Args:
        store: cache of the objects.
        queue: keys of the policies to open.
        secrets: the Secrets that policies may name.
        client: reaches registries and services.
        budgets: of key management services.
        identities: of the process, for keys whose policies name no credentials.
        baselines: the stored baselines.
        rates: of the policies.
        clock: source of the time.
        on_opened: called when a policy was opened, or could not be; must not block.
        metrics: counts failures.
        log: gets a line for every change and failure.

    Attributes:
        states: the policies by UID.
    """

    def __init__(  # noqa: PLR0913 - what it is assembled from
        self,
        *,
        store: ObjectStore,
        queue: WorkQueue,
        secrets: SigningSecrets,
        client: RegistryClient,
        budgets: Budgets,
        identities: Identities,
        baselines: BaselineObjects,
        rates: Rates,
        clock: Clock,
        on_opened: Callable[[PolicyState], None],
        metrics: WorkerMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._queue = queue
        self._secrets = secrets
        self._client = client
        self._budgets = budgets
        self._identities = identities
        self._baselines = baselines
        self._rates = rates
        self._clock = clock
        self._on_opened = on_opened
        self._metrics = metrics
        self._log = log
        self._lock = threading.Lock()
        self.states: dict[str, PolicyState] = {}

    def on_change(self, kind: str, name: str) -> None:
        """Queue the policies that depend on an object that changed."""
        if kind == SIGNING_POLICY:
            self._queue.add(Key(SIGNING_POLICY, name))
        elif kind == AUTHENTICATOR:
            for obj in self._store.all(SIGNING_POLICY):
                self._queue.add(Key(SIGNING_POLICY, obj["metadata"]["name"]))

    def work(self) -> None:
        """Open the policies of the queue until it is closed."""
        while (key := self._queue.take()) is not None:
            try:
                seconds = self._reconcile(key.name)
            except Exception as error:  # noqa: BLE001 - the boundary: every error is logged and retried
                self._failed(key, error)
            else:
                self._queue.done(key)
                if seconds is not None:
                    self._queue.add(key, jittered(seconds, 0.9, 1.0))

    def _failed(self, key: Key, error: Exception) -> None:
        pause = self._queue.failed(key)
        self._metrics.failed(key.kind)
        fields = {"kind": key.kind, "name": key.name, "backoff_seconds": round(pause, 1)}
        if isinstance(error, SealgateError):
            self._log.warning("reconcile failed; will retry", error=error.message, **fields)
        else:
            self._log.error("reconcile failed; will retry", exc_info=error, **fields)

    def _reconcile(self, name: str) -> float | None:
        """Open a policy if that is due; return the seconds until it is due again, None for one that is gone."""
        obj = self._store.get(SIGNING_POLICY, name)
        state = self._state(name, obj)
        if obj is None or state is None:
            return None
        now = self._clock.monotonic()
        # Not at every change of the status: for each push, a key service would be asked and all requests read again.
        made_from = (generation_of(obj), *self._authenticator_version(obj))
        due, before = now >= state.reopen_at or state.made_from != made_from, state.baseline
        if due:
            state.reopen_at = now + self._open(state, obj)
        if state.opened is not None:
            state.accepted = acceptance(state.opened.signer, self._store.all(AUTHENTICATOR), self._clock.now())
            self._load_baseline(state, state.opened)
        # Last, because the status is about the generation in it.
        state.made_from = made_from
        if due or state.baseline is not before:
            self._on_opened(state)
        return max(1.0, state.reopen_at - self._clock.monotonic())

    def _state(self, name: str, obj: Object | None) -> PolicyState | None:
        """Return the state of an object; drop those of policies that had the name before."""
        uid = None if obj is None else obj["metadata"]["uid"]
        with self._lock:
            for other in [state for state in self.states.values() if state.name == name and state.uid != uid]:
                del self.states[other.uid]
                # Ends its searches, and the jobs that they added.
                other.opened = None
                self._rates.drop(other.uid)
            if obj is None or uid is None:
                return None
            return self.states.setdefault(uid, PolicyState(obj))

    def _authenticator_version(self, obj: Object) -> tuple[str, int]:
        """Return UID and generation of the Authenticator that a policy names; nothing of both if there is none."""
        key = (obj.get("spec") or {}).get("key")
        name = key.get("authenticator") if isinstance(key, dict) else None
        found = self._store.get(AUTHENTICATOR, name) if isinstance(name, str) else None
        return ("", 0) if found is None else (found["metadata"]["uid"], generation_of(found))

    def _open(self, state: PolicyState, obj: Object) -> float:
        """Open a policy, or note why it cannot be; return the seconds after which it is opened again."""
        state.generation = generation_of(obj)
        try:
            opened = self._opened(obj)
        except ValidationError as error:
            self._close(state, ConditionUpdate(READY, False, "InvalidSpec", explain_invalid(error), stalled=True))
            return KEY_SECONDS
        except SealgateError as error:
            self._close(state, problem_of(error))
            return RETRY_SECONDS if isinstance(error, UnavailableError) else KEY_SECONDS
        self._rates.set(state.uid, opened.spec.tags_per_minute)
        if state.problem is not None or state.opened is None:
            self._log.info("signing policy opened", policy=state.name, fingerprint=opened.signer.fingerprint)
        state.opened, state.problem = opened, None
        state.change(lambda _: {"format": opened.spec.format, "key_fingerprint": opened.signer.fingerprint})
        return KEY_SECONDS

    def _close(self, state: PolicyState, problem: ConditionUpdate) -> None:
        if state.problem != problem:
            self._log.warning(
                "signing policy cannot sign", policy=state.name, reason=problem.reason, error=problem.message
            )
        state.opened, state.problem, state.accepted = None, problem, None

    def _opened(self, obj: Object) -> OpenPolicy:
        check_size(obj)
        policy = SigningPolicy.model_validate(obj)
        coverage = SigningCoverage.compile(policy.spec)
        scope = CredentialScope(self._secrets, self._client)
        access = SigningAccess(
            scope, scope, self._clock, self._budgets, self._authenticator, identities=self._identities
        )
        signer = open_signer(policy.spec, access, Deadline.after(self._clock, _OPEN_SECONDS))
        store = CredentialScope(self._secrets, self._client)
        return OpenPolicy(policy.spec, coverage, signer, store, named_hosts(policy.spec), baseline_key(policy.spec))

    def _authenticator(self, name: str) -> AuthenticatorSpec | None:
        obj = self._store.get(AUTHENTICATOR, name)
        try:
            return None if obj is None else Authenticator.model_validate(obj).spec
        except ValidationError:
            return None

    def _load_baseline(self, state: PolicyState, opened: OpenPolicy) -> None:
        """Bring the baseline in line with the policy: none for runs only, else recorded anew or read."""
        status, key = state.status.baseline, opened.baseline_key
        if opened.spec.trigger == "Manual":
            state.baseline = None
            state.change(lambda _: {"baseline": None})
        elif status is None or status.key != key:
            state.baseline = None
            state.change(lambda _: {"baseline": BaselineStatus(state="Recording", key=key), "undecided": ()})
        elif status.state == "Recorded" and state.baseline is None:
            state.baseline = self._baselines.read(state.uid, status)
            if state.baseline is None:
                self._log.error("baseline lost; nothing is signed until a manual run", policy=state.name)
                state.change(lambda _: {"baseline": status.model_copy(update={"state": "Lost"})})
