"""Settings of the endpoint: what is refused, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sealgate.errors import ConfigError
from sealgate.process.config import read_config
from sealgate_webhook.events.config import EventsConfig

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = {
    "name": "shop",
    "kind": "docker",
    "registry": "registry.example.com",
    "auth": "bearer",
    "secretDirectory": "/etc/sealgate/sources/shop",
}
TOPIC = "ocid1.onstopic.oc1.phx.aaaa"


def read(folder: Path, **fields: Any) -> EventsConfig:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({"sources": [SOURCE], **fields}))
    return read_config(file, EventsConfig)


def test_defaults_are_plain_http_and_ten_thousand_requests(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert (config.listen, config.metrics_listen, config.tls) == ("0.0.0.0:8443", "0.0.0.0:8080", None)
    assert config.max_waiting == 10_000
    assert config.sources[0].secret_directory == "/etc/sealgate/sources/shop"


def test_registry_is_normalised(tmp_path: Path) -> None:
    config = read(tmp_path, sources=[{**SOURCE, "registry": "Registry.Example.com:443"}])
    assert config.sources[0].registry == "registry.example.com"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"sources": []}, "sources"),
        ({"sources": [SOURCE, SOURCE]}, "two sources have the same name"),
        ({"sources": [{**SOURCE, "name": "a/b"}]}, "sources.0.name"),
        ({"sources": [{**SOURCE, "registry": "registry.example.com/team"}]}, "is not a registry"),
        ({"sources": [{**SOURCE, "registry": "registry"}]}, "needs a dot or a port"),
        ({"sources": [{**SOURCE, "topic": TOPIC}]}, "topic belongs to kind oci"),
        ({"sources": [{**SOURCE, "kind": "oci"}]}, "topic belongs to kind oci"),
        ({"sources": [{**SOURCE, "kind": "oci", "topic": "ocid1.onstopic.x"}]}, "sources.0.topic"),
        ({"sources": [{**SOURCE, "auth": "header"}]}, "header belongs to auth header"),
        ({"sources": [{**SOURCE, "header": "X-Token"}]}, "header belongs to auth header"),
        ({"clientCa": "/etc/ca.crt"}, "clientCa needs tls"),
        ({"maxWaiting": 5}, "maxWaiting"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_invalid_settings_are_named(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, **fields)
    assert problem in error.value.message


def test_topic_and_header_belong_to_their_kinds(tmp_path: Path) -> None:
    oracle = {**SOURCE, "kind": "oci", "auth": "header", "topic": TOPIC, "header": "X-Token"}
    assert read(tmp_path, sources=[oracle]).sources[0].topic == TOPIC
