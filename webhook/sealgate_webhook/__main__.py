"""The webhook in a cluster: `python -m sealgate_webhook --config /etc/sealgate/config.yaml`.

Standalone, with policies from files, it is `sealgate serve`.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from sealgate.errors import SealgateError
from sealgate.kubernetes.client import connect
from sealgate.process.config import read_config
from sealgate_webhook.admission.workloads import AdmissionRules
from sealgate_webhook.backends.cluster.backend import cluster_backend
from sealgate_webhook.backends.cluster.config import WebhookConfig
from sealgate_webhook.server.server import ServerSettings, run_server
from sealgate_webhook.transport.addresses import Address


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return an exit code if the server cannot start.

    Args:
        arguments: command line arguments; those of the process by default.
    """
    parser = argparse.ArgumentParser(prog="python -m sealgate_webhook", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="configuration file, as the chart writes it")
    parser.add_argument("--kubeconfig", type=Path, help="how to reach the cluster; default: as a pod of it")
    chosen = parser.parse_args(arguments)
    try:
        config = read_config(chosen.config, WebhookConfig)
        tls = Path(config.tls_directory)
        settings = ServerSettings(
            listen=Address.parse(config.listen),
            tls_cert=tls / "tls.crt",
            tls_key=tls / "tls.key",
            client_ca=Path(config.client_ca) if config.client_ca else None,
            client_names=frozenset(config.client_names),
            self_test_certificate=Path(config.self_test_certificate) if config.self_test_certificate else None,
            metrics=Address.parse(config.metrics_listen),
            registry=config.registries.settings(),
            verifier=config.verifier_settings(),
            shared_cache=config.shared_cache_settings(),
            kinds=config.workload_kinds(),
            rules=AdmissionRules(config.require_digests, config.workloads),
            timeout=config.timeout_seconds,
            log_style="json",
            log_level=logging.getLevelNamesMapping()[config.log_level.upper()],
        )
        namespace = os.environ.get("POD_NAMESPACE", "sealgate")
        instance = os.environ.get("POD_NAME", "sealgate-webhook")
        run_server(settings, cluster_backend(connect(chosen.kubeconfig), config, namespace, instance))
    except SealgateError as error:
        print(f"Error: {error.message}", file=sys.stderr)  # noqa: T201 - the log is not set up yet
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
