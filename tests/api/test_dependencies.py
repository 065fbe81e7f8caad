"""Dependencies of an object: listed by valid specs, found by field names in raw objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.dependencies import (
    authenticators_named_in,
    key_entries,
    key_sources,
    kms_entries,
    secret_references,
    secrets_named_in,
)
from sealgate.api.v1alpha1.model import KeySource
from sealgate.messages import join_field
from tests.api.crd_examples import AUTHENTICATOR, FORMATS, of_format

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = [AUTHENTICATOR, *map(of_format, FORMATS)]


def every_key_source(value: object, field: str) -> Iterator[tuple[str, KeySource]]:
    """Yield every key source below a value, found without the specs' own lists."""
    if isinstance(value, KeySource):
        yield field, value
    elif isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from every_key_source(getattr(value, name), join_field(field, info.alias or name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from every_key_source(item, join_field(field, index))


@pytest.mark.parametrize("obj", EXAMPLES, ids=lambda obj: obj["metadata"]["name"])
def test_every_format_lists_all_of_its_key_sources(obj: dict[str, Any]) -> None:
    spec = Authenticator.model_validate(obj).spec
    found = list(key_sources(spec, "spec"))
    assert found == list(every_key_source(spec, "spec"))
    assert found


def test_key_entries_omit_keys_that_no_resolver_reads() -> None:
    fields = {
        name: [field for field, _ in key_entries(Authenticator.model_validate(of_format(name)).spec, "")]
        for name in FORMATS
    }
    assert fields == {
        "simpleSigning": [],
        "notary": [],
        "notation": [],
        "grafeas": ["grafeas.keys[0]"],
        "oracle": ["oracle.trustedKeys[0]", "oracle.trustedKeys[1]"],
    }


def test_kms_entries_are_listed_once() -> None:
    oracle = Authenticator.model_validate(of_format("oracle"))
    (entry,) = kms_entries([oracle, Authenticator.model_validate(of_format("grafeas")), oracle])
    assert entry.kms is not None
    assert entry.kms.provider == "oracle"


def test_secret_references_are_found_in_invalid_objects() -> None:
    spec = {
        "cosign": {"keys": [{"secretRef": {"name": "keys", "key": "cosign.pub"}, "unknown": 1}]},
        "grafeas": {"credentialsSecret": {"name": "token"}, "keys": [{"secretRef": {"name": 7}}, {"secretRef": "x"}]},
    }
    found = [(one.field, one.name, one.key) for one in secret_references(spec, "spec")]
    assert found == [
        ("spec.cosign.keys[0].secretRef", "keys", "cosign.pub"),
        ("spec.grafeas.credentialsSecret", "token", None),
        ("spec.grafeas.keys[0].secretRef", 7, None),
    ]
    assert secrets_named_in(spec) == {"keys", "token"}


@pytest.mark.parametrize("spec", [None, [], {"require": 1}, {"require": {"authenticators": "a"}}])
def test_policies_without_readable_names_require_no_authenticator(spec: object) -> None:
    assert authenticators_named_in({"spec": spec}) == frozenset()
