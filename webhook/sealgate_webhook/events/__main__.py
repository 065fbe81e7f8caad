"""The endpoint for push events: `python -m sealgate_webhook.events --config /etc/sealgate/config.yaml`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sealgate.errors import SealgateError
from sealgate.kubernetes.client import connect
from sealgate.process.config import read_config
from sealgate_webhook.events.config import EventsConfig
from sealgate_webhook.events.server import run_endpoint


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return an exit code if the endpoint cannot start.

    Args:
        arguments: command line arguments; those of the process by default.
    """
    parser = argparse.ArgumentParser(prog="python -m sealgate_webhook.events", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="settings file, as the chart writes it")
    parser.add_argument("--kubeconfig", type=Path, help="how to reach the cluster; default: as a pod of it")
    chosen = parser.parse_args(arguments)
    try:
        config = read_config(chosen.config, EventsConfig)
        run_endpoint(config, connect(chosen.kubeconfig), os.environ.get("POD_NAMESPACE", "sealgate"))
    except SealgateError as error:
        print(f"Error: {error.message}", file=sys.stderr)  # noqa: T201 - the log is not set up yet
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
