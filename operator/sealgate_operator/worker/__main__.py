"""`python -m sealgate_operator.worker --config /etc/sealgate/config.yaml`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sealgate_operator.process import exit_at_once, run_replica
from sealgate_operator.worker.application import Worker
from sealgate_operator.worker.config import WorkerConfig

if TYPE_CHECKING:
    from sealgate.clocks import Clock


def main(arguments: list[str] | None = None) -> int:
    """Run one replica until SIGTERM or SIGINT; return the exit status, 2 for invalid settings."""
    return run_replica(arguments, "sealgate_operator.worker", "Run sealgate's signing worker.", WorkerConfig, _build)


def _build(config: WorkerConfig, clock: Clock, **given: Any) -> Worker:  # noqa: ANN401 - as `run_replica` gives it
    return Worker(config, clock=clock, identities=config.kms.identities(os.environ, clock), **given)


if __name__ == "__main__":
    exit_at_once(main())
