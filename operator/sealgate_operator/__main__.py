"""`python -m sealgate_operator --config /etc/sealgate/config.yaml`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import uuid
from pathlib import Path

from sealgate.clocks import SystemClock
from sealgate.errors import ConfigError
from sealgate.kubernetes.client import connect
from sealgate.process.config import read_config
from sealgate.process.logs import configure_logs
from sealgate_operator.application import Operator
from sealgate_operator.config import OperatorConfig
from sealgate_operator.controller.kopf_adapter import quieten_kopf


def main(arguments: list[str] | None = None) -> int:
    """Run one replica until SIGTERM or SIGINT; return the exit status, 2 for invalid settings."""
    options = _parser().parse_args(arguments)
    try:
        config = read_config(options.config, OperatorConfig)
        log = configure_logs(level=config.level)
        quieten_kopf(config.level)
        operator = Operator(
            config,
            namespace=_environment("POD_NAMESPACE"),
            # A restarted container is another replica: requests of the previous one may still be in progress.
            identity=f"{_environment('POD_NAME')}_{uuid.uuid4().hex[:8]}",
            api=connect(options.kubeconfig),
            clock=SystemClock(),
            log=log,
        )
    except ConfigError as error:
        sys.stderr.write(f"sealgate_operator: {error.message}\n")
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return operator.run(stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sealgate_operator", description="Run sealgate's operator.")
    parser.add_argument("--config", type=Path, required=True, help="the settings, as the chart writes them")
    parser.add_argument("--kubeconfig", type=Path, help="how to reach the API server from outside of a pod")
    return parser


def _environment(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ConfigError(f"the environment has no {name}; in a pod it comes from the downward API, elsewhere set it")
    return value


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Exit without waiting for threads: a replica that has lost the Lease must not write any more.
    os._exit(status)
