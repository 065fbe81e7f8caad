"""Serves the webhook as `sealgate serve` does: `python -m tests.webhook.serve SETTINGS`, settings as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sealgate.decisions import UnmatchedImages
from sealgate.registry.credentials import NoCredentials
from sealgate.registry.settings import RegistrySettings
from sealgate_webhook.backends import files_backend
from sealgate_webhook.server import Address, ServerSettings, run_server


def settings_of(given: dict[str, Any]) -> ServerSettings:
    """Return the settings that a test gave."""
    return ServerSettings(
        listen=Address.parse(given.get("listen", "127.0.0.1:0")),
        tls_cert=Path(given["tls_cert"]) if "tls_cert" in given else None,
        tls_key=Path(given["tls_key"]) if "tls_key" in given else None,
        tls_self_signed=given.get("tls_self_signed", False),
        metrics=Address.parse("127.0.0.1:0"),
        threads=given.get("threads", 16),
        connections=given.get("connections", 200),
        registry=RegistrySettings(insecure=frozenset(given.get("insecure", ())), ca=given.get("ca", {})),
    )


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    policies = files_backend(tuple(map(Path, given["policies"])), UnmatchedImages.ADMIT, NoCredentials())
    run_server(settings_of(given), policies)
