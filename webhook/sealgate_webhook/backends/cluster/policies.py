"""The policies in force in a cluster: one set, made anew whenever an object changes.

A policy is compiled once, when it is read, so that a change among thousands of policies is soon in force. Reviews go on
with the set they have until the next one is whole. An object that cannot be read (a later release stored it, or the API
server let it through while the webhook was away) does not take the others with it, and never counts as no object: no
image meets an authenticator or a policy that cannot be read (`sealgate.policies.unreadable`). Each such
object is in the log, in a metric and, by the operator, in its own status.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.status import AuthenticatorStatus
from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from sealgate.errors import PolicyError, SealgateError
from sealgate.keys.status_keys import StatusKeys
from sealgate.kubernetes.watch import Informer
from sealgate.policies.limits import check_size
from sealgate.policies.matching import CompiledPolicy, compile_policy
from sealgate.policies.unreadable import compile_unreadable, explain_unreadable
from sealgate.verification.policy_sets import build_policy_set
from sealgate_webhook.admission.sources import KnownAuthenticator
from sealgate_webhook.backends.cluster.exceptions import ClusterExceptions, ReadException, index_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import datetime, timedelta

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.policies.decisions import UnmatchedImages
    from sealgate.service_secrets import ServiceSecrets
    from sealgate.verification.policy_sets import PolicySet
    from sealgate_webhook.metrics import Metrics

AUTHENTICATORS = f"/apis/{API_VERSION}/authenticators"
POLICIES = f"/apis/{API_VERSION}/verificationpolicies"
#: Seconds that changes are gathered before the set is compiled: `kubectl apply -f folder/` is one change.
GATHER_SECONDS = 0.1
#: Seconds after which the set is compiled anew although nothing changed, at most.
REFRESH_SECONDS = 300.0
#: The same after a set that could not be compiled.
RETRY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class ReadAuthenticator:
    """An authenticator as it was read.

    Attributes:
        name: its name.
        object: the object; None if it cannot be read.
        status: what the operator wrote.
        problem: why it cannot be read; empty if it can.
    """

    name: str
    object: Authenticator | None
    status: AuthenticatorStatus
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """A verification policy as it was read.

    Attributes:
        name: its name.
        object: the policy; None if it cannot be read.
        compiled: the compiled policy, or its substitute, which no image meets, if it cannot be read.
        problem: why it cannot be read; empty if it can.
    """

    name: str
    object: VerificationPolicy | None
    compiled: CompiledPolicy
    problem: str = ""


class ClusterPolicies:
    """The policies and exceptions in force, kept by listings and a thread that compiles.

    Args:
        api: the API server.
        unmatched: what happens to an image that no policy matches.
        longest_exception: how long an exception may last.
        secrets: credentials for signature stores.
        clock: for keys and exceptions that end.
        metrics: counts reloads and invalid objects.
        log: gets a line for every reload and every invalid object.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - three of them are what every part of the webhook is given
        self,
        api: KubernetesAPI,
        unmatched: UnmatchedImages,
        longest_exception: timedelta,
        secrets: ServiceSecrets,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._unmatched = unmatched
        self._secrets = secrets
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._changed = threading.Event()
        self._current: PolicySet | None = None
        self._authenticators = Informer(api, AUTHENTICATORS, read_authenticator, self._changed.set, clock, log)
        self._policies = Informer(api, POLICIES, read_policy, self._changed.set, clock, log)
        self._exceptions = ClusterExceptions(api, longest_exception, self._changed.set, clock, log)
        metrics.exceptions.count_open = self._exceptions.count_open

    def current(self) -> PolicySet | None:
        """Return the newest set; None until everything was read once."""
        return self._current

    def authenticator(self, name: str) -> KnownAuthenticator | None:
        """Return an Authenticator; None if there is none of that name, or it cannot be read."""
        read = self._authenticators.get(name)
        return None if read is None or read.object is None else KnownAuthenticator(read.object, read.status)

    def literal_hosts(self) -> frozenset[str]:
        """Return the registries that a policy or an authenticator names literally."""
        return frozenset() if self._current is None else self._current.literal_hosts

    def problem(self) -> str:
        """Return why there is no set yet; empty when there is one."""
        return "" if self._current is not None else "the policies have not been read from the API server yet"

    def tasks(self) -> Iterable[Callable[[threading.Event], None]]:
        """Return what has to run, each in a thread of its own."""
        return (self._authenticators.run, self._follow_policies, self._exceptions.run, self._compile_periodically)

    def _follow_policies(self, stop: threading.Event) -> None:
        self._policies.run(stop)
        # The thread that compiles ends with this one, not at its next tick.
        self._changed.set()

    def _compile_periodically(self, stop: threading.Event) -> None:
        until = REFRESH_SECONDS
        while not stop.is_set():
            if self._changed.wait(min(until, 1.0)):
                stop.wait(GATHER_SECONDS)
                self._changed.clear()
                if stop.is_set():
                    return
            elif until > 1.0:
                until -= 1.0
                continue
            try:
                until = self._compile()
            except Exception as error:  # noqa: BLE001 - after any error, the policies in force stay
                until = RETRY_SECONDS
                self._metrics.policies_refused()
                self._log.error("policies invalid; keeping the last valid ones", exc_info=error)

    def _compile(self) -> float:
        """Put a new set in force, and return the seconds after which the next one is due."""
        authenticators = self._authenticators.snapshot()
        policies = self._policies.snapshot()
        if authenticators is None or policies is None:
            return REFRESH_SECONDS
        now = self._clock.now()
        compiled, ends = compile_objects(
            authenticators.values(), policies.values(), self._unmatched, self._secrets, now
        )
        exceptions = self._exceptions.read()
        self._current = replace(compiled, exceptions=index_of(exceptions, self._clock))
        self._report(len(policies), [*authenticators.values(), *policies.values(), *exceptions])
        return min([REFRESH_SECONDS, *((end - now).total_seconds() for end in ends)])

    def _report(self, policies: int, objects: list[ReadAuthenticator | ReadPolicy | ReadException]) -> None:
        assert self._current is not None  # noqa: S101 - for the type checker
        checks = self._current.checks
        unusable = sum(isinstance(check, SealgateError) for check in checks.values())
        self._metrics.policies_loaded(policies, len(checks), unusable, self._clock.now().timestamp())
        self._log.info("policies loaded", policies=policies, authenticators=len(checks), unusable=unusable)
        unreadable = [read for read in objects if read.problem]
        self._metrics.objects_unreadable((_kind(read), read.name) for read in unreadable)
        for read in unreadable:
            effect = "it lifts nothing" if isinstance(read, ReadException) else "no image meets it"
            self._log.error(f"object invalid; {effect}", kind=_kind(read), object=read.name, problem=read.problem)


