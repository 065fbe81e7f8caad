"""Jobs whose policy was not known, was deleted or changed after they were added: none signs as it was added."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.signing_policy import SigningPolicy
from sealgate.clocks import Deadline, SystemClock
from sealgate.kubernetes.lease import Lease
from sealgate.policies.signing import SigningCoverage
from sealgate.references import Digest, Repository
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.signing.discovery import CoveredTag
from sealgate.signing.policies import open_signer
from sealgate.trusted_state.stores import MemoryTrustedState
from sealgate_operator.controller.object_lists import ObjectLists
from sealgate_operator.controller.resources import SIGNING_REQUEST, WORKER_RESOURCES
from sealgate_operator.controller.store import ObjectStore
from sealgate_operator.events import Events
from sealgate_operator.worker.agenda import Agenda, Source
from sealgate_operator.worker.attempts import Attempts
from sealgate_operator.worker.baselines import Baseline, baseline_key
from sealgate_operator.worker.config import WorkerConfig
from sealgate_operator.worker.image_signer import ImageSigner
from sealgate_operator.worker.metrics import WorkerMetrics
from sealgate_operator.worker.policy_states import OpenPolicy, PolicyState
from sealgate_operator.worker.rates import Rates
from sealgate_operator.worker.requests import NotYetError, check_request, parse_request
from sealgate_operator.worker.secrets import CredentialScope, SigningSecrets
from sealgate_operator.worker.signing_jobs import REQUEST_ATTEMPTS, SigningJobs
from sealgate_operator.worker.status_writer import StatusWriter
from tests.operator.environment import api_of, log
from tests.operator.worker.environment import KEY_PEM, POLICIES, REQUESTS, later, running, settings
from tests.support.environments.signing_policies import access_to
from tests.support.simulators.http_faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate_operator.worker.run_progress import Result
    from tests.operator.worker.environment import Shop
    from tests.support.simulators.http_messages import Answer


class Desk:
    """Jobs that the test takes from the agenda one by one, in a worker that leads.

    Attributes:
        states: the policies that the worker knows.
    """

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.clock, api = SystemClock(), api_of(shop.cluster)
        self.store = ObjectStore(kinds=WORKER_RESOURCES.keys())
        self.states: dict[str, PolicyState] = {}
        self.lists = ObjectLists(api, WORKER_RESOURCES, "sealgate", self.store, log())
        lease = Lease(api, "sealgate", "sealgate-signing", "one", self.clock, log())
        lease.attempt()
        metrics = WorkerMetrics(lease.leads)
        events = Events(api, "worker", "one", self.clock, metrics, log())
        self.rates = Rates(self.clock)
        self.agenda = Agenda(self.clock, self.rates.admit)
        config = WorkerConfig.model_validate(settings(shop.host))
        self.client = RegistryClient(config.registries.settings(), clock=self.clock)
        self.secrets = SigningSecrets(api, "sealgate-signing", config.secrets, self.clock)
        signer = ImageSigner(self.client, NoCredentials(), MemoryTrustedState(), lease, self.clock)
        writer = StatusWriter(
            api=api,
            paths=self.lists.paths,
            store=self.store,
            fence=lease,
            events=events,
            clock=self.clock,
            metrics=metrics,
            log=log(),
        )
        common = {"store": self.store, "writer": writer, "rates": self.rates, "clock": self.clock}
        shared: dict[str, Any] = {"agenda": self.agenda, "signer": signer, "metrics": metrics, "log": log(), **common}
        self.jobs = SigningJobs(
            attempts=Attempts(events=events, **shared),
            policies=self.states,
            policy_uid=lambda name: str(shop.cluster.get(f"{POLICIES}/{name}")["metadata"]["uid"]),
            **shared,
        )

    def open(self, policy: dict[str, Any]) -> tuple[PolicyState, OpenPolicy]:
        """Make a policy known and ready, with a baseline that has nothing."""
        spec = SigningPolicy.model_validate(policy).spec
        scope = CredentialScope(self.secrets, self.client)
        access = access_to({"release-key": {"key.pem": KEY_PEM}})
        signer = open_signer(spec, access, Deadline.after(self.clock, 60))
        opened = OpenPolicy(spec, SigningCoverage.compile(spec), signer, scope, frozenset(), baseline_key(spec))
        recorded = {"state": "Recorded", "key": opened.baseline_key}
        state = PolicyState({**policy, "status": {"baseline": recorded}})
        state.opened, state.baseline = opened, Baseline.of([])
        self.states[state.uid] = state
        self.rates.set(state.uid, spec.tags_per_minute)
        return state, opened

    def work(self) -> str:
        """Do the next job, and return what only it may write to."""
        job = self.agenda.poll()
        assert job is not None
        self.agenda.finish(job, job.work())
        return job.lane


@pytest.fixture
def desk(shop: Shop) -> Iterator[Desk]:
    desk = Desk(shop)
    yield desk
    desk.client.close()


def test_attack_81_request_that_came_before_its_policy_was_known_waits_for_its_repository(desk: Desk) -> None:
    shop, policy = desk.shop, desk.shop.put_policy()
    digest = shop.registry.push_image("shop/web", "v1")
    request = shop.request("shop/web", "v1", digest, accepted=later())
    obj = shop.cluster.get(f"{REQUESTS}/{request}")
    desk.store.put(SIGNING_REQUEST, obj)
    desk.jobs.add_request(obj)
    desk.open(policy)
    assert desk.work() == request
    assert shop.signatures("shop/web", digest) == 0
    assert desk.work() == f"{shop.host}/shop/web"
    assert (shop.state(request), shop.signatures("shop/web", digest)) == ("Signed", 1)


@pytest.mark.parametrize("changed", ["deleted", "changed"])
def test_attack_82_image_that_a_search_found_is_not_signed_under_a_policy_that_is_gone(
    desk: Desk, changed: str
) -> None:
    state, opened = desk.open(desk.shop.put_policy())
    digest = Digest(desk.shop.registry.push_image("shop/web", "v1"))
    tag = CoveredTag(f"{desk.shop.host}/shop/web", "v1", Repository(desk.shop.host, "shop/web"))
    results: list[Result] = []
    desk.jobs.add_tag(Source.RESYNC, state, opened, tag, digest, results.append)
    if changed == "deleted":
        state.opened = None
    else:
        state.opened = replace(opened, spec=opened.spec.model_copy(update={"description": "another"}))
    desk.work()
    assert (results, desk.shop.signatures("shop/web", digest)) == (["failed"], 0)


def test_attack_82_deleted_policy_signs_nothing_more(shop: Shop) -> None:
    shop.put_policy()
    gate = threading.Event()

    def wait(answer: Answer) -> Answer:
        gate.wait(150)
        return answer

    with running(shop, resyncSeconds=1):
        shop.wait_for_baseline()
        fault = shop.registry.faults.add(Fault("/v2/shop/web/manifests/v1", wait, times=1, method="HEAD"))
        digest = shop.registry.push_image("shop/web", "v1")
        assert fault.hit.wait(150)
        shop.cluster.delete(f"{POLICIES}/release")
        shop.put_policy("next", images=[{"repository": f"{shop.host}/next/*"}])
        shop.wait_for_baseline(name="next")
        gate.set()
        pushed = shop.registry.push_image("next/app", "v1")
        shop.wait_until_signed(shop.request("next/app", "v1", pushed, policy="next", accepted=later()))
    assert shop.signatures("shop/web", digest) == 0


@pytest.mark.parametrize("before", [True, False])
def test_push_that_is_announced_before_its_tag_is_set_is_signed(shop: Shop, *, before: bool) -> None:
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        digest = shop.registry.push_image("shop/web", "v0")
        if before:
            shop.registry.push_image("shop/web", "v1", content=b"earlier")
        answered = threading.Event()

        def note(answer: Answer) -> Answer:
            answered.set()
            return answer

        shop.registry.faults.add(Fault("/v2/shop/web/manifests/v1", note, method="HEAD"))
        request = shop.request("shop/web", "v1", digest)
        assert answered.wait(150)
        shop.registry.tag("shop/web", "v1", digest)
        shop.wait_until_signed(request)
    assert shop.signatures("shop/web", digest) == 1


def ask(desk: Desk, repository: str, attempts: int = 0) -> str:
    """Request a signature that was tried before, and return the name of the request."""
    digest = desk.shop.registry.push_image(repository, "v1")
    request = desk.shop.request(repository, "v1", digest, accepted=later())
    obj = desk.shop.cluster.get(f"{REQUESTS}/{request}")
    if attempts:
        obj = desk.shop.cluster.put(REQUESTS, {**obj, "status": {"state": "Waiting", "attempts": attempts}})
    desk.store.put(SIGNING_REQUEST, obj)
    desk.jobs.add_request(obj)
    return request


def test_attack_84_repository_that_refuses_signatures_does_not_hold_up_others(desk: Desk) -> None:
    desk.open(desk.shop.put_policy())
    desk.shop.registry.faults.status("/v2/shop/hostile/blobs/uploads", 403)
    requests = [ask(desk, repository) for repository in ("shop/first", "shop/hostile", "shop/web")]
    for _ in requests:
        desk.work()
    assert [desk.shop.state(request) for request in requests] == ["Signed", "Waiting", "Signed"]


def test_attack_84_repository_that_refuses_signatures_does_not_keep_its_places_for_ever(desk: Desk) -> None:
    desk.open(desk.shop.put_policy())
    desk.shop.registry.faults.status("/v2/shop/hostile/blobs/uploads", 403)
    ask(desk, "shop/web")
    desk.work()
    hostile = ask(desk, "shop/hostile", attempts=REQUEST_ATTEMPTS - 1)
    desk.work()
    assert desk.shop.state(hostile) == "Failed"
    assert "does not let the credentials at hand store" in desk.shop.message(hostile)


def test_credentials_that_sign_nothing_do_not_end_requests(desk: Desk) -> None:
    desk.open(desk.shop.put_policy())
    desk.shop.registry.faults.status("/blobs/uploads", 403)
    request = ask(desk, "shop/web", attempts=REQUEST_ATTEMPTS)
    desk.work()
    assert desk.shop.state(request) == "Waiting"


def test_registry_that_does_not_answer_is_asked_for_ever(desk: Desk) -> None:
    desk.open(desk.shop.put_policy())
    desk.shop.registry.faults.status("/v2/shop/web/blobs/uploads", 503)
    request = ask(desk, "shop/web", attempts=REQUEST_ATTEMPTS)
    desk.work()
    assert desk.shop.state(request) == "Waiting"


def test_attack_80_old_baseline_does_not_judge_what_a_changed_policy_covers_now(desk: Desk) -> None:
    shop = desk.shop
    old = shop.registry.push_image("shop/old", "v1")
    state, before = desk.open(shop.put_policy())
    state.opened = replace(before, baseline_key=baseline_key(before.spec.model_copy(update={"algorithm": "SM2"})))
    request = shop.request("shop/old", "v1", old, accepted=later())
    parsed = parse_request(shop.cluster.get(f"{REQUESTS}/{request}"))
    with pytest.raises(NotYetError, match="not recorded yet"):
        check_request(parsed, state)
    assert state.baseline_for(before) is not None
    assert state.baseline_for(state.opened) is None
