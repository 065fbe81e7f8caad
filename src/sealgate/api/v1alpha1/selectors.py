"""Kubernetes' label selectors, and the syntax of labels."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from sealgate.api.v1alpha1.model import Model
from sealgate.messages import quote

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_PREFIX = 253
_RULE = "write at most 63 letters, digits, '-', '_' and '.', with a letter or digit first and last"


#: The label that Kubernetes itself puts on every namespace, with its name.
NAME_LABEL = "kubernetes.io/metadata.name"


class LabelSelectorRequirement(Model):
    """One expression of a label selector."""

    key: str = Field(min_length=1, max_length=317, description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How values are compared.")
    values: tuple[str, ...] = Field(default=(), description="Values for In and NotIn.")

    @model_validator(mode="after")
    def _has_values_where_they_mean_something(self) -> Self:
        check_label_key(self.key)
        for value in self.values:
            check_label_value(value)
        if self.operator in ("In", "NotIn") and not self.values:
            raise ValueError(f"{self.operator} needs values; list at least one, or write Exists or DoesNotExist")
        if self.operator in ("Exists", "DoesNotExist") and self.values:
            raise ValueError(f"{self.operator} takes no values; leave them out, or write In or NotIn")
        return self


class LabelSelector(Model):
    """A Kubernetes label selector: all of its parts must hold; an empty one selects everything."""

    match_labels: dict[str, str] = Field(default_factory=dict, description="Labels and their exact values.")
    match_expressions: tuple[LabelSelectorRequirement, ...] = Field(default=(), description="Expressions.")

    @model_validator(mode="after")
    def _has_labels_that_can_be(self) -> Self:
        for key, value in self.match_labels.items():
            check_label_key(key)
            check_label_value(value)
        return self


def check_label_key(key: str) -> None:
    """Check a label's key: `name`, or `prefix/name` with a DNS name as prefix.

    Raises:
        ValueError: no label can have it.
    """
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > _MAX_PREFIX or not _PREFIX.fullmatch(prefix)):
        raise ValueError(f"{quote(key, 64)} is not a label key: the part before '/' must be a DNS name")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{quote(key, 64)} is not a label key: {_RULE}")


def check_label_value(value: str) -> None:
    """Check a label's value; the empty one is fine.

    Raises:
        ValueError: no label can have it.
    """
    if value and not _NAME.fullmatch(value):
        raise ValueError(f"{quote(value, 64)} is not a label value: {_RULE}")
