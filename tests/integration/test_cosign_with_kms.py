"""The real cosign verifies what `sealgate sign` signs with keys that stay in a KMS, in the real docker-registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.running import sealgate
from tests.data.cosign import generate
from tests.support.real_tools.cosign import Cosign
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.simulators.huawei_dew import PROJECT, DEWSimulator
from tests.support.simulators.kms_keys import pem_of_key

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real


@pytest.mark.parametrize("spec", ["EC_P256", "RSA_2048"])
def test_cosign_accepts_a_signature_by_a_key_in_a_kms(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "cosign"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with DockerRegistry(tmp_path) as registry, DEWSimulator() as dew:
        monkeypatch.setenv("HUAWEICLOUD_SDK_AK", dew.access_key)
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", dew.secret_key)
        (home / "kms.pub").write_text(pem_of_key(dew.add("b1c2", spec).private))
        image = f"{registry.host}/shop/web@{generate.push_image(registry, 'shop/web', '1')}"
        insecure = [part for host in (registry.host, dew.host) for part in ("--insecure-registry", host)]
        key = f"huawei:cn-north-4/{PROJECT}/b1c2"
        for storage in ("tag", "bundle"):
            options = ("--key", key, "--kms-endpoint", dew.url, "--storage", storage)
            done = sealgate("sign", image, *options, *insecure)
            assert done.exit_code == 0, done.output
            Cosign(home).verify(image, "kms", bundle=storage == "bundle")
