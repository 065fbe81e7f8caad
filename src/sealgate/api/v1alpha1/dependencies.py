"""Dependencies of an object: the key entries, Secrets and authenticators that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.messages import join_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealgate.api.v1alpha1.authenticator import Authenticator


def kms_entries(authenticators: Iterable[Authenticator]) -> tuple[KeyEntry, ...]:
    """Return the key entries whose keys are in a KMS, each once, in the order of the authenticators."""
    found = (entry for one in authenticators for _, entry in key_entries(one.spec, "") if entry.kms is not None)
    return tuple(dict.fromkeys(found))


def key_entries(value: object, place: str) -> Iterator[tuple[str, KeyEntry]]:
    """Yield every key entry in a model that a resolver is asked for, whatever the format, with its field."""
    if isinstance(value, KeyEntry):
        if value.resolvable:
            yield place, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from key_entries(getattr(value, name), join_field(place, field.alias or name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from key_entries(item, join_field(place, index))
