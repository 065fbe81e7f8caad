"""Webhooks in processes of their own share what they verify, and work alone without the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.real_tools.valkey import ValkeyServer
from tests.webhook.objects import pod, review
from tests.webhook.server.test_server import settings_of
from tests.webhook.servers import TLSFiles, eventually, running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.webhook.environment import WebhookEnvironment
    from tests.webhook.servers import Server

pytestmark = pytest.mark.real


def _connected(server: Server) -> bool:
    return "sealgate_shared_cache_connected 1.0" in server.metrics()


def test_second_webhook_uses_what_the_first_has_verified(environment: WebhookEnvironment, tmp_path: Path) -> None:
    tls, keys = TLSFiles(tmp_path / "tls"), tmp_path / "keys"
    keys.mkdir()
    (keys / "current").write_bytes(bytes(range(32)))
    signed, unsigned = environment.sign("team/app", "v1"), environment.push("team/bad", "v1")
    with ValkeyServer() as cache:
        shared = {"port": cache.port, "keys": str(keys)}
        settings: dict[str, Any] = {**settings_of(environment, tls), "shared_cache": shared}
        with running(settings, tls.trust) as one, running(settings, tls.trust) as other:
            for server in (one, other):
                eventually(lambda server=server: _connected(server))  # type: ignore[misc]
            assert one.validate(review(pod(signed))).allowed
            assert not one.validate(review(pod(unsigned))).allowed
            requests = len(environment.registry.requests)
            assert other.validate(review(pod(signed))).allowed
            assert not other.validate(review(pod(unsigned))).allowed
            assert len(environment.registry.requests) == requests
            assert 'sealgate_shared_cache_uses_total{operation="get",result="hit"} 4.0' in other.metrics()
            cache.kill()
            later, worse = environment.sign("team/app", "v2"), environment.push("team/bad", "v2")
            assert other.validate(review(pod(later))).allowed
            assert not other.validate(review(pod(worse))).allowed
            assert not _connected(other)
