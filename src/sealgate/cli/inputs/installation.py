"""What is installed in a cluster, read with the user's own rights; what cannot be read stops nothing else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote as url_quote

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from sealgate.api.crds import KINDS, SIGNING_KINDS
from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.diagnosis.checks import Area, Check, Outcome
from sealgate.errors import ConfigError, NotFoundError, UnauthorizedError, UnavailableError
from sealgate.kubernetes.lists import items_of, list_objects, list_pages
from sealgate.messages import quote
from sealgate.process.config import RegistriesConfig
from sealgate.release.webhooks import read_release

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.api.crds import Kind
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.release.webhooks import ReleaseWebhooks

T = TypeVar("T")

_PART_OF, _COMPONENT = "app.kubernetes.io/part-of", "app.kubernetes.io/component"
_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_CONFIG: Final = "config.yaml"
#: What to do about a right that is missing.
RIGHTS: Final = "have a cluster administrator bind the ClusterRole of docs/doctor.md to you"


class OperatorSettings(BaseModel):
    """The members of the operator's settings file that are used here; others are ignored.

    Attributes:
        registries: how registries and services are reached.
        tls_secret: name of the Secret with the webhook's certificate; empty if it is not known.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    registries: RegistriesConfig = RegistriesConfig()
    tls_secret: str = ""


class _WebhookRegistries(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    docker_config_secret: str = ""


class WebhookSettings(BaseModel):
    """The members of the webhook's settings file that are used here; others are ignored.

    Attributes:
        service_secrets: names of the Secrets of the release's namespace that the webhook sends to signature stores.
        registries: of how registries are reached, the Secret of that namespace with credentials for all images.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    service_secrets: tuple[str, ...] = ()
    registries: _WebhookRegistries = _WebhookRegistries()


class Installation:
    """One installation of sealgate.

    Args:
        api: the API server.
        namespace: sealgate's own.

    Attributes:
        unread: a check for each part that could not be read.
        configured: the components whose settings were found, each of which has a Deployment in the chart.
        webhook: the webhook's settings; None until `settings` has found some that can be read.
    """

    def __init__(self, api: KubernetesAPI, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self.unread: list[Check] = []
        self.configured: frozenset[str] = frozenset()
        self.webhook: WebhookSettings | None = None

    def attempt(self, area: Area, name: str, read: Callable[[], T]) -> T | None:
        """Return what a function reads; None if the API server does not let the user, which is reported.

        Args:
            area: what is read, for the report.
            name: the same.
            read: reads; raises `UnavailableError` if it cannot.
        """
        try:
            return read()
        except UnauthorizedError as error:
            self.unread.append(Check(area, name, Outcome.NOT_CHECKED, error.message, RIGHTS))
        except UnavailableError as error:
            self.unread.append(Check(area, name, Outcome.NOT_CHECKED, error.message, "try again"))
        return None

    def settings(self) -> tuple[str, OperatorSettings] | None:
        """Return the name of the operator's ConfigMap, and what it says; None if it is not there, which is reported."""
        found = self.attempt(Area.CLUSTER, "settings", lambda: self._of_release("configmaps", "api/v1"))
        if found is None:
            return None
        found = [one for one in found if _CONFIG in (one.get("data") or {})]
        self.configured = frozenset(filter(None, (_label(one, _COMPONENT) for one in found)))
        self.webhook = next(
            filter(None, (_webhook(one) for one in found if _label(one, _COMPONENT) == "webhook")), None
        )
        maps = [one for one in found if _label(one, _COMPONENT) == "operator"]
        if not maps:
            message = f"the namespace {quote(self._namespace, 64)} has no sealgate"
            remedy = "name its namespace with --namespace: helm list --all-namespaces"
            self.unread.append(Check(Area.CLUSTER, "settings", Outcome.PROBLEM, message, remedy))
            return None
        if len(maps) > 1:
            message = f"the namespace {quote(self._namespace, 64)} has several releases; only one is examined"
            self.unread.append(Check(Area.CLUSTER, "settings", Outcome.WARNING, message, "install only one"))
        name = str(maps[0]["metadata"]["name"])
        try:
            settings = OperatorSettings.model_validate(yaml.safe_load(maps[0]["data"][_CONFIG]))
            settings.registries.settings()
        except (yaml.YAMLError, ValidationError, ConfigError):
            message = "the operator's settings cannot be read, so the defaults are used"
            self.unread.append(Check(Area.CLUSTER, quote(name), Outcome.WARNING, message, "run helm upgrade"))
            return name, OperatorSettings()
        return name, settings

    def release(self, config_map: str) -> ReleaseWebhooks | None:
        """Return the webhook configurations that the chart wants; None if they cannot be read, which is reported."""
        return self.attempt(
            Area.WEBHOOKS, "configurations", lambda: read_release(self._api, self._namespace, config_map)
        )

    def deployments(self) -> list[dict[str, Any]] | None:
        """Return the release's Deployments; None if they cannot be listed, which is reported."""
        return self.attempt(Area.CLUSTER, "deployments", lambda: self._of_release("deployments", "apis/apps/v1"))

    def definitions(self) -> list[tuple[Kind, dict[str, Any] | None]]:
        """Return each kind with its CRD, None if the cluster does not have it; kinds of signing only if it does."""
        found: list[tuple[Kind, dict[str, Any] | None]] = []
        for kind in (*KINDS, *SIGNING_KINDS):
            name = f"{kind.plural}.sealgate.dev"
            try:
                found.append((kind, self._api.get(f"{_DEFINITIONS}/{name}")))
            except NotFoundError:
                if kind in KINDS:
                    found.append((kind, None))
            except UnauthorizedError as error:
                self.unread.append(Check(Area.VERSIONS, name, Outcome.NOT_CHECKED, error.message, RIGHTS))
            except UnavailableError as error:
                self.unread.append(Check(Area.VERSIONS, name, Outcome.NOT_CHECKED, error.message, "try again"))
        return found

    def objects(self, kind: str, plural: str) -> list[dict[str, Any]] | None:
        """Return the objects of one of sealgate's cluster-scoped kinds; None if they cannot be listed."""

        def read() -> list[dict[str, Any]]:
            try:
                return list(list_objects(self._api, f"/apis/{API_VERSION}/{plural}", kind))
            except NotFoundError:
                return []  # its CRD is missing, which has a check of its own

        return self.attempt(Area.OBJECTS, kind, read)

    def _of_release(self, plural: str, group: str) -> list[dict[str, Any]]:
        path = f"/{group}/namespaces/{url_quote(self._namespace, safe='')}/{plural}"
        pages = list_pages(self._api, path, selectors={"labelSelector": f"{_PART_OF}=sealgate"})
        return [item for page in pages for item in items_of(page, "") if _label(item, _PART_OF) == "sealgate"]


def _webhook(config_map: Mapping[str, Any]) -> WebhookSettings | None:
    with contextlib.suppress(yaml.YAMLError, ValidationError):
        return WebhookSettings.model_validate(yaml.safe_load(config_map["data"][_CONFIG]))
    return None


def _label(obj: Mapping[str, Any], label: str) -> str:
    return str((obj["metadata"].get("labels") or {}).get(label) or "")
