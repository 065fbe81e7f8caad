"""What is in a cluster, read with the user's own rights: policies, namespaces, and the objects that have images.

Only policies and authenticators are indispensable. What else cannot be read is reported, and stops nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote as url_quote

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.cli.inputs.cluster_secrets import NamedSecrets
from sealgate.cli.inputs.items import Item
from sealgate.errors import InvalidWorkloadError, NotFoundError, SealgateError, UnavailableError
from sealgate.kubernetes.collections import find_collection, listed_kinds
from sealgate.kubernetes.lists import list_objects
from sealgate.messages import quote
from sealgate.policies.matching import Namespace
from sealgate.workloads.running import runs_nothing
from sealgate_webhook.backends.cluster.exceptions import EXCEPTIONS, ReadException, index_of, read_exception
from sealgate_webhook.backends.cluster.namespaces import PATH as NAMESPACES
from sealgate_webhook.backends.cluster.namespaces import read_namespace
from sealgate_webhook.backends.cluster.policies import (
    AUTHENTICATORS,
    POLICIES,
    compile_objects,
    read_authenticator,
    read_policy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from typing import Any

    from sealgate.cli.inputs.pull_secrets import PullSecrets
    from sealgate.cli.inputs.workloads import Manifests
    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.policies.decisions import UnmatchedImages
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.workloads.kinds import WorkloadKind

#: How long an exception may last in any installation. That of this one is not known here.
LONGEST: Final = timedelta(days=366)


class ClusterObjects:
    """The objects of a cluster that a scan is about.

    Args:
        api: the API server.
        namespace: the only namespace to read; None for all.
        excluded: namespaces to leave out.

    Attributes:
        unread: what could not be read, one line each.
        exceptions_unread: why the exceptions could not be read; empty if they could, or there are none.
        left_out: number of objects that run nothing: ended Pods and Jobs, and former revisions of a Deployment.
    """

    def __init__(self, api: KubernetesAPI, namespace: str | None, excluded: Collection[str]) -> None:
        self._api = api
        self._namespace = namespace
        self._excluded = frozenset(excluded)
        self.unread: list[str] = []
        self.exceptions_unread = ""
        self.left_out = 0

    def policies(self, unmatched: UnmatchedImages, secrets: Mapping[str, str], clock: Clock) -> PolicySet:
        """Return the policies and exceptions in force, as the webhook compiles them.

        Exceptions that may not be read count as none, which can only make verdicts stricter.

        Args:
            unmatched: what happens to an image that no policy matches.
            secrets: name of each Secret that may be sent to signature stores -> its namespace.
            clock: says which keys are valid.

        Raises:
            UnavailableError: the policies cannot be read.
        """
        try:
            authenticators = [
                read_authenticator(item) for item in list_objects(self._api, AUTHENTICATORS, "Authenticator")
            ]
            policies = [read_policy(item) for item in list_objects(self._api, POLICIES, "VerificationPolicy")]
        except NotFoundError as error:
            raise UnavailableError(
                f"the cluster has no {API_VERSION}: is sealgate installed? {error.message}"
            ) from error
        except UnavailableError as error:
            raise UnavailableError(
                f"the policies cannot be read: {error.message}; see docs/scan.md for the rights"
            ) from error
        named = NamedSecrets(self._api, secrets)
        compiled, _ = compile_objects(authenticators, policies, unmatched, named, clock.now())
        return replace(compiled, exceptions=index_of(self._exceptions(clock), clock))

    def _exceptions(self, clock: Clock) -> tuple[ReadException, ...]:
        try:
            return tuple(
                read_exception(item, None, LONGEST, clock)
                for item in list_objects(self._api, EXCEPTIONS, "VerificationException")
            )
        except NotFoundError:
            return ()
        except UnavailableError as error:
            self.exceptions_unread = error.message
            return ()

    def collect(self, found: Manifests, pull_secrets: PullSecrets, read: Callable[[], object]) -> None:
        """Read the objects that have images, kind by kind; a kind that cannot be read is reported.

        Args:
            found: gets the images.
            pull_secrets: gets the names of the Secrets that the objects pull with.
            read: called after each object.
        """
        for kind in listed_kinds(found.kinds):
            try:
                for obj in list_objects(self._api, self._path(kind), kind.kind):
                    self._add(obj, kind, found, pull_secrets)
                    read()
            except NotFoundError:
                self._not_read(f"the cluster has no {kind}; check --custom-kind")
            except SealgateError as error:
                self._not_read(f"{kind} objects cannot be listed: {error.message}")

    def namespaces(self, names: Iterable[str], declared: Mapping[str, Mapping[str, str]]) -> dict[str, Namespace]:
        """Return namespaces with their labels; not all labels are known of one that cannot be read.

        Args:
            names: names of the namespaces.
            declared: labels of the namespaces among the manifests, for those that the cluster does not have yet.
        """
        wanted = set(names)
        known = self._listed() if self._namespace is None and wanted else {}
        return {name: known.get(name) or self._get(name, declared.get(name)) for name in wanted}

    def _listed(self) -> dict[str, Namespace]:
        try:
            return {
                item["metadata"]["name"]: read_namespace(item)
                for item in list_objects(self._api, NAMESPACES, "Namespace")
            }
        except SealgateError as error:
            self._not_read(f"namespaces cannot be listed, so their labels are read one by one: {error.message}")
            return {}

    def _get(self, name: str, declared: Mapping[str, str] | None) -> Namespace:
        try:
            return read_namespace(self._api.get(f"{NAMESPACES}/{url_quote(name, safe='')}"))
        except NotFoundError:
            return Namespace(name, declared or {}, complete=False)
        except SealgateError as error:
            self._not_read(f"the labels of namespace {quote(name, 64)} are not known: {error.message}")
            return Namespace(name, complete=False)

    def _add(self, obj: Mapping[str, Any], kind: WorkloadKind, found: Manifests, pull_secrets: PullSecrets) -> None:
        namespace = str((obj.get("metadata") or {}).get("namespace") or "")
        if namespace in self._excluded:
            return
        if runs_nothing(obj, kind):
            self.left_out += 1
            return
        try:
            images = found.add(Item("", obj), namespace)
        except InvalidWorkloadError as error:
            found.problems.append(error.message)
            return
        pull_secrets.add(obj, kind, images)

    def _path(self, kind: WorkloadKind) -> str:
        version, collection = find_collection(self._api, kind)
        within = f"/namespaces/{url_quote(self._namespace, safe='')}" if self._namespace is not None else ""
        return f"/{version}{within}/{collection}"

    def _not_read(self, problem: str) -> None:
        self.unread.append(problem)