def compile_objects(
    authenticators: Collection[ReadAuthenticator],
    policies: Iterable[ReadPolicy],
    unmatched: UnmatchedImages,
    secrets: ServiceSecrets,
    now: datetime,
) -> tuple[PolicySet, list[datetime]]:
    """Return the policy set that objects of a cluster make, and when keys in it end.

    Args:
        authenticators: all of them, each name once.
        policies: all of them, each name once.
        unmatched: what happens to an image that no policy matches.
        secrets: credentials for signature stores.
        now: the time at which keys must be valid.
    """
    resolvers = {read.name: StatusKeys(read.status, now) for read in authenticators}
    usable = [read.object for read in authenticators if read.object is not None]
    compiled = build_policy_set(
        usable,
        (),
        lambda authenticator: resolvers[authenticator.metadata.name],
        unmatched,
        secrets,
        [read.compiled for read in policies],
    )
    broken = {read.name: PolicyError(read.problem) for read in authenticators if read.object is None}
    ends = [resolver.valid_until for resolver in resolvers.values() if resolver.valid_until is not None]
    return replace(compiled, checks={**compiled.checks, **broken}), ends


def _kind(read: ReadAuthenticator | ReadPolicy | ReadException) -> str:
    if isinstance(read, ReadException):
        return "VerificationException"
    return "Authenticator" if isinstance(read, ReadAuthenticator) else "VerificationPolicy"


def read_authenticator(item: dict[str, Any], _: ReadAuthenticator | None = None) -> ReadAuthenticator:
    """Return an authenticator and its status, or the problem why it is invalid."""
    name = item["metadata"]["name"]
    try:
        status = AuthenticatorStatus.model_validate(item.get("status") or {})
        check_size(item)
        return ReadAuthenticator(name, Authenticator.model_validate(item), status)
    except Exception as error:  # noqa: BLE001 - after any error, no image must meet the authenticator
        return ReadAuthenticator(name, None, AuthenticatorStatus(), explain_unreadable(error))


def read_policy(item: dict[str, Any], before: ReadPolicy | None = None) -> ReadPolicy:
    """Return a policy, compiled; an invalid one is replaced by one that no image meets.

    Args:
        item: the object as the API server sent it.
        before: the policy before a change; returned again if nothing has changed that counts. None if there was none.
    """
    name = item["metadata"]["name"]
    try:
        check_size(item)
        policy = VerificationPolicy.model_validate(item)
        if before is not None and before.object == policy:
            return before
        return ReadPolicy(name, policy, compile_policy(policy))
    except Exception as error:  # noqa: BLE001 - after any error, the policy must not count as absent
        problem = explain_unreadable(error)
        return ReadPolicy(name, None, compile_unreadable(name, item, problem), problem)
