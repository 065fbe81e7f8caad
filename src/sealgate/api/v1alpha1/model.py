"""What all models are made of: the strict base, names, and how a choice of fields is checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from sealgate.messages import join_field

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

API_VERSION = "sealgate.dev/v1alpha1"

_Item = TypeVar("_Item")


ObjectName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$", min_length=1, max_length=253)
]


class Model(BaseModel):
    """What all models share: unknown fields refused, nothing coerced, nothing changed after."""

    model_config = ConfigDict(
        # Most models are parts of others, and what validates them alone would take 3 MiB that is never used.
        defer_build=True,
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        strict=True,
        validate_by_name=False,
        validate_by_alias=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, value: Any) -> Any:  # noqa: ANN401 - it has not been validated yet
        """Take lists where tuples are kept: YAML and JSON have nothing else, and strict models would refuse them."""
        if not isinstance(value, dict):
            return value
        return {key: tuple(member) if isinstance(member, list) else member for key, member in value.items()}


def exactly_one(value: BaseModel, what: str, names: tuple[str, ...]) -> None:
    """Check that of some optional fields exactly one is written.

    Args:
        value: the model.
        what: what the fields are, for the message ("key source").
        names: the fields, as the model's attributes.

    Raises:
        ValueError: none is, or several are; the message names them.
    """
    given = [name for name in names if getattr(value, name) is not None]
    if len(given) == 1:
        return
    known = ", ".join(to_camel(name) for name in names)
    if given:
        several = " and ".join(to_camel(name) for name in given)
        raise ValueError(f"has {several}; write exactly one {what} ({known})")
    raise ValueError(f"has no {what}; write exactly one ({known})")


class KeySource(Model, ABC):
    """A part of a spec that says where one key, or one keyring, comes from."""

    @property
    @abstractmethod
    def is_inline(self) -> bool:
        """Whether the spec itself has the key; the key of a Secret or a KMS is resolved into the status."""


class FormatSpec(Model, ABC):
    """The fields of one format in an `Authenticator`."""

    @abstractmethod
    def key_sources(self) -> Iterator[tuple[str, KeySource]]:
        """Yield every key source of the spec with its field below the spec ("keys[0]"), in the order of the fields."""


def numbered(field: str, items: Sequence[_Item]) -> Iterator[tuple[str, _Item]]:
    """Yield every item of a list with its field ("keys[0]")."""
    for index, item in enumerate(items):
        yield join_field(field, index), item


class Metadata(BaseModel):
    """The parts of `metadata` that sealgate reads; Kubernetes owns the rest, so unknown members are fine."""

    model_config = ConfigDict(defer_build=True, alias_generator=to_camel, extra="ignore", frozen=True)

    name: ObjectName


class ConfigMapKeySelector(Model):
    """One key of a ConfigMap in sealgate's own namespace (in standalone mode: of one among the policy files)."""

    name: ObjectName = Field(description="Name of the ConfigMap.")
    key: str = Field(min_length=1, max_length=253, description="Key inside the ConfigMap's data.")


class SecretKeySelector(Model):
    """One key of a Secret in sealgate's own namespace (in standalone mode: of a Secret among the policy files)."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: str = Field(min_length=1, max_length=253, description="Key inside the Secret's data.")
