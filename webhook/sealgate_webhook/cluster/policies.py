"""The policies in force in a cluster: compiled anew, in one piece, whenever an object changes.

Reviews go on with the set they have until the next one is whole. An object that cannot be understood (it passed the
API server while the webhook was away) does not take the others with it: an authenticator is then not ready, and a
policy stays as it last was. Each such object is in the log, in a metric and, by the operator, in its own status.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sealgate.errors import PolicyError, SealgateError
from sealgate.keys.status_keys import StatusKeys
from sealgate.policies.matching import compile_policy
from sealgate.policies.models import API_VERSION, Authenticator, VerificationPolicy
from sealgate.policies.status import AuthenticatorStatus
from sealgate.verification.policy_sets import build_policy_set
from sealgate_webhook.cluster.listing import Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.decisions import UnmatchedImages
    from sealgate.service_secrets import ServiceSecrets
    from sealgate.services.kubernetes_api import KubernetesAPI
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
        object: the object; None if it cannot be understood.
        status: what the operator wrote.
        problem: why it cannot be understood.
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
        object: the newest version that can be understood; None if there never was one.
        problem: why the newest version of all cannot be understood; empty if it can.
    """

    name: str
    object: VerificationPolicy | None
    problem: str = ""


class ClusterPolicies:
    """The policies in force, kept by two listings and a thread that compiles.

    Args:
        api: the API server.
        unmatched: what happens to an image that no policy matches.
        secrets: credentials for signature stores.
        clock: for keys that end.
        metrics: told of every set.
        log: told of every set, and of every object that cannot be understood.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        unmatched: UnmatchedImages,
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
        self._authenticators = Listing(api, AUTHENTICATORS, read_authenticator, self._changed.set, clock, log)
        self._policies = Listing(api, POLICIES, read_policy, self._changed.set, clock, log)

    def current(self) -> PolicySet | None:
        """Return the newest set; None until everything was read once."""
        return self._current

    def literal_hosts(self) -> frozenset[str]:
        """Return the registries that a policy or an authenticator names literally."""
        return frozenset() if self._current is None else self._current.literal_hosts

    def problem(self) -> str:
        """Return why there is no set yet; empty when there is one."""
        return "" if self._current is not None else "the policies have not been read from the API server yet"

    def tasks(self) -> Iterable[Callable[[threading.Event], None]]:
        """Return what has to run, each in a thread of its own."""
        return (self._authenticators.run, self._policies.run, self._compile_again_and_again)

    def _compile_again_and_again(self, stop: threading.Event) -> None:
        until = REFRESH_SECONDS
        while not stop.is_set():
            if self._changed.wait(min(until, 1.0)):
                stop.wait(GATHER_SECONDS)
                self._changed.clear()
            elif until > 1.0:
                until -= 1.0
                continue
            try:
                until = self._compile()
            except Exception as error:  # noqa: BLE001 - a set that cannot be compiled, for whatever reason, is not taken
                until = RETRY_SECONDS
                self._metrics.policies_refused()
                self._log.error("bad policies; the last good ones stay in force", exc_info=error)

    def _compile(self) -> float:
        """Put a new set in force, and return the seconds after which the next one is due."""
        authenticators = self._authenticators.snapshot()
        policies = self._policies.snapshot()
        if authenticators is None or policies is None:
            return REFRESH_SECONDS
        now = self._clock.now()
        resolvers = {read.name: StatusKeys(read.status, now) for read in authenticators.values()}
        usable = [read.object for read in authenticators.values() if read.object is not None]
        compiled = build_policy_set(
            usable,
            [read.object for read in policies.values() if read.object is not None],
            lambda authenticator: resolvers[authenticator.metadata.name],
            self._unmatched,
            self._secrets,
        )
        broken = {read.name: PolicyError(read.problem) for read in authenticators.values() if read.object is None}
        self._current = replace(compiled, checks={**compiled.checks, **broken})
        self._tell(len(policies), [*authenticators.values(), *policies.values()])
        ends = [resolver.valid_until for resolver in resolvers.values() if resolver.valid_until is not None]
        return min([REFRESH_SECONDS, *((end - now).total_seconds() for end in ends)])

    def _tell(self, policies: int, objects: list[ReadAuthenticator | ReadPolicy]) -> None:
        assert self._current is not None  # noqa: S101 - for the type checker
        checks = self._current.checks
        unusable = sum(isinstance(check, SealgateError) for check in checks.values())
        self._metrics.policies_loaded(policies, len(checks), unusable, self._clock.now().timestamp())
        self._log.info("policies loaded", policies=policies, authenticators=len(checks), unusable=unusable)
        for read in objects:
            if read.problem:
                self._log.error("an object cannot be understood", object=read.name, problem=read.problem)


def read_authenticator(item: dict[str, Any], _: ReadAuthenticator | None = None) -> ReadAuthenticator:
    """Return an authenticator and its status; what cannot be understood says so."""
    name = item["metadata"]["name"]
    try:
        status = AuthenticatorStatus.model_validate(item.get("status") or {})
        return ReadAuthenticator(name, Authenticator.model_validate(item), status)
    except ValidationError as error:
        return ReadAuthenticator(name, None, AuthenticatorStatus(), _explain(error))


def read_policy(item: dict[str, Any], before: ReadPolicy | None = None) -> ReadPolicy:
    """Return a policy; one that cannot be understood stays as it was before."""
    name = item["metadata"]["name"]
    try:
        policy = VerificationPolicy.model_validate(item)
        compile_policy(policy)
    except ValidationError as error:
        return ReadPolicy(name, before.object if before else None, _explain(error))
    except SealgateError as error:
        return ReadPolicy(name, before.object if before else None, error.message)
    return ReadPolicy(name, policy)


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
