"""The trusted root that the operator fetches: its settings, its volume, and the way to the mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sealgate_operator.config import OperatorConfig
from tests.chart.rendering import CHART, find, helm, render

if TYPE_CHECKING:
    from tests.chart.rendering import Manifest


def config(manifests: tuple[Manifest, ...]) -> OperatorConfig:
    text = find(manifests, "ConfigMap", "sealgate-operator")["data"]["config.yaml"]
    return OperatorConfig.model_validate(yaml.safe_load(text))


def fetching(**values: Any) -> Manifest:
    return {"trustedRoots": {"tuf": {"enabled": True, **values}}}


def test_nothing_is_fetched_by_default() -> None:
    manifests = render()
    assert config(manifests).trusted_roots.tuf is None
    assert not [one for one in manifests if one["metadata"]["name"] == "sealgate-trusted-root"]


def test_root_metadata_of_another_repository_is_mounted() -> None:
    shipped, other = render(fetching()), render(fetching(rootConfigMap="tuf", rootKey="1.root.json"))
    for manifests, file in ((shipped, ""), (other, "/etc/sealgate-tuf/root.json")):
        tuf = config(manifests).trusted_roots.tuf
        assert tuf is not None
        assert (tuf.config_map, tuf.root_file, tuf.refresh_seconds) == ("sealgate-trusted-root", file, 21600)
    spec = find(other, "Deployment", "sealgate-operator")["spec"]["template"]["spec"]
    (volume,) = (one for one in spec["volumes"] if one["name"] == "tuf")
    assert volume["configMap"] == {"name": "tuf", "items": [{"key": "1.root.json", "path": "root.json"}]}
    mounts = spec["containers"][0]["volumeMounts"]
    assert {"name": "tuf", "mountPath": "/etc/sealgate-tuf", "readOnly": True} in mounts


@pytest.mark.parametrize(
    ("mirror", "port"),
    [("https://tuf.test", 443), ("http://tuf.test/a", 80), ("https://tuf.test:8443/a", 8443), ("https://[::1]:1/a", 1)],
)
def test_network_policy_lets_the_operator_reach_the_mirror(mirror: str, port: int) -> None:
    dns = {"ports": [{"port": 53, "protocol": "UDP"}]}
    values = {**fetching(mirror=mirror), "networkPolicy": {"egress": [dns]}}
    manifests = render(values)
    assert {"ports": [{"port": port, "protocol": "TCP"}]} in egress(manifests, "operator")
    assert egress(manifests, "webhook") == [dns]


def egress(manifests: tuple[Manifest, ...], component: str) -> list[Manifest]:
    found: list[Manifest] = find(manifests, "NetworkPolicy", f"sealgate-{component}")["spec"]["egress"]
    return found


@pytest.mark.parametrize("mirror", ["", "tuf.test", "ftp://tuf.test", "https://user@tuf.test", "https://tuf.test?a"])
def test_mirror_that_is_not_a_url_is_refused(mirror: str) -> None:
    done = helm("template", "sealgate", str(CHART), values=fetching(mirror=mirror))
    assert done.returncode != 0
    assert "mirror" in done.stderr
