"""The operator as the chart starts it: a process that may be killed at any time."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import yaml

from sealgate_operator.certificates.rotation import LEAF
from tests.operator.controller.test_reconciler import put, says
from tests.operator.environment import AUTHENTICATORS, TLS_SECRET, data, holder
from tests.operator.objects import authenticator, cosign, inline, settings
from tests.support.forked_processes import ForkedProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.simulators.kubernetes import KubernetesSimulator


@pytest.fixture
def folder(tmp_path: Path, cluster: KubernetesSimulator) -> Path:
    """Return a folder with settings and a kubeconfig."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings()))
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": cluster.url}}],
        "users": [{"name": "test", "user": {"token": "a-token"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    return tmp_path


@contextmanager
def process(folder: Path, name: str, **environment: str) -> Iterator[ForkedProcess]:
    files = ("--config", str(folder / "config.yaml"), "--kubeconfig", str(folder / "kubeconfig"))
    known = {**os.environ, "POD_NAME": name, "POD_NAMESPACE": "sealgate", **environment}
    started = ForkedProcess("sealgate_operator", *files, environment=known)
    try:
        yield started
    finally:
        started.kill()
        started.wait(150)
        started.stderr.close()


def test_operator_releases_the_lease_on_sigterm(folder: Path, cluster: KubernetesSimulator) -> None:
    put(cluster, authenticator("a", cosign(inline("one"))))
    with process(folder, "one") as one:
        cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))
        cluster.wait_for(lambda c: LEAF in data(c, TLS_SECRET))
        assert holder(cluster).startswith("one_")
        one.send_signal(signal.SIGTERM)
        assert one.wait(150) == 0
    assert holder(cluster) == ""
    assert {request.authorization for request in cluster.requests} == {"Bearer a-token"}


@pytest.mark.long
def test_killed_leader_is_replaced(folder: Path, cluster: KubernetesSimulator) -> None:
    with process(folder, "one") as one:
        cluster.wait_for(lambda c: holder(c).startswith("one_"))
        with process(folder, "two"):
            # The second one has seen the Lease.
            before = len([request for request in cluster.requests if "/leases/" in request.path])
            cluster.wait_for(lambda c: sum("/leases/" in r.path for r in c.requests) > before + 6)
            one.kill()
            put(cluster, authenticator("a", cosign(inline("one"))))
            cluster.wait_for(lambda c: holder(c).startswith("two_"))
            cluster.wait_for(says(f"{AUTHENTICATORS}/a", "True"))


@pytest.mark.parametrize("missing", ["POD_NAME", "POD_NAMESPACE"])
def test_missing_environment_variable_is_named(folder: Path, missing: str) -> None:
    with process(folder, "one", **{missing: ""}) as one:
        assert one.wait(150) == 2
        stderr = one.stderr.read()
    assert f"the environment has no {missing}" in stderr


def test_wrong_settings_are_named(folder: Path) -> None:
    (folder / "config.yaml").write_text("lease: 7\n")
    with process(folder, "one") as one:
        assert one.wait(150) == 2
        stderr = one.stderr.read()
    assert stderr.startswith("sealgate_operator: ")
    assert "Traceback" not in stderr
