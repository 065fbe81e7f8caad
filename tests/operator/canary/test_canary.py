"""The canary's process: what it asks for, what it reports, and that it goes on after every answer."""

from __future__ import annotations

import math
import socket
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
import yaml

from sealgate import canary
from sealgate.errors import ConfigError
from sealgate_operator.canary.__main__ import main
from sealgate_operator.canary.application import POD, Canary, DryRuns
from sealgate_operator.canary.config import CanaryConfig
from tests.operator.environment import api_of, eventually, log
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import Fault, KubernetesSimulator
from tests.support.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEBHOOK = "workloads.sealgate.dev"
PODS = "/api/v1/namespaces/sealgate-canary/pods"
SETTINGS = {"metricsListen": "127.0.0.1:0", "namespace": "sealgate-canary", "webhook": WEBHOOK}


def denies(obj: dict[str, Any]) -> str:
    """Answer as the webhook does."""
    denied = [one for one in obj["spec"]["containers"] if canary.is_reserved(one["image"])]
    return f'admission webhook "{WEBHOOK}" denied the request: {canary.TEXT}' if denied else ""


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as cluster:
        cluster.admission = denies
        yield cluster


def make(cluster: KubernetesSimulator) -> DryRuns:
    return DryRuns(CanaryConfig.model_validate(SETTINGS), api_of(cluster), FakeClock(), log())


def sample(process: DryRuns, name: str, **labels: str) -> float | None:
    return process.metrics.registry.get_sample_value(f"sealgate_canary_{name}", labels)


def test_it_reports_the_denial_of_a_dry_run(cluster: KubernetesSimulator) -> None:
    process = make(cluster)
    assert math.isnan(sample(process, "denied") or 0.0)
    assert sample(process, "last_denied_timestamp_seconds") == 0.0
    process.attempt()
    assert sample(process, "denied") == 1.0
    assert sample(process, "last_denied_timestamp_seconds") == FakeClock().now().timestamp()
    (request,) = cluster.requests
    assert (request.method, request.path) == ("POST", f"{PODS}?dryRun=All")
    assert cluster.find("pods") == []


def test_it_reports_an_image_that_would_be_admitted(
    cluster: KubernetesSimulator, capsys: pytest.CaptureFixture[str]
) -> None:
    process = make(cluster)
    process.attempt()
    last = sample(process, "last_denied_timestamp_seconds")
    cluster.admission = lambda _: ""
    process.attempt()
    process.attempt()
    assert sample(process, "denied") == 0.0
    assert sample(process, "last_denied_timestamp_seconds") == last
    assert sample(process, "dry_runs_total", proof="admitted") == 2.0
    assert capsys.readouterr().err.count("canary admitted; images are not verified") == 1


@pytest.mark.parametrize("status", [401, 403, 500, 0])
def test_an_api_server_that_does_not_answer_proves_nothing(cluster: KubernetesSimulator, status: int) -> None:
    process = make(cluster)
    process.attempt()
    if status:
        cluster.faults.append(
            Fault("POST", PODS, status, document={"kind": "Status", "message": "forbidden: no right"})
        )
    else:
        cluster.close()
    process.attempt()
    assert math.isnan(sample(process, "denied") or 0.0)
    assert sample(process, "dry_runs_total", proof="unknown") == 1.0


def test_its_pod_is_of_pod_security_level_restricted() -> None:
    (container,) = POD["spec"]["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert POD["spec"]["securityContext"]["runAsNonRoot"] is True
    assert POD["spec"]["automountServiceAccountToken"] is False


def test_it_serves_metrics_and_probes_until_it_is_stopped(cluster: KubernetesSimulator) -> None:
    config = CanaryConfig.model_validate(SETTINGS)
    process = Canary(config, namespace="sealgate", identity="one", api=api_of(cluster), clock=FakeClock(), log=log())
    host, port = process.address

    def get(path: str) -> tuple[int, str]:
        answer = urllib3.request("GET", f"http://{host}:{port}{path}")
        return answer.status, answer.data.decode()

    with in_thread(process.run):
        eventually(lambda: "sealgate_canary_denied 1.0" in get("/metrics")[1])
        assert get("/readyz") == get("/healthz") == (200, "ok\n")


def test_invalid_settings_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**SETTINGS, "lease": "x"}))
    assert main(["--config", str(tmp_path / "config.yaml")]) == 2
    assert "lease" in capsys.readouterr().err


def test_an_address_that_is_taken_is_reported(cluster: KubernetesSimulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = CanaryConfig.model_validate({**SETTINGS, "metricsListen": address})
        with pytest.raises(ConfigError, match="cannot listen"):
            Canary(config, namespace="sealgate", identity="two", api=api_of(cluster), clock=FakeClock(), log=log())
