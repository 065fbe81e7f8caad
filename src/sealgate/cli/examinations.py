"""One examination of an installation by `sealgate doctor`: every check, in the order of the output."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from sealgate.api.v1alpha1.signing_policy import SigningPolicy
from sealgate.cli.inputs.cluster_secrets import NamedSecrets, read_credentials, release_credentials
from sealgate.cli.inputs.installation import RIGHTS, Installation, OperatorSettings
from sealgate.cli.inputs.registries import add_settings, credentials_of, settings_of
from sealgate.diagnosis.certificates import check_ca_bundle, check_serving_certificate
from sealgate.diagnosis.checks import Area, Check, Outcome
from sealgate.diagnosis.clocks import Dated, check_clocks
from sealgate.diagnosis.components import check_components, check_definition, check_replicas, check_versions
from sealgate.diagnosis.endpoints import registries_of, services_of
from sealgate.diagnosis.objects import check_exceptions, check_objects
from sealgate.diagnosis.reach import Reach
from sealgate.diagnosis.trials import Trials
from sealgate.errors import UnavailableError
from sealgate.kubernetes.client import uses_service_account
from sealgate.messages import quote
from sealgate.registry.client import RegistryClient
from sealgate.release.enforcement import find_enforcement_problems
from sealgate.release.self_test import run_self_test
from sealgate.release.webhooks import observe
from sealgate_webhook.backends.cluster.policies import read_authenticator, read_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from sealgate.cli.inputs.doctor_options import DoctorOptions
    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.clocks import Clock
    from sealgate.diagnosis.endpoints import Endpoint
    from sealgate.http.settings import HostSettings
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.release.webhooks import ReleaseWebhooks

#: The most servers of one kind that are asked, and how many at a time.
MAX_ENDPOINTS: Final = 500
_TOGETHER: Final = 16
#: The kinds whose objects are examined, with their plural.
_KINDS: Final = {"Authenticator": "authenticators", "VerificationPolicy": "verificationpolicies"}
#: The kind whose objects are examined too where it is installed.
_SIGNING: Final = "SigningPolicy"
#: Variables by which many programs choose a proxy, in either case of letters.
_PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


class Examination:
    """Examines one installation.

    Args:
        api: the API server.
        chosen: which installation, and with which rights.
        registries: how registries are reached, and the user's credentials for them.
        clock: the time.
        seconds: for each server; greater than 0.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        chosen: DoctorOptions,
        registries: RegistryOptions,
        clock: Clock,
        seconds: float,
    ) -> None:
        self._api = api
        self._chosen = chosen
        self._registries = registries
        self._clock = clock
        self._seconds = seconds
        self._installation = Installation(api, chosen.namespace)
        self._dated: list[Dated] = []

    def run(self, expected: Callable[[int], object], advance: Callable[[], object]) -> list[Check]:
        """Return the checks, by area.

        Args:
            expected: called with the number of servers, before the first is asked.
            advance: called after each server, to show progress.

        Raises:
            ConfigError: a file with certificates or credentials cannot be read or is not valid.
        """
        checks = list(_proxies())
        server = self._server()
        checks.append(server)
        if server.outcome is Outcome.OK:
            found = self._installation.settings()
            name, settings = found or ("", OperatorSettings())
            own, changed = add_settings(settings_of(self._registries), settings.registries.settings())
            checks += self._components()
            definitions = self._installation.definitions()
            checks += [check_definition(kind, one) for kind, one in definitions]
            if name:
                checks += self._webhooks(name, settings)
            kinds = _KINDS | {kind.name: kind.plural for kind, one in definitions if one and kind.name == _SIGNING}
            objects = {kind: self._installation.objects(kind, plural) for kind, plural in kinds.items()}
            for kind, listed in objects.items():
                if listed is not None:
                    checks += check_objects(kind, listed)
            exceptions = self._installation.objects("VerificationException", "verificationexceptions")
            if exceptions is not None:
                checks.append(check_exceptions(exceptions, self._clock.now()))
            endpoints, invalid = self._endpoints(objects, own.mirrors)
            checks += invalid
            checks += self._ask(own, changed, endpoints, expected, advance)
            checks += check_clocks(self._dated)
        areas = list(Area)
        return sorted([*checks, *self._installation.unread], key=lambda check: areas.index(check.area))

    def _server(self) -> Check:
        sent = self._clock.now()
        try:
            server = self._api.version()
        except UnavailableError as error:
            remedy = "check the kubeconfig, its context and its credentials: kubectl version"
            return Check(Area.CLUSTER, "API server", Outcome.PROBLEM, error.message, remedy)
        self._dated.append(Dated("API server", server.date, sent, self._clock.now()))
        return Check(
            Area.CLUSTER, "API server", Outcome.OK, f"it responds, {quote(server.version, 64) or 'no version'}"
        )

    def _components(self) -> Iterator[Check]:
        deployments = self._installation.deployments()
        if deployments is None:
            return
        yield from (check_replicas(one, self._chosen.namespace) for one in deployments)
        if deployments:
            yield from check_components(self._installation.configured, deployments)
            yield check_versions(version("sealgate"), deployments)
        else:
            message = f"the namespace {quote(self._chosen.namespace, 64)} has no Deployment of sealgate"
            yield Check(Area.CLUSTER, "deployments", Outcome.PROBLEM, message, "run helm upgrade")

    # Webhooks and certificates ------------------------------------------------------------------------------------

    def _webhooks(self, config_map: str, settings: OperatorSettings) -> Iterator[Check]:
        release = self._installation.release(config_map)
        if release is None:
            return
        yield self._self_test(release)
        observation = self._installation.attempt(
            Area.WEBHOOKS, "configurations", lambda: observe(self._api, self._chosen.namespace, config_map)
        )
        if observation is None:
            return
        found = self._installation.attempt(
            Area.WEBHOOKS,
            "endpoints",
            lambda: list(find_enforcement_problems(self._api, self._chosen.namespace, observation)),
        )
        if found is not None:
            broken = {problem.configuration for problem, _ in found}
            for problem, _ in found:
                name = quote(problem.configuration) or problem.kind
                yield Check(Area.WEBHOOKS, name, Outcome.PROBLEM, f"{problem.kind}: {problem.message}")
            for one in (release.self_test, *release.configurations):
                if one.name not in broken:
                    yield Check(Area.WEBHOOKS, one.name, Outcome.OK, "it is as the chart wants it")
        webhook = observation.webhook_of(release.self_test)
        if webhook is not None:
            yield from self._certificates(webhook["clientConfig"], settings)

    def _self_test(self, release: ReleaseWebhooks) -> Check:
        try:
            run_self_test(self._api, self._chosen.namespace, release.self_test.webhook)
        except UnavailableError as error:
            if " is forbidden: User " in error.message:
                message = "a dry run of a Lease is not permitted, so it is not known whether the webhook is called"
                return Check(Area.WEBHOOKS, "self-test", Outcome.NOT_CHECKED, message, RIGHTS)
            remedy = "see the webhook's pods, its Service, NetworkPolicies for the API server, and the certificates"
            return Check(Area.WEBHOOKS, "self-test", Outcome.PROBLEM, error.message, remedy)
        message = "the API server calls the webhook, accepts its certificate, and gets its refusal"
        return Check(Area.WEBHOOKS, "self-test", Outcome.OK, message)

    def _certificates(self, client: Mapping[str, Any], settings: OperatorSettings) -> Iterator[Check]:
        bundle, service = client.get("caBundle") or "", client.get("service")
        if bundle or service:
            yield check_ca_bundle(bundle, self._clock.now())
        namespace = self._chosen.secrets.get(settings.tls_secret)
        if service and namespace == self._chosen.namespace:
            host = f"{service.get('name')}.{service.get('namespace')}.svc"
            data = self._installation.attempt(
                Area.CERTIFICATES, host, lambda: read_credentials(self._api, namespace, settings.tls_secret)
            )
            if data is not None:
                yield check_serving_certificate(data.get("tls.crt", b""), bundle, host, self._clock.now())

    # Objects and the servers that they name -----------------------------------------------------------------------

    def _endpoints(
        self, objects: Mapping[str, Sequence[dict[str, Any]] | None], mirrors: Mapping[str, str]
    ) -> tuple[list[Endpoint], list[Check]]:
        """Return the servers that objects name, and a check for each that cannot be asked."""
        read = map(read_authenticator, objects["Authenticator"] or ())
        authenticators = [one.object for one in read if one.object is not None]
        policies = [read_policy(item).compiled for item in objects["VerificationPolicy"] or ()]
        signing = list(_signing_policies(objects.get(_SIGNING) or ()))
        services, checks = services_of([*authenticators, *signing])
        endpoints = [*registries_of(policies, authenticators, signing, mirrors), *services]
        if len(endpoints) > MAX_ENDPOINTS:
            message = f"only {MAX_ENDPOINTS} of {len(endpoints)} servers are asked"
            checks.append(Check(Area.REGISTRIES, "servers", Outcome.NOT_CHECKED, message, "ask the others by hand"))
        return endpoints[:MAX_ENDPOINTS], checks

    def _ask(
        self,
        settings: HostSettings,
        changed: frozenset[str],
        endpoints: Sequence[Endpoint],
        expected: Callable[[int], object],
        advance: Callable[[], object],
    ) -> list[Check]:
        expected(len(endpoints))
        namespace, webhook = self._chosen.namespace, self._installation.webhook
        # In a pod, the rights of its ServiceAccount say which Secrets may be read; elsewhere the user does, who may
        # have the right to read them all.
        others = namespace if uses_service_account(self._chosen.context) else None
        secrets = NamedSecrets(self._api, self._chosen.secrets, others)
        shared = "" if webhook is None else webhook.registries.docker_config_secret
        release, untried = release_credentials(secrets, namespace, shared)
        pool = ThreadPoolExecutor(_TOGETHER, thread_name_prefix="server")
        try:
            with RegistryClient(settings, clock=self._clock) as client:
                sent = None if webhook is None else webhook.service_secrets
                trials = Trials(client, secrets, namespace, sent, self._clock, self._seconds)
                own = credentials_of(self._registries)
                reach = Reach(client, own, release, changed, trials, clock=self._clock, seconds=self._seconds)
                pending = [pool.submit(reach.ask, endpoint) for endpoint in endpoints]
                for _ in as_completed(pending):
                    advance()
                results = [each.result() for each in pending]
        finally:
            # On Ctrl-C the command must not wait for the servers.
            pool.shutdown(wait=False, cancel_futures=True)
        self._dated += [each.dated for each in results if each.dated is not None]
        return [each.check for each in results] + ([] if untried is None else [untried])


def _signing_policies(objects: Iterable[Mapping[str, Any]]) -> Iterator[SigningPolicy]:
    for obj in objects:
        with contextlib.suppress(ValidationError):  # the policy is not Ready then, and its condition says why
            yield SigningPolicy.model_validate(obj)


def _proxies() -> Iterator[Check]:
    named = [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    if named:
        message = f"{', '.join(named)} is set, and sealgate connects to registries, stores and KMSs without a proxy"
        remedy = "permit direct connections to the servers below, or name a mirror that is reachable"
        yield Check(Area.CLUSTER, "proxy", Outcome.WARNING, message, remedy)
