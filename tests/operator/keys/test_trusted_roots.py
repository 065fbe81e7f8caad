"""Trusted roots of sigstore in ConfigMaps, in the status of an object."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import generate_latest

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.status import AuthenticatorStatus
from sealgate.formats.build import build_check
from sealgate.keys.status_keys import StatusKeys
from sealgate_operator.keys.config_maps import ConfigMaps
from sealgate_operator.keys.secrets import SecretKeys
from sealgate_operator.keys.trusted_roots import TrustedRoots
from sealgate_operator.metrics import Metrics
from sealgate_operator.status.authenticators import assess
from tests.operator.controller.test_reconciler import put, says
from tests.operator.environment import AUTHENTICATORS, CONFIG_MAPS, api_of, log, running
from tests.operator.objects import authenticator, ready
from tests.support.clocks import NOW
from tests.support.signers.keyless import ROOT, keyless
from tests.support.simulators.kubernetes import Fault

if TYPE_CHECKING:
    from sealgate_operator.status.authenticators import Assessment
    from tests.support.simulators.kubernetes import KubernetesSimulator

PATH = f"{CONFIG_MAPS}/sigstore"
KEY = "trusted_root.json"


def named(name: str = "sigstore", key: str = KEY) -> dict[str, Any]:
    return authenticator("release", keyless(trustedRoot={"configMapRef": {"name": name, "key": key}}))


def config_map(**members: Any) -> dict[str, Any]:
    return {"metadata": {"name": "sigstore"}, **members}


class Reader:
    """The ConfigMaps of a cluster, as the operator reads them."""

    def __init__(self, cluster: KubernetesSimulator, *names: str) -> None:
        self.changes = 0
        self.metrics = Metrics(lambda: True)
        self.maps = ConfigMaps(
            api_of(cluster), "sealgate", names or ("sigstore",), on_change=self._count, metrics=self.metrics, log=log()
        )

    def _count(self) -> None:
        self.changes += 1

    def assess(self, obj: dict[str, Any]) -> Assessment:
        return assess(obj, SecretKeys(lambda _: None), (), NOW, TrustedRoots(self.maps))


def reason(found: Assessment) -> str:
    return str(ready(found.status.model_dump(by_alias=True))["reason"])


@pytest.mark.parametrize("member", ["data", "binaryData"])
def test_trusted_root_in_a_config_map_is_copied_to_the_status(cluster: KubernetesSimulator, member: str) -> None:
    text = ROOT if member == "data" else base64.b64encode(ROOT.encode()).decode()
    cluster.put(CONFIG_MAPS, config_map(**{member: {KEY: text}}))
    found = Reader(cluster).assess(named())
    assert found.ready
    (key,) = found.status.keys
    assert (key.source, key.state) == ("configMapRef sigstore/trusted_root.json", "Accepted")
    check = build_check(Authenticator.model_validate(named()), StatusKeys(found.status, NOW))
    inline = Authenticator.model_validate(authenticator("release", keyless()))
    assert check.content == build_check(inline, StatusKeys(AuthenticatorStatus(), NOW)).content


@pytest.mark.parametrize(
    ("obj", "data", "expected", "stalled"),
    [
        (named("other"), {KEY: ROOT}, "ConfigMapNotListed", True),
        (named(), None, "ConfigMapNotFound", False),
        (named(key="root"), {KEY: ROOT}, "ConfigMapKeyNotFound", False),
        (named(), {KEY: "{}"}, "KeyRefused", True),
        (named(), {KEY: "not JSON"}, "KeyRefused", True),
        (named(), {KEY: json.dumps({**json.loads(ROOT), "more": 1})}, "KeyRefused", True),
    ],
)
def test_what_is_wrong_with_a_config_map_is_said(
    cluster: KubernetesSimulator, obj: dict[str, Any], data: dict[str, str] | None, expected: str, *, stalled: bool
) -> None:
    if data is not None:
        cluster.put(CONFIG_MAPS, config_map(data=data))
    found = Reader(cluster).assess(obj)
    assert (reason(found), found.stalled) == (expected, stalled)
    assert found.status.keys[0].pem is None


def test_config_map_that_is_not_listed_is_not_asked_for(cluster: KubernetesSimulator) -> None:
    before = len(cluster.requests)
    assert reason(Reader(cluster).assess(named("sealgate-operator"))) == "ConfigMapNotListed"
    assert len(cluster.requests) == before


def test_changes_are_noticed_and_an_api_server_that_is_away_is_none(cluster: KubernetesSimulator) -> None:
    cluster.put(CONFIG_MAPS, config_map(data={KEY: ROOT}))
    reader = Reader(cluster)
    first = reader.assess(named())
    reader.maps.refresh()
    assert reader.changes == 0
    cluster.faults.append(Fault("GET", "configmaps", 500, times=1))
    reader.maps.refresh()
    assert (reader.changes, reader.assess(named()).status) == (0, first.status)
    assert b'reconcile_errors_total{kind="config-maps"} 1.0' in generate_latest(reader.metrics.registry)
    cluster.put(CONFIG_MAPS, config_map(data={KEY: "{}"}))
    reader.maps.refresh()
    assert reader.changes == 1
    assert not reader.assess(named()).ready
    cluster.delete(PATH)
    reader.maps.refresh()
    assert (reader.changes, reason(reader.assess(named()))) == (2, "ConfigMapNotFound")


def test_root_goes_on_while_the_api_server_does_not_answer_after_a_start(cluster: KubernetesSimulator) -> None:
    cluster.put(CONFIG_MAPS, config_map(data={KEY: ROOT}))
    first = Reader(cluster).assess(named())
    cluster.faults.append(Fault("GET", "configmaps", 500))
    known = {**named(), "status": first.status.model_dump(mode="json", by_alias=True)}
    assert Reader(cluster).assess(known).status == first.status
    new = Reader(cluster).assess(named())
    assert (new.ready, new.stalled, reason(new)) == (False, False, "AuthenticatorNotReady")


def test_operator_reads_the_config_maps_that_are_listed(cluster: KubernetesSimulator) -> None:
    put(cluster, named())
    with running(cluster, trustedRoots={"configMaps": []}):
        cluster.wait_for(says(f"{AUTHENTICATORS}/release", "False", "ConfigMapNotListed"))
    cluster.put(CONFIG_MAPS, config_map(data={KEY: ROOT}))
    with running(cluster, identity="two", trustedRoots={"configMaps": ["sigstore"]}):
        cluster.wait_for(says(f"{AUTHENTICATORS}/release", "True", "KeysResolved"))
