"""SLSA's rules in words, as conditions on the predicate.

Sources: SLSA provenance v0.2 and v1, the build types of GitHub Actions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.attestations import SLSA_0_2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.attestations import SLSARules

#: Build types of provenance v1 whose `externalParameters.workflow` the builder itself fills in from the repository.
_WORKFLOW_TYPES = (
    "https://actions.github.io/buildtypes/workflow/v1",
    "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1",
)


def slsa_conditions(rules: SLSARules, predicate_type: str) -> Mapping[str, str]:
    """Return SLSA's rules in words as conditions on the predicate, by name ("slsa.builder").

    The source and the tag are those that the builder states of the build itself. Dependencies that the provenance
    lists are another's to choose and count for nothing.

    Args:
        rules: the rules.
        predicate_type: `SLSA_0_2` or `SLSA_1`.
    """
    found = _v02(rules) if predicate_type == SLSA_0_2 else _v1(rules)
    return {f"slsa.{name}": text for name, text in found.items()}


def _v02(rules: SLSARules) -> dict[str, str]:
    conditions = {"builder": f"predicate.builder.id == {_literal(rules.builder)}"}
    uri = "predicate.invocation.configSource.uri"
    if rules.source is not None:
        conditions["source"] = f"{uri}.startsWith({_literal(f'git+{rules.source}@')})"
    if rules.tag is not None:
        conditions["tag"] = f"{uri} == {_literal(f'git+{rules.source}@refs/tags/{rules.tag}')}"
    return conditions


def _v1(rules: SLSARules) -> dict[str, str]:
    conditions = {"builder": f"predicate.runDetails.builder.id == {_literal(rules.builder)}"}
    build = "predicate.buildDefinition"
    if rules.source is not None:
        types = ", ".join(map(_literal, _WORKFLOW_TYPES))
        conditions["buildType"] = f"{build}.buildType in [{types}]"
        conditions["source"] = f"{build}.externalParameters.workflow.repository == {_literal(rules.source)}"
    if rules.tag is not None:
        conditions["tag"] = f"{build}.externalParameters.workflow.ref == {_literal(f'refs/tags/{rules.tag}')}"
    return conditions


def _literal(text: str) -> str:
    # The fields have no quotes, backslashes and control characters, so that JSON and CEL write them alike.
    return json.dumps(text)
