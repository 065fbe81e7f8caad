"""Fields that are accepted for one more release and have no effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.dependencies import key_entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.api.v1alpha1.authenticator import Authenticator


def deprecation_warnings(authenticator: Authenticator) -> Iterator[str]:
    """Yield one line for each deprecated field that a valid Authenticator sets, in the order of the spec."""
    for field, entry in key_entries(authenticator.spec, "spec"):
        vault = entry.kms.oracle if entry.kms is not None else None
        if vault is not None and "region" in vault.model_fields_set:
            yield (
                f"{field}.kms.oracle.region is ignored, because the endpoint names the region; remove it: a later "
                "release refuses it"
            )
