from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sealgate.errors import ConfigError
from sealgate.process.config import read_config
from sealgate_operator.config import OperatorConfig
from tests.operator.objects import settings

if TYPE_CHECKING:
    from pathlib import Path


def load(folder: Path, document: Any) -> OperatorConfig:
    path = folder / "config.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return read_config(path, OperatorConfig)


def test_configuration_of_the_chart_is_read(tmp_path: Path) -> None:
    config = load(tmp_path, settings(metricsListen="[::1]:8080", logLevel="warning"))
    assert config.metrics_address == ("::1", 8080)
    assert config.certificates.ca_lifetime == timedelta(hours=8760)
    assert config.certificates.leaf_lifetime == timedelta(hours=720)
    assert config.level == logging.WARNING


def test_lifetimes_may_be_fractions_of_an_hour(tmp_path: Path) -> None:
    short = {"managed": True, "caLifetimeHours": 0.1, "leafLifetimeHours": 0.02}
    assert load(tmp_path, settings(certificates=short)).certificates.leaf_lifetime == timedelta(seconds=72)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (settings(lease="NOT A NAME"), "lease: "),
        (settings(colour="red"), "colour: Extra inputs"),
        (settings(certificates={"managed": True, "caLifetimeHours": 1, "leafLifetimeHours": 2}), "must outlive"),
        (settings(certificates={"managed": "yes"}), "certificates.managed: "),
        ({}, "lease: Field required"),
        ("[]", "the whole file: "),
        ("lease: [", "is not YAML: "),
    ],
)
def test_invalid_file_is_refused_with_every_wrong_field(tmp_path: Path, document: Any, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, document)
    assert expected in caught.value.message
    assert "config.yaml" in caught.value.message


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_config(tmp_path / "config.yaml", OperatorConfig)
