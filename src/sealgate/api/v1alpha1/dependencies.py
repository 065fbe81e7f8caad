"""What an object depends on: key sources, Secrets, ConfigMaps and authenticators.

A valid spec lists its key sources itself. What a raw object names is found by the names of fields, because an object
that does not validate depends on Secrets and authenticators too: it is read again when they change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.messages import join_field, key_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealgate.api.v1alpha1.authenticator import Authenticator, AuthenticatorSpec
    from sealgate.api.v1alpha1.model import KeySource

# The fields that refer to a Secret in any spec.
_SECRET_FIELDS = ("secretRef", "credentialsSecret")
# The fields that refer to a ConfigMap.
_CONFIG_MAP_FIELDS = ("configMapRef",)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to a Secret or a ConfigMap in a raw object.

    Attributes:
        field: path of the referring field ("spec.cosign.keys[0].secretRef").
        name: its name, of any type; None if it is missing.
        key: key inside it, of any type; None if it is missing, as in references to credentials.
    """

    field: str
    name: object
    key: object


def key_sources(spec: AuthenticatorSpec, field: str) -> Iterator[tuple[str, KeySource]]:
    """Yield every key source of a valid spec with its field.

    Args:
        spec: the spec.
        field: path of the spec itself ("spec"); may be empty.
    """
    inside = join_field(field, spec.format)
    return ((join_field(inside, below), source) for below, source in spec.chosen.key_sources())


def key_entries(spec: AuthenticatorSpec, field: str) -> Iterator[tuple[str, KeyEntry]]:
    """Yield those of the key sources that a `KeyResolver` resolves to public keys; see `key_sources`."""
    for path, source in key_sources(spec, field):
        if isinstance(source, KeyEntry) and source.resolvable:
            yield path, source


def kms_entries(authenticators: Iterable[Authenticator]) -> tuple[KeyEntry, ...]:
    """Return the key entries whose keys are in a KMS, each once, in the order of the authenticators."""
    found = (entry for one in authenticators for _, entry in key_entries(one.spec, "") if entry.kms is not None)
    return tuple(dict.fromkeys(found))


def secret_references(value: object, field: str = "") -> Iterator[Reference]:
    """Return every reference to a Secret in a raw object, for keys and for credentials, valid or not.

    Args:
        value: the object, or a part of it, as JSON or YAML has it.
        field: path of the value; empty for the whole object.
    """
    return _references(value, _SECRET_FIELDS, field)


def config_map_references(value: object, field: str = "") -> Iterator[Reference]:
    """Return every reference to a ConfigMap in a raw object; see `secret_references`."""
    return _references(value, _CONFIG_MAP_FIELDS, field)


def _references(value: object, fields: tuple[str, ...], field: str) -> Iterator[Reference]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, fields, join_field(field, index))
    elif isinstance(value, Mapping):
        for key, member in value.items():
            inside = join_field(field, key_part(key))
            if key in fields and isinstance(member, Mapping):
                yield Reference(inside, member.get("name"), member.get("key"))
            yield from _references(member, fields, inside)


def secrets_named_in(value: object) -> frozenset[str]:
    """Return the names of all Secrets that a raw object refers to."""
    return frozenset(found.name for found in secret_references(value) if isinstance(found.name, str))


def config_maps_named_in(value: object) -> frozenset[str]:
    """Return the names of all ConfigMaps that a raw object refers to."""
    return frozenset(found.name for found in config_map_references(value) if isinstance(found.name, str))


def authenticators_named_in(obj: Mapping[str, object]) -> frozenset[str]:
    """Return the names of the authenticators that a raw VerificationPolicy requires."""
    spec = obj.get("spec")
    require = spec.get("require") if isinstance(spec, Mapping) else None
    names = require.get("authenticators") if isinstance(require, Mapping) else None
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()
