"""Finds everything that keeps the API server from asking the webhook: configurations, kinds, endpoints. Only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealgate.errors import NotFoundError
from sealgate.kubernetes.endpoint_slices import slices_of
from sealgate.release.tampering import Problem, find_problems
from sealgate.release.webhooks import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.release.webhooks import Observation, ReleaseWebhooks, WebhookConfiguration

#: The kinds without which the webhook verifies nothing.
KINDS: Final = ("authenticators", "verificationpolicies")
#: The kind that a cluster may lack, such as one whose CRDs are those of an older chart.
EXCEPTIONS: Final = "verificationexceptions"


def find_enforcement_problems(
    api: KubernetesAPI, namespace: str, observation: Observation, kinds: Iterable[str] = KINDS
) -> Iterator[tuple[Problem, dict[str, Any]]]:
    """Yield every problem, with the object that an Event about it names.

    Args:
        api: the API server.
        namespace: sealgate's own.
        observation: the webhook configurations of now.
        kinds: the kinds that must be there, in the plural.

    Raises:
        UnavailableError: the API server could not be asked.
    """
    yield from _missing_kinds(api, observation.release, kinds)
    yield from _configurations(observation)
    yield from _without_endpoint(api, namespace, observation.release)


def _configurations(observation: Observation) -> Iterator[tuple[Problem, dict[str, Any]]]:
    release = observation.release
    tested = observation.webhook_of(release.self_test)
    bundle = "" if tested is None else tested["clientConfig"].get("caBundle") or ""
    for one in (release.self_test, *release.configurations):
        found = observation.object_of(one)
        for problem in find_problems(one, found, bundle):
            yield problem, found or _stub(one)


def has_kind(api: KubernetesAPI, plural: str) -> bool:
    """Return whether the API server has a kind of sealgate.

    Args:
        api: the API server.
        plural: name of its collection.

    Raises:
        UnavailableError: the API server could not be asked.
    """
    try:
        api.get(f"/apis/sealgate.dev/v1alpha1/{plural}", {"limit": 1})
    except NotFoundError:
        return False
    return True


def _missing_kinds(
    api: KubernetesAPI, release: ReleaseWebhooks, kinds: Iterable[str]
) -> Iterator[tuple[Problem, dict[str, Any]]]:
    for plural in kinds:
        if not has_kind(api, plural):
            then = "" if plural == EXCEPTIONS else ", then your policies"
            message = (
                f"the CustomResourceDefinition {plural}.sealgate.dev was removed, and with it every object: apply "
                f"the chart's crds{then}"
            )
            yield Problem("CRDMissing", "", message), _stub(release.configurations[0])


def _without_endpoint(
    api: KubernetesAPI, namespace: str, release: ReleaseWebhooks
) -> Iterator[tuple[Problem, dict[str, Any]]]:
    one = release.configurations[0]
    service = ((one.expected or {}).get("clientConfig") or {}).get("service")
    if service and not any(map(_is_ready, slices_of(api, namespace, service["name"]))):
        message = (
            f"the Service {service['name']} has no endpoint: see the webhook's pods, kubectl -n {namespace} get pods"
        )
        yield Problem("NoEndpoint", "", message, repaired=True), _stub(one)


def _stub(one: WebhookConfiguration) -> dict[str, Any]:
    """Return what an Event needs of a configuration that is not there, or that was not read."""
    return {"apiVersion": API_VERSION, "kind": one.kind, "metadata": {"name": one.name}}


def _is_ready(endpoint_slice: Mapping[str, Any]) -> bool:
    endpoints = endpoint_slice.get("endpoints") or ()
    # A condition that is not there means ready.
    return any(one.get("addresses") and (one.get("conditions") or {}).get("ready") is not False for one in endpoints)
