"""Converting kritis's objects, and asking what came out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.convert.files import convert_texts, to_yaml
from sealgate.errors import PolicyError
from sealgate.manifests.policies import authenticator_problems
from sealgate.policies.matching import Namespace, PolicyIndex
from sealgate.references import parse_reference
from tests.support.builders.policy_files import load_policy_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealgate.convert.results import Conversion

SERVER = "https://grafeas.example.org"
DIGEST = "@sha256:" + "4a" * 32


def convert(*objects: Mapping[str, Any], **options: Any) -> Conversion:
    """Convert objects, and see that the result is what `sealgate policy check` calls right."""
    return convert_and_load(*objects, **options)[0]


def convert_and_load(*objects: Mapping[str, Any], **options: Any) -> tuple[Conversion, PolicyIndex]:
    """Convert objects, and read the result as `sealgate policy check` does."""
    conversion = convert_texts([("kritis.yaml", _as_yaml(objects))], **{"server": SERVER, **options})
    files = load_policy_texts({"converted.yaml": to_yaml(conversion)}, checks=[authenticator_problems])
    return conversion, PolicyIndex(files.policies)


def _as_yaml(objects: Iterable[Mapping[str, Any]]) -> str:
    # JSON is YAML too, and written many times faster.
    return "".join(f"---\n{json.dumps(obj)}\n" for obj in objects)


def problems(*objects: Mapping[str, Any], **options: Any) -> str:
    with pytest.raises(PolicyError) as caught:
        convert(*objects, **options)
    return "\n".join(map(str, caught.value.problems)) or caught.value.message


def specs(conversion: Conversion, kind: str = "VerificationPolicy") -> dict[str, Any]:
    return {obj["metadata"]["name"]: obj["spec"] for obj in conversion.objects if obj["kind"] == kind}


def notes(conversion: Conversion) -> str:
    return "\n".join(map(str, conversion.notes))


def excluded(conversion: Conversion, image: str, namespace: str = "default") -> bool:
    """Return whether every policy leaves an image of a namespace alone."""
    index = PolicyIndex(load_policy_texts({"converted.yaml": to_yaml(conversion)}).policies)
    return not index.match(parse_reference(image), Namespace(namespace))
