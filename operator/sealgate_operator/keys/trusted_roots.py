"""Trusted roots of sigstore that are in ConfigMaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.status import KeyStatus, config_map_source
from sealgate.errors import InvalidKeyError, UnavailableError
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate_operator.keys.public_material import read_trusted_root
from sealgate_operator.keys.secrets import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.api.v1alpha1.model import ConfigMapKeySelector
    from sealgate_operator.keys.config_maps import ConfigMaps


class TrustedRoots:
    """Reads trusted roots for the status of authenticators.

    Args:
        config_maps: the ConfigMaps that may be read.
    """

    def __init__(self, config_maps: ConfigMaps) -> None:
        self._config_maps = config_maps

    def observe(self, reference: ConfigMapKeySelector, known: Sequence[KeyStatus]) -> KeyStatus:
        """Return the trusted root in one key of a ConfigMap, or why there is none.

        Args:
            reference: the key.
            known: all keys of the current status. While the API server does not answer, what it has goes on.
        """
        source, name, key = config_map_source(reference), quote(reference.name, 64), quote(reference.key, 64)
        if reference.name not in self._config_maps.names:
            message = (
                f"ConfigMap {name} is not listed in the chart's value trustedRoots.configMaps; add it there, or use a "
                "Secret"
            )
            return refused(source, "ConfigMapNotListed", message)
        try:
            data = self._config_maps.read(reference.name)
        except UnavailableError as error:
            before = next((one for one in known if one.source == source and one.state == "Accepted"), None)
            message = f"ConfigMap {name} cannot be read: {error.message}"
            return before or refused(source, Reason.AUTHENTICATOR_NOT_READY.value, message)
        if data is None:
            message = f"there is no ConfigMap {name} in sealgate's namespace; create it there, or name another"
            return refused(source, "ConfigMapNotFound", message)
        if reference.key not in data:
            return refused(
                source, "ConfigMapKeyNotFound", f"ConfigMap {name} has no key {key}; add it, or name another"
            )
        try:
            return KeyStatus(source=source, state="Accepted", pem=read_trusted_root(data[reference.key]).text)
        except InvalidKeyError as error:
            return refused(source, "InvalidKey", f"key {key} of ConfigMap {name}: {error.message}")
