"""`python -m sealgate_operator --config /etc/sealgate/config.yaml`."""

from __future__ import annotations

from sealgate_operator.application import Operator
from sealgate_operator.config import OperatorConfig
from sealgate_operator.process import exit_at_once, run_replica


def main(arguments: list[str] | None = None) -> int:
    """Run one replica until SIGTERM or SIGINT; return the exit status, 2 for invalid settings."""
    return run_replica(arguments, "sealgate_operator", "Run sealgate's operator.", OperatorConfig, Operator)


if __name__ == "__main__":
    exit_at_once(main())
