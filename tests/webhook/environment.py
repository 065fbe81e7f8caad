"""A webhook with its environment: a registry, policies in files, and the key of the required signatures.

::

    def test_...(environment):
        image = environment.sign("team/app", "v1")
        answer = environment.validate(review(pod(image)))
        assert answer.allowed

Everything is real but the network's far side (`RegistrySimulator`) and, where a test wants to move it, the clock.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealgate import self_test
from sealgate.clocks import SystemClock
from sealgate.decision_ids import PATTERN
from sealgate.errors import UnavailableError
from sealgate.http.settings import HostSettings
from sealgate.kms.key_cache import KMSKeyCache
from sealgate.policies.decisions import UnmatchedImages
from sealgate.process.logs import configure_logs
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.trusted_state.stores import MemoryTrustedState
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.verifier import Verifier
from sealgate.workloads.kinds import BUILT_IN, WorkloadKinds
from sealgate_webhook.admission.sources import SharedCredentials
from sealgate_webhook.admission.workloads import DEFAULT_RULES
from sealgate_webhook.backends.files.policies import PolicyFilesSource
from sealgate_webhook.metrics import Metrics
from sealgate_webhook.server.app import create_app, create_endpoints
from sealgate_webhook.server.front import Front
from sealgate_webhook.server.timeouts import MAX_SECONDS
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key
from tests.support.simulators.registry import RegistrySimulator
from tests.webhook.objects import encode
from tests.webhook.ways import FlaskWay, FrontWay, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from flask import Flask
    from werkzeug import Response

    from sealgate.clocks import Clock
    from sealgate.policies.matching import Namespace
    from sealgate.references import Digest
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.verification.network import Network
    from sealgate_webhook.admission.outcome import AdmissionHandler, AdmissionOutcome
    from sealgate_webhook.admission.sources import CredentialSource, Namespaces, PolicySource
    from sealgate_webhook.admission.workloads import AdmissionRules
    from sealgate_webhook.reviews.request import AdmissionRequest
    from sealgate_webhook.server.callers import PermittedCallers
    from tests.support.signers.private_keys import PrivateKey
    from tests.webhook.ways import Way

#: The most characters of a warning that the API server passes on.
MAX_WARNING = 256
#: The most time that a review can have, for those in which it is not what the test is about.
PATIENCE = "timeout=30s"


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def write_objects(folder: Path, *objects: dict[str, Any], file: str = "policies.json") -> Path:
    """Write objects to one file, replacing it as a whole, and return the folder."""
    folder.mkdir(exist_ok=True)
    # Outside of the directory: a server that polls in between must not see the change before the objects exist.
    scratch = folder.with_name(f".{folder.name}.scratch")
    scratch.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    scratch.rename(folder / file)
    return folder


@dataclass(frozen=True)
class FailingNamespaces:
    """Namespaces of which none is in memory, and none can be read.

    Attributes:
        fail: returns what is raised for a name.
    """

    fail: Callable[[str], Exception]

    def get(self, name: str) -> Namespace:
        raise self.fail(name)

    def cached(self, name: str) -> Namespace | None:  # noqa: ARG002 - as the protocol has it
        return None


#: Namespaces whose labels are not known.
UNKNOWN_NAMESPACES = FailingNamespaces(
    lambda name: UnavailableError(f"the labels of namespace {name} are not known yet")
)


@dataclass(frozen=True)
class ReviewAnswer:
    """The response to a review.

    Attributes:
        response: the review's `response` without the decision's id.
        decision_id: id of the decision; empty for none.
    """

    response: Mapping[str, Any]
    decision_id: str = ""

    @property
    def allowed(self) -> bool:
        allowed = self.response["allowed"]
        assert isinstance(allowed, bool)
        return allowed

    @property
    def message(self) -> str:
        return str(self.response.get("status", {}).get("message", ""))

    @property
    def code(self) -> int:
        return int(self.response["status"]["code"])


def split_decision(response: Mapping[str, Any]) -> ReviewAnswer:
    """Return a response apart from the decision's id, which every denial and warning must have wherever it may be."""
    warnings, annotations = response.get("warnings", []), dict(response.get("auditAnnotations", {}))
    decision_id = annotations.pop("decision_id", "")
    if not decision_id:
        assert response["allowed"]
        assert not warnings
        return ReviewAnswer(response)
    assert PATTERN.fullmatch(decision_id)
    plain = dict(response)
    if not response["allowed"]:
        message, _, line = response["status"]["message"].rpartition("\n")
        assert line == f"decision id: {decision_id}"
        plain["status"] = {**response["status"], "message": message}
    if warnings:
        assert all(warning.endswith(f" (decision {decision_id})") for warning in warnings)
        assert max(map(len, warnings)) <= MAX_WARNING
        plain["warnings"] = [warning.removesuffix(f" (decision {decision_id})") for warning in warnings]
    plain.pop("auditAnnotations")
    return ReviewAnswer({**plain, "auditAnnotations": annotations} if annotations else plain, decision_id)


