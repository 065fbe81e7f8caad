"""What is watched and listed: kinds of objects, and where the API server has them."""

from __future__ import annotations

from typing import NamedTuple

from sealgate.api.v1alpha1.model import API_VERSION

AUTHENTICATOR = "Authenticator"
POLICY = "VerificationPolicy"
SECRET = "Secret"  # noqa: S105 - a kind
SIGNING_POLICY = "SigningPolicy"
SIGNING_REQUEST = "SigningRequest"

#: Excludes Secrets that cannot contain keys for authenticators and may be large.
SECRET_SELECTOR = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token"  # noqa: S105 - a selector

_GROUP, _, _VERSION = API_VERSION.partition("/")


class Resource(NamedTuple):
    """One collection of the API server.

    Attributes:
        group: API group; empty for the core.
        version: of the group ("v1alpha1").
        plural: name of the collection ("authenticators").
        namespaced: whether it is that of one namespace; else that of the whole cluster.
        field_selector: which objects are listed and watched; empty for all.
    """

    group: str
    version: str
    plural: str
    namespaced: bool = False
    field_selector: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """Group, version and plural."""
        return self.group, self.version, self.plural

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str) -> str:
        """Return the path of the collection.

        Args:
            namespace: of a namespaced resource; another one has none.
        """
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{root}/{self.plural}"


#: What the operator watches.
OPERATOR_RESOURCES = {
    AUTHENTICATOR: Resource(_GROUP, _VERSION, "authenticators"),
    POLICY: Resource(_GROUP, _VERSION, "verificationpolicies"),
    SECRET: Resource("", "v1", "secrets", namespaced=True, field_selector=SECRET_SELECTOR),
}
#: What the signing worker watches.
WORKER_RESOURCES = {
    AUTHENTICATOR: OPERATOR_RESOURCES[AUTHENTICATOR],
    SIGNING_POLICY: Resource(_GROUP, _VERSION, "signingpolicies"),
    SIGNING_REQUEST: Resource(_GROUP, _VERSION, "signingrequests", namespaced=True),
}
