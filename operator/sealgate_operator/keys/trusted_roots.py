"""Trusted roots of sigstore that are in ConfigMaps, or that the operator fetches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from sealgate.api.v1alpha1.status import KeyStatus, root_source
from sealgate.clocks import timestamp
from sealgate.errors import InvalidKeyError, UnavailableError
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate_operator.keys.public_material import read_trusted_root
from sealgate_operator.keys.secrets import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.api.v1alpha1.keyless import TrustedRootSource
    from sealgate.api.v1alpha1.model import ConfigMapKeySelector
    from sealgate_operator.fetched_root.state import Known
    from sealgate_operator.keys.config_maps import ConfigMaps

#: Reason of a trusted root that has never been fetched.
NOT_FETCHED: Final = "TrustedRootNotFetched"


class FetchedRoots(Protocol):
    """The trusted root that the operator fetches."""

    def read(self) -> Known:
        """Return what is known of it.

        Raises:
            UnavailableError: what is known cannot be read.
        """


class TrustedRoots:
    """Reads trusted roots for the status of authenticators.

    While the API server does not answer, the trusted root that a status has goes on.

    Args:
        config_maps: the ConfigMaps that may be read.
        fetched: the trusted root that the operator fetches; None if it fetches none.
    """

    def __init__(self, config_maps: ConfigMaps, fetched: FetchedRoots | None = None) -> None:
        self._config_maps = config_maps
        self._fetched = fetched

    def observe(self, source: TrustedRootSource, known: Sequence[KeyStatus]) -> KeyStatus:
        """Return a trusted root, or why there is none.

        Args:
            source: names a ConfigMap, or the fetched root.
            known: all keys of the current status.
        """
        name = root_source(source)
        try:
            raw = self._of_config_map(source.config_map_ref) if source.config_map_ref else self._of_mirror()
            return KeyStatus(source=name, state="Accepted", pem=read_trusted_root(raw).text)
        except UnavailableError as error:
            before = next((one for one in known if one.source == name and one.state == "Accepted"), None)
            return before or refused(name, Reason.AUTHENTICATOR_NOT_READY.value, error.message)
        except _MissingError as error:
            return refused(name, error.reason, error.message)
        except InvalidKeyError as error:
            return refused(name, "InvalidKey", f"{quote(name, 200)}: {error.message}")

    def fetch_problem(self) -> str | None:
        """Return why the last round of fetching failed, and what goes on; empty if it succeeded, None if not known."""
        if self._fetched is None:
            return None
        try:
            known = self._fetched.read()
        except UnavailableError as error:
            return error.message
        if not known.problem:
            return "" if known.fetched_at else None
        at = timestamp(known.fetched_at) if known.fetched_at else ""
        then = f"the trusted root of {at} goes on" if at else "there is none yet"
        return f"cannot be fetched; {then}: {known.problem}"

    def _of_config_map(self, reference: ConfigMapKeySelector) -> bytes:
        name, key = quote(reference.name, 64), quote(reference.key, 64)
        if reference.name not in self._config_maps.names:
            message = (
                f"ConfigMap {name} is not listed in the chart's value trustedRoots.configMaps; add it there, or use a "
                "Secret"
            )
            raise _MissingError("ConfigMapNotListed", message)
        data = self._config_maps.read(reference.name)
        if data is None:
            message = f"there is no ConfigMap {name} in sealgate's namespace; create it there, or name another"
            raise _MissingError("ConfigMapNotFound", message)
        if reference.key not in data:
            message = f"ConfigMap {name} has no key {key}; add it, or name another"
            raise _MissingError("ConfigMapKeyNotFound", message)
        return data[reference.key]

    def _of_mirror(self) -> bytes:
        if self._fetched is None:
            message = (
                "the operator fetches no trusted root; set the chart's value trustedRoots.tuf.enabled, or write "
                "another source"
            )
            raise _MissingError("FetchingDisabled", message)
        known = self._fetched.read()
        if known.trusted_root is None:
            why = f": {known.problem}" if known.problem else ""
            raise _MissingError(NOT_FETCHED, f"no trusted root has been fetched yet{why}")
        return known.trusted_root


class _MissingError(Exception):
    """A trusted root is not where it should be."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
