"""Tries the credentials of signature stores and KMSs, after the server has responded without them.

The author of an Authenticator chooses both the Secret and the server. So a Secret is read only if the user permits it,
and it goes to a signature store only if the release's settings have the webhook send it there, which it then does for
each image anyway. A KMS gets signed requests, or a token, which goes to no address but the one that the Secret names
or a public one of its cloud (`sealgate.kms.credentials.require_address`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sealgate.clocks import Deadline
from sealgate.diagnosis.checks import Check, Outcome
from sealgate.diagnosis.stores import list_signatures
from sealgate.errors import NotFoundError, RateLimitedError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.formats.interface import Sources
from sealgate.kms.key_source import KMSKeySource
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.registry.credentials import NoCredentials
from sealgate.service_secrets import MappingServiceSecrets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sealgate.api.v1alpha1.authenticator import AuthenticatorSpec
    from sealgate.clocks import Clock
    from sealgate.diagnosis.endpoints import Endpoint
    from sealgate.registry.client import RegistryClient

_UNTRIED: Final = "it responds; its credentials were not tried"


class PermittedSecrets(Protocol):
    """The Secrets that may be read for a diagnosis. Thread-safe; may block on the network."""

    def namespace_of(self, name: str) -> str | None:
        """Return the namespace that a Secret is read from; None if it must not be read."""

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return a Secret.

        Raises:
            UnauthorizedError: the API server does not permit it.
            UnavailableError: the Secret does not exist (reason *AuthenticatorNotReady*) or cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Trials:
    """Tries credentials, each under its own deadline. Thread-safe.

    Attributes:
        client: how servers are reached.
        secrets: the Secrets that may be read.
        namespace: the release's own.
        sent: names of the Secrets of that namespace that the webhook sends to signature stores; None if not known.
        clock: the time.
        seconds: for each server; greater than 0.
    """

    client: RegistryClient
    secrets: PermittedSecrets
    namespace: str
    sent: Collection[str] | None
    clock: Clock
    seconds: float

    def run(self, endpoint: Endpoint, name: str) -> Check:
        """Try the credentials of a server that responds.

        Args:
            endpoint: the server.
            name: name of its Secret.
        """
        withheld = self._withheld(endpoint, name)
        if withheld is not None:
            return endpoint.check(*withheld)
        secret = f"{self.secrets.namespace_of(name)}/{quote(name, 64)}"
        try:
            data = MappingServiceSecrets({name: self.secrets.read(name)})
        except UnavailableError as error:
            outcome, remedy = Outcome.NOT_CHECKED, "try again"
            if isinstance(error, UnauthorizedError):
                remedy = f"to try them, have get on the Secret {secret} permitted, by name"
            elif error.reason is Reason.AUTHENTICATOR_NOT_READY:
                outcome, remedy = Outcome.PROBLEM, "create the Secret"
            return endpoint.check(outcome, f"{_UNTRIED}: {error.message}", remedy)
        try:
            return self._list(endpoint, endpoint.store, data) if endpoint.store else self._fetch(endpoint, data)
        except VerificationError as error:
            message = f"its response is not a list of signatures: {error.message}"
            return endpoint.check(Outcome.PROBLEM, message, "check the address of the store")
        except UnavailableError as error:
            return _failed(endpoint, error, secret)

    def _withheld(self, endpoint: Endpoint, name: str) -> tuple[Outcome, str, str] | None:
        """Return why the credentials are not tried: an outcome, a message and a remedy; None if they are."""
        shown, store, namespace = quote(name, 64), endpoint.store, self.secrets.namespace_of(name)
        if store is not None and self.sent is not None and name not in self.sent:
            message = f"it responds, but the webhook may not send it the Secret {shown}"
            return Outcome.PROBLEM, message, f"list {shown} in the chart's webhook.serviceSecrets"
        if namespace is None:
            return Outcome.OK, _UNTRIED, f"to try them: --service-secret NAMESPACE/{shown}"
        if store is None and endpoint.key is None:
            return Outcome.OK, "it responds; only signing an image tries its credentials", "sealgate sign --policy"
        if store is not None and self.sent is None:
            return Outcome.OK, f"{_UNTRIED}, because it is not known whether the webhook sends them", ""
        if store is not None and namespace != self.namespace:
            message = f"{_UNTRIED}, because the webhook has those of another namespace"
            return Outcome.OK, message, f"to try them: --service-secret {self.namespace}/{shown}"
        return None

    def _list(self, endpoint: Endpoint, store: AuthenticatorSpec, secrets: MappingServiceSecrets) -> Check:
        deadline = Deadline.after(self.clock, self.seconds)
        session = self.client.session(NoCredentials(), deadline)
        list_signatures(store, Sources(session, self.client.services(deadline), self.clock, deadline, secrets=secrets))
        return endpoint.check(Outcome.OK, "it accepts the credentials")

    def _fetch(self, endpoint: Endpoint, secrets: MappingServiceSecrets) -> Check:
        assert endpoint.key is not None  # noqa: S101 - `run` has returned for a server without store and key
        keys = KMSKeySource(self.client, secrets, self.clock).fetch(endpoint.key, self.seconds)
        refused = [one for one in keys if one.state != "Accepted"]
        if len(refused) == len(keys):
            message = f"no version of its key can be used: {quote(refused[0].reason or '', 64)}: {refused[0].message}"
            return endpoint.check(Outcome.PROBLEM, message, "enable the key in the KMS, or name another one")
        accepted = len(keys) - len(refused)
        versions = f"{accepted} version{'' if accepted == 1 else 's'}"
        return endpoint.check(Outcome.OK, f"it accepts the credentials; {versions} of its key can be used")


def _failed(endpoint: Endpoint, error: UnavailableError, secret: str) -> Check:
    if isinstance(error, RateLimitedError):
        return endpoint.check(Outcome.WARNING, f"it responds, and {error.message}", "try again later")
    if isinstance(error, UnauthorizedError):
        remedy = f"check the Secret {secret}, and the rights of its credentials"
        return endpoint.check(Outcome.PROBLEM, f"it refuses the credentials: {error.message}", remedy)
    if error.reason is Reason.AUTHENTICATOR_NOT_READY:
        return endpoint.check(Outcome.PROBLEM, error.message, f"correct the Secret {secret}")
    if isinstance(error, NotFoundError):
        remedy = "check the project, note, compartment or key that the object names; or the credentials may not see it"
        return endpoint.check(Outcome.PROBLEM, error.message, remedy)
    remedy = "it responds without credentials: see the server's own log, or try again"
    return endpoint.check(Outcome.PROBLEM, error.message, remedy)