@dataclass
class WebhookEnvironment:
    """A webhook and everything around it. Parts may be replaced before the first request.

    Attributes:
        registry: where the images are.
        folder: where the policy files are.
        clock: everybody's.
        verifier_settings: limits.
        unmatched: what happens to an image that no policy matches.
        network: instead of requests to the registry.
        policies: instead of the files.
        namespaces: instead of the files.
        kinds: the kinds whose images are verified.
        rules: what the installation chooses about reviews.
        timeout: of the webhook configuration, in seconds.
        way: the Flask application alone, or the front with it.
        threads: requests that the front has in progress at once.
        credentials: for the registry, the same for every namespace.
        credential_source: instead of `credentials`, for each request.
        callers: whose reviews are answered; None for everybody's.
        admit_policy_object: handler of policy objects; None for no endpoint.
    """

    registry: RegistrySimulator
    folder: Path
    clock: Clock = field(default_factory=SystemClock)
    verifier_settings: VerifierSettings = field(default_factory=VerifierSettings)
    unmatched: UnmatchedImages = UnmatchedImages.ADMIT
    network: Network | None = None
    policies: PolicySource | None = None
    namespaces: Namespaces | None = None
    kinds: WorkloadKinds = BUILT_IN
    rules: AdmissionRules = DEFAULT_RULES
    timeout: float = MAX_SECONDS
    way: Way = "flask"
    threads: int = 64

    credentials: CredentialProvider = field(default_factory=NoCredentials)
    credential_source: CredentialSource | None = None
    callers: PermittedCallers | None = None
    admit_policy_object: AdmissionHandler | None = None

    def __post_init__(self) -> None:
        self.key = new_key("ECDSA P-256", "release")
        self.log = io.StringIO()
        self.logger = configure_logs("json", self.log)
        self.metrics = Metrics(self.logger)
        self._closers: list[Callable[[], None]] = []
        self._assembled: FlaskWay | FrontWay | None = None
        # The first requests of a test may be sent at the same time; all of them have one webhook.
        self._assembling = threading.Lock()
        #: Decisions that would become Events.
        self.decisions: list[AdmissionOutcome] = []
        self.write(policy("all", f"{self.registry.host}/**"))

    def write(self, *policies: dict[str, Any]) -> None:
        """Write the policy files: these, and the authenticator `release` with the environment's key."""
        write_objects(self.folder, authenticator("release", self.key), *policies)

    def push(self, repository: str, tag: str | None = None, **how: Any) -> str:
        """Push an unsigned image; return its reference, by tag if it has one."""
        digest = self.registry.push_image(repository, tag, **how)
        return self.reference(repository, tag, digest)

    def sign(self, repository: str, tag: str | None = None, key: PrivateKey | None = None, **how: Any) -> str:
        """Push an image, sign it, and return its reference, by tag if it has one."""
        digest = self.registry.push_image(repository, tag, **how)
        push_classic(self.registry, repository, Classic(digest, key or self.key))
        return self.reference(repository, tag, digest)

    def reference(self, repository: str, tag: str | None, digest: Digest) -> str:
        return f"{self.registry.host}/{repository}" + (f":{tag}" if tag else f"@{digest}")

    def digest(self, repository: str, tag: str) -> str:
        return self.registry.repositories[repository].tags[tag]

    @property
    def denials(self) -> list[str]:
        """The texts of the Events of denials."""
        return [outcome.lasting for outcome in self.decisions if not outcome.response.allowed]

    @property
    def would_be_denials(self) -> list[str]:
        """The texts of the Events of would-be denials."""
        return [outcome.lasting for outcome in self.decisions if outcome.response.allowed]

    @property
    def source(self) -> PolicyFilesSource:
        """The policy files as the webhook reads them."""
        self._assemble()
        assert isinstance(self._source, PolicyFilesSource)
        return self._source

    def post(self, path: str, body: bytes, **options: Any) -> Response:
        """Send a request; `options` as in `Sent`."""
        return self.send(Sent(path, body, **options))

    def send(self, sent: Sent) -> Response:
        return self._assemble().send(sent)

    def get(self, path: str) -> Response:
        return self.post(path, b"", method="GET")

    @property
    def app(self) -> Flask:
        """The Flask application, where it stands alone."""
        way = self._assemble()
        assert isinstance(way, FlaskWay)
        return way.app

    def validate(self, document: dict[str, Any], query: str = PATIENCE) -> ReviewAnswer:
        return self._review("/validate", document, query)

    def mutate(self, document: dict[str, Any], query: str = PATIENCE) -> ReviewAnswer:
        return self._review("/mutate", document, query)

    def self_test(self, document: dict[str, Any], query: str = PATIENCE) -> ReviewAnswer:
        return self._review(self_test.PATH, document, query)

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log's lines of one event."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["msg"] == event]

    def metric(self, name: str, **labels: str) -> float:
        """Return a metric's value; zero if it does not exist yet."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def close(self) -> None:
        for close in reversed(self._closers):
            close()

    def _review(self, path: str, document: dict[str, Any], query: str) -> ReviewAnswer:
        response = self.post(f"{path}?{query}", encode(document))
        assert response.status_code == 200, response.get_data(as_text=True)
        assert response.content_type == "application/json"
        answer = response.get_json()
        assert answer["apiVersion"] == "admission.k8s.io/v1"
        assert answer["kind"] == "AdmissionReview"
        assert answer["response"]["uid"] == document["request"]["uid"]
        return ReviewAnswer(answer["response"]) if path == self_test.PATH else split_decision(answer["response"])

    def _assemble(self) -> FlaskWay | FrontWay:
        with self._assembling:
            if self._assembled is None:
                self._assembled = self._open()
                self._closers.append(self._assembled.close)
            return self._assembled

    def _open(self) -> FlaskWay | FrontWay:
        self._source = PolicyFilesSource(
            [self.folder],
            self.unmatched,
            self.clock,
            self.metrics,
            self.logger,
            KMSKeyCache(HostSettings(), self.clock),
        )
        if self.policies is None:
            self._source.load()
            self.metrics.literal_hosts = self._source.literal_hosts
        verifier = Verifier(self._network(), self.clock, self.verifier_settings, self.metrics)
        self._closers.append(verifier.close)
        backend = _Backend(
            self.policies or self._source,
            self.namespaces or self._source,
            self.credential_source or SharedCredentials(self.credentials),
            decisions=self.decisions,
            admit_policy_object=self.admit_policy_object,
        )
        endpoints = create_endpoints(
            verifier,
            backend,
            self.kinds,
            self.clock,
            self.metrics,
            self.logger,
            callers=self.callers,
            rules=self.rules,
            timeout=self.timeout,
        )
        if self.way == "front":
            return FrontWay(Front(endpoints, backend.policies, self.clock, self.threads))
        return FlaskWay(create_app(endpoints, backend.policies, self.clock))

    def _network(self) -> Network:
        if self.network is not None:
            return self.network
        client = RegistryClient(
            HostSettings(insecure=frozenset({self.registry.host})), clock=self.clock, observer=self.metrics
        )
        self._closers.append(client.close)
        return client


@dataclass
class _Backend:
    """The parts that a test chose."""

    policies: PolicySource
    namespaces: Namespaces
    credentials: CredentialSource
    state: TrustedState = field(default_factory=MemoryTrustedState)
    admit_policy_object: AdmissionHandler | None = None

    def literal_hosts(self) -> frozenset[str]:
        return frozenset()

    def prepare(self) -> None:
        """Nothing to do."""

    def tasks(self) -> tuple[()]:
        return ()

    decisions: list[AdmissionOutcome] = field(default_factory=list)

    def decided(self, request: AdmissionRequest, outcome: AdmissionOutcome) -> None:  # noqa: ARG002 - the protocol
        self.decisions.append(outcome)


@contextlib.contextmanager
def open_environment(folder: Path, way: Way = "flask") -> Iterator[WebhookEnvironment]:
    """Open an environment with a registry of its own, and leave logging as it was.

    Args:
        folder: for its files.
        way: see `WebhookEnvironment`.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with RegistrySimulator() as registry:
        environment = WebhookEnvironment(registry, folder / "policies", way=way)
        yield environment
        environment.close()
    root.handlers[:] = handlers
    root.setLevel(level)
