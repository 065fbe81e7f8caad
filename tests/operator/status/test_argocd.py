"""The health checks of docs/argocd.md, run as Argo CD runs them: in Lua 5.1, with the object as `obj`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime  # type: ignore[import-untyped]  # it has no types

from sealgate.api.crds import GROUP
from sealgate.clocks import timestamp
from sealgate_operator.keys.secrets import SecretKeys
from sealgate_operator.status.authenticators import assess
from sealgate_operator.status.exceptions import exception_status
from sealgate_operator.status.verification_policies import policy_status
from tests.chart.rendering import ROOT
from tests.operator.objects import authenticator, cosign, inline, policy, secret_ref
from tests.support.builders.objects import exception
from tests.support.clocks import NOW
from tests.support.kstatus import kstatus

PREFIX = f"resource.customizations.health.{GROUP}_"
HEALTH = {"Current": "Healthy", "Failed": "Degraded", "InProgress": "Progressing"}


def scripts() -> dict[str, str]:
    """Return the script of each kind in the page."""
    page = (ROOT / "docs" / "argocd.md").read_text(encoding="utf-8")
    block = page.partition("```yaml\n")[2].partition("```")[0]
    return {name.removeprefix(PREFIX): text for name, text in yaml.safe_load(block)["data"].items()}


def health(obj: dict[str, Any]) -> tuple[str, str]:
    """Return what the script of an object's kind says: health and message."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals()["obj"] = lua.table_from(obj, recursive=True)
    result = lua.execute(scripts()[obj["kind"]])
    return result["status"], result["message"]


def assessed(obj: dict[str, Any]) -> dict[str, Any]:
    status = assess(obj, SecretKeys(lambda _: None, set()), (), NOW).status
    return obj | {"status": status.model_dump(mode="json", by_alias=True)}


GOOD = assessed(authenticator("good", cosign(inline("one"))))
WAITING = assessed(authenticator("waiting", cosign(secret_ref("later"))))
INVALID = assessed(authenticator("invalid", {"unknown": {}}))
EMPTY = policy("empty", "good", excludeImages=[{"repository": "**"}])
DAYS = timedelta(days=2)
IN_FORCE = exception("in-force") | {
    "metadata": {"name": "in-force", "generation": 1, "creationTimestamp": timestamp(NOW)}
}
IN_FORCE |= {"status": exception_status(IN_FORCE, NOW, DAYS).model_dump(mode="json", by_alias=True)}
ENDED = IN_FORCE | {"status": exception_status(IN_FORCE, NOW + DAYS, DAYS).model_dump(mode="json", by_alias=True)}
MATCHES_NOTHING = EMPTY | {"status": policy_status(EMPTY, {}, NOW).model_dump(mode="json", by_alias=True)}


@pytest.mark.parametrize(
    "obj", [GOOD, WAITING, INVALID, MATCHES_NOTHING, IN_FORCE, ENDED], ids=lambda o: o["metadata"]["name"]
)
def test_health_agrees_with_kstatus(obj: dict[str, Any]) -> None:
    assert health(obj)[0] == HEALTH[kstatus(obj)]


def test_message_says_why() -> None:
    assert "there is no Secret later" in health(WAITING)[1]
    assert "correct it and apply the object again" in health(INVALID)[1]


@pytest.mark.parametrize("status", [None, {}, {"observedGeneration": -1}, {**GOOD["status"], "observedGeneration": 7}])
def test_unseen_generation_is_progressing(status: dict[str, Any] | None) -> None:
    obj = {key: value for key, value in GOOD.items() if key != "status"}
    assert health(obj | ({"status": status} if status is not None else {}))[0] == "Progressing"


def test_every_kind_with_conditions_has_a_script() -> None:
    assert set(scripts()) == {"Authenticator", "VerificationPolicy", "VerificationException", "SigningPolicy"}
