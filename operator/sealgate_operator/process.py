"""What the processes of this package have in common: arguments, environment, signals and exit status."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

from sealgate.clocks import SystemClock
from sealgate.errors import ConfigError
from sealgate.kubernetes.client import connect
from sealgate.process.config import read_config
from sealgate.process.logs import configure_logs
from sealgate_operator.controller.kopf_adapter import quieten_kopf

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate_operator.config import ProcessConfig


class RunnableReplica(Protocol):
    """One replica of a process."""

    def run(self, stop: threading.Event) -> int:
        """Run until `stop` is set; return the exit status."""


def run_replica(
    arguments: list[str] | None,
    module: str,
    description: str,
    model: type[ProcessConfig],
    build: Callable[..., RunnableReplica],
) -> int:
    """Run one replica until SIGTERM or SIGINT; return the exit status, 2 for invalid settings.

    Args:
        arguments: of the command line; None for the process's own.
        module: what is started with `python -m`.
        description: one sentence for `--help`.
        model: of the settings file.
        build: makes the replica, from the settings and `namespace`, `identity`, `api`, `clock` and `log`.
    """
    options = _parser(module, description).parse_args(arguments)
    try:
        config = read_config(options.config, model)
        log = configure_logs(level=config.level)
        quieten_kopf(config.level)
        replica = build(
            config,
            namespace=_environment("POD_NAMESPACE"),
            # A restarted container is another replica: requests of the previous one may still be in progress.
            identity=f"{_environment('POD_NAME')}_{uuid.uuid4().hex[:8]}",
            api=connect(options.kubeconfig),
            clock=SystemClock(),
            log=log,
        )
    except ConfigError as error:
        sys.stderr.write(f"{module}: {error.message}\n")
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return replica.run(stop)


def exit_at_once(status: int) -> NoReturn:
    """Exit without waiting for threads: a replica that has lost the Lease must not write any more."""
    sys.stderr.flush()
    os._exit(status)


def _parser(module: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--config", type=Path, required=True, help="the settings, as the chart writes them")
    parser.add_argument("--kubeconfig", type=Path, help="how to reach the API server from outside of a pod")
    return parser


def _environment(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ConfigError(f"the environment has no {name}; in a pod it comes from the downward API, elsewhere set it")
    return value
