"""The reports: `python -m sealgate_webhook.reports --config /etc/sealgate/config.yaml`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from sealgate.errors import SealgateError
from sealgate.kubernetes.client import connect
from sealgate.process.config import read_config
from sealgate.process.logs import configure_logs
from sealgate_webhook.reports.application import Reports
from sealgate_webhook.reports.config import ReportsConfig


def main(arguments: list[str] | None = None) -> int:
    """Write reports until SIGTERM or SIGINT; return the exit status, 2 if the process cannot start.

    Args:
        arguments: command line arguments; those of the process by default.
    """
    parser = argparse.ArgumentParser(prog="python -m sealgate_webhook.reports", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="settings file, as the chart writes it")
    parser.add_argument("--kubeconfig", type=Path, help="how to reach the cluster; default: as a pod of it")
    chosen = parser.parse_args(arguments)
    try:
        config = read_config(chosen.config, ReportsConfig)
        log = configure_logs("json", level=logging.getLevelNamesMapping()[config.log_level.upper()])
        reports = Reports(config, connect(chosen.kubeconfig), os.environ.get("POD_NAMESPACE", "sealgate"), log)
    except SealgateError as error:
        sys.stderr.write(f"Error: {error.message}\n")
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    reports.run(stop)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Requests to a registry that hangs must not keep the process.
    os._exit(status)
