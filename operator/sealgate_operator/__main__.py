"""`python -m sealgate_operator --config /etc/sealgate/config.yaml`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sealgate_operator.application import Operator
from sealgate_operator.config import OperatorConfig
from sealgate_operator.process import exit_at_once, run_replica

if TYPE_CHECKING:
    from sealgate.clocks import Clock


def main(arguments: list[str] | None = None) -> int:
    """Run one replica until SIGTERM or SIGINT; return the exit status, 2 for invalid settings."""
    return run_replica(arguments, "sealgate_operator", "Run sealgate's operator.", OperatorConfig, _build)


def _build(config: OperatorConfig, clock: Clock, **given: Any) -> Operator:  # noqa: ANN401 - as `run_replica` gives it
    return Operator(config, clock=clock, identities=config.kms.identities(os.environ, clock), **given)


if __name__ == "__main__":
    exit_at_once(main())
