"""The release's webhook configurations: which there are, and how they are read.

The chart owns the configuration objects, one for each webhook, and writes neither `rules` nor `caBundle`, which the
operator applies. The chart also writes into a ConfigMap what it wants of each.

Which configurations there are is read from the API server before every use, not once from a file. During an upgrade the
replica that leads is still the one from before; it has to serve what the new release wants, or the new replicas, which
wait for that, would never become ready.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from sealgate.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.kubernetes.client import KubernetesAPI

API_VERSION = "admissionregistration.k8s.io/v1"
_PLURALS = {
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
}
#: Key of the ConfigMap.
_KEY = "webhooks.yaml"
#: The parser in C, where PyYAML has it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Document(BaseModel):
    """What all parts of the document share. Unknown members are ignored: a later release may have written it."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class WebhookConfiguration(_Document):
    """A webhook configuration object of the release, with its one webhook.

    Attributes:
        kind: of the object.
        name: of the object.
        webhook: name of the webhook in it.
        rules: `rules` that the operator applies, as the API server takes them.
        expected: the other fields of the webhook, as the chart writes them; None if the release does not say so.
    """

    kind: Literal["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"]
    #: It becomes a part of a path.
    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
    webhook: str
    rules: list[dict[str, Any]] = Field(default_factory=list)
    expected: dict[str, Any] | None = None

    @property
    def path(self) -> str:
        """Where the API server has it."""
        return f"/apis/{API_VERSION}/{_PLURALS[self.kind]}/{self.name}"


class ReleaseWebhooks(_Document):
    """All webhook configurations of the release.

    Attributes:
        managed_certificates: whether the operator issues the certificate and writes `caBundle`.
        self_test: the configuration that sends the self-test to the webhook; the chart writes its rules.
        configurations: those whose rules the operator applies.
    """

    managed_certificates: bool
    self_test: WebhookConfiguration
    configurations: list[WebhookConfiguration] = Field(min_length=1)


def read_release(api: KubernetesAPI, namespace: str, config_map: str) -> ReleaseWebhooks:
    """Read which webhook configurations the release has now.

    Args:
        api: the API server.
        namespace: sealgate's own.
        config_map: name of the ConfigMap that the chart writes.

    Raises:
        UnavailableError: it could not be read, or does not say so.
    """
    data = api.get(f"/api/v1/namespaces/{namespace}/configmaps/{config_map}").get("data")
    text = (data or {}).get(_KEY)
    try:
        return _parse(text or "")
    except (yaml.YAMLError, ValidationError) as error:
        raise UnavailableError(
            f"{_KEY} of the ConfigMap {config_map} is not a list of webhooks; run helm upgrade"
        ) from error


@functools.lru_cache(maxsize=1)
def _parse(text: str) -> ReleaseWebhooks:
    """Parse the document; what asks again and again gets the same object until the document changes."""
    return ReleaseWebhooks.model_validate(yaml.load(text, _LOADER))  # noqa: S506 - it is a safe one


def read_configuration(api: KubernetesAPI, configuration: WebhookConfiguration) -> dict[str, Any] | None:
    """Return a configuration object as it is; None if it, or its webhook, is not there.

    Raises:
        UnavailableError: the API server could not be asked.
    """
    try:
        found = api.get(configuration.path)
    except NotFoundError:
        return None
    return found if _find(configuration, found) is not None else None


class Observation(NamedTuple):
    """What the API server had of a release's webhook configurations at one time.

    Attributes:
        release: what the chart wants.
        found: each configuration object by its path; None if it, or its webhook, was not there.
    """

    release: ReleaseWebhooks
    found: Mapping[str, dict[str, Any] | None]

    def object_of(self, configuration: WebhookConfiguration) -> dict[str, Any] | None:
        """Return the object of one of the release's configurations; None if it, or its webhook, was not there."""
        return self.found[configuration.path]

    def webhook_of(self, configuration: WebhookConfiguration) -> dict[str, Any] | None:
        """Return the webhook of one of the release's configurations; None if it was not there."""
        found = self.object_of(configuration)
        return None if found is None else webhook_of(configuration, found)


def observe(api: KubernetesAPI, namespace: str, config_map: str) -> Observation:
    """Read the release's webhook configurations as they are now.

    Args:
        api: the API server.
        namespace: sealgate's own.
        config_map: name of the ConfigMap that the chart writes.

    Raises:
        UnavailableError: something could not be read, or the ConfigMap does not say which there are.
    """
    release = read_release(api, namespace, config_map)
    read = (release.self_test, *release.configurations)
    return Observation(release, {one.path: read_configuration(api, one) for one in read})


def webhook_of(configuration: WebhookConfiguration, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the webhook of a configuration object that `read_configuration` has returned."""
    webhook = _find(configuration, found)
    assert webhook is not None  # noqa: S101 - read_configuration has checked
    return webhook


def _find(configuration: WebhookConfiguration, found: Mapping[str, Any]) -> dict[str, Any] | None:
    webhooks: list[dict[str, Any]] = found.get("webhooks") or []
    return next((webhook for webhook in webhooks if webhook["name"] == configuration.webhook), None)
